"""The lessons as documents: their frame, exercises, what they teach before they import it, where links go."""

import ast
import re
from functools import cache
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
TAUGHT_IN = {
    "reparameterize": "01",
    "gaussian_kl": "02",
    "bernoulli_nll": "02",
    "gaussian_nll": "02",
    "implied_variance": "02",
    "negative_elbo": "03",
    "ConvVAE": "04",
    "fit": "04",
    "evaluate": "04",
    "encode": "04",
    "manifold_grid": "05",
    "lerp": "05",
    "slerp": "05",
    "traverse": "05",
    "active_units": "05",
    "attribute_direction": "06",
    "ConditionalVAE": "07",
    "class_bounds": "07",
    "kl_between": "08",
    "nearest_code": "09",
    "straight_through": "09",
    "vq_loss": "09",
    "perplexity": "09",
    "MaskedConv2d": "09",
    "sample_codes": "09",
    "two_sample_test": "10",
    "mmd": "10",
    "critic_loss": "10",
    "saturating_loss": "10",
    "generator_loss": "10",
    "feature_loss": "10",
    "prior_nats": "11",
    "step_nats": "11",
    "sample": "11",
    "carry": "11",
    "outline": "12",
    "RecurrentVAE": "12",
    "outline_elbo": "12",
}
each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


@cache
def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def imported_names(source: str) -> set[str]:
    """Names that a cell imports from course_utils."""
    imports = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom))
    return {alias.name for node in imports if (node.module or "").startswith("course_utils") for alias in node.names}


def test_the_lessons_are_there_in_order():
    assert [path.stem[:2] for path in LESSONS] == [f"{i:02}" for i in range(1, len(LESSONS) + 1)]
    assert len(LESSONS) >= 4


@each_lesson
def test_the_frame_is_complete(path):
    notebook = read(path)
    title = notebook.cells[0].source
    assert title.startswith(f"# {path.stem[:2]} · ")
    for part in ("**What you will do**", "**What you will learn**", "**What you need", "**Time"):
        assert part in title, f"{path.name} does not say: {part}"
    assert [tags(cell) for cell in code_cells(notebook)][0] == ["parameters"]
    assert any(cell.id == "take-away" for cell in notebook.cells)
    assert any(cell.id == "further-reading" for cell in notebook.cells)


@each_lesson
def test_one_cell_holds_the_knobs(path):
    using = [cell for cell in code_cells(read(path)) if "budget(" in cell.source or "COURSE_" in cell.source]
    assert [tags(cell) for cell in using] in ([["parameters"]], [])


@each_lesson
def test_the_headline_names_data_and_figure(path):
    (cell,) = [cell for cell in code_cells(read(path)) if "headline" in tags(cell)]
    value = ast.literal_eval(cell.outputs[-1]["data"]["text/plain"])
    assert set(value) == {"data", "headline"}
    assert re.search(r"\d", value["headline"])


@each_lesson
def test_the_lesson_was_executed_on_real_data(path):
    (cell,) = [cell for cell in code_cells(read(path)) if "headline" in tags(cell)]
    assert "stand-in" not in cell.outputs[-1]["data"]["text/plain"], f"{path.name}: run `make store` with real data"


@each_lesson
def test_checks_of_the_lecture_assert_something_and_name_the_lecture(path):
    notebook = read(path)
    checks = [cell for cell in code_cells(notebook) if "check-the-lecture" in tags(cell)]
    assert checks
    for cell in checks:
        assert re.match(r"check-l[0-4]-", cell.id), cell.id
        assert "assert" in cell.source, f"{cell.id} asserts nothing"
    assert prose(notebook).count("**Check the lecture (L") >= len({cell.id[:8] for cell in checks})


def test_nothing_is_imported_before_it_was_taught():
    taught = set()
    for path in LESSONS:
        for cell in code_cells(read(path)):
            for name in imported_names(cell.source) & set(TAUGHT_IN):
                assert name in taught, (
                    f"{path.name}, cell {cell.id} imports {name}, which lesson {TAUGHT_IN[name]} teaches later"
                )
            here = {tag.removeprefix("teaches-") for tag in tags(cell) if tag.startswith("teaches-")}
            assert all(TAUGHT_IN.get(name) == path.stem[:2] for name in here), f"{path.name}, cell {cell.id}: {here}"
            taught |= here
    assert taught == set(TAUGHT_IN)


def test_what_was_taught_is_compared_with_the_package():
    for path in LESSONS:
        sources = [cell.source for cell in code_cells(read(path))]
        mine = {name for name, lesson in TAUGHT_IN.items() if lesson == path.stem[:2]}
        for name in mine:
            at = next(i for i, source in enumerate(sources) if name in imported_names(source))
            assert any("assert" in source for source in sources[at : at + 2]), (
                f"{path.name} imports {name} without comparing"
            )


# --- exercises ---


def exercises(notebook) -> list[tuple]:
    """(task, answer, check) cells of every exercise."""
    cells = notebook.cells
    return [(cells[i - 1], cell, cells[i + 1]) for i, cell in enumerate(cells) if "exercise" in tags(cell)]


def solution_of(task) -> str:
    (block,) = re.findall(r"<summary>Solution</summary>.*?```python\n(.*?)```", task.source, flags=re.DOTALL)
    return block


@each_lesson
def test_at_least_three_exercises_with_hint_solution_and_self_check(path):
    found = exercises(read(path))
    assert len(found) >= 3
    for task, answer, check in found:
        assert task.source.startswith("### Try it: "), task.id
        assert "<summary>Hint</summary>" in task.source, task.id
        assert answer.id == f"{task.id}-answer"
        assert (check.id, "self-check" in tags(check)) == (f"{task.id}-check", True)
        assert solution_of(task).strip()


def run(notebook, monkeypatch, path):
    for name, value in {"COURSE_PROFILE": "quick", "COURSE_DATA": "bundled", "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()


def up_to_last_exercise(notebook):
    """A copy without the cells after the last self-check, and with training as short as it can be."""
    last = max(i for i, cell in enumerate(notebook.cells) if "self-check" in tags(cell))
    short = nbformat.from_dict({**notebook, "cells": [nbformat.from_dict(cell) for cell in notebook.cells[: last + 1]]})
    for cell in code_cells(short):
        cell.outputs = []
    return short


@each_lesson
def test_solutions_pass_and_stubs_are_told_apart(path, monkeypatch):
    """Every folded solution, put where the student would write it, makes its self-check say Right."""
    notebook = up_to_last_exercise(read(path))
    stubs = {}
    for task, answer, check in exercises(notebook):
        stubs[check.id] = answer.source
        answer.source = solution_of(task)
    run(notebook, monkeypatch, path)
    for _, _, check in exercises(notebook):
        printed = "".join(output.get("text", "") for output in check.outputs).strip().split("\n")
        assert set(printed) == {"Right."}, f"{path.name}, {check.id}: {printed}"


@each_lesson
def test_committed_stubs_say_not_answered(path):
    for _, _, check in exercises(read(path)):
        printed = "".join(output.get("text", "") for output in check.outputs)
        assert printed.startswith("Not answered yet"), f"{path.name}, {check.id}: {printed}"


# --- links ---


@each_lesson
def test_links_and_images_resolve_inside_the_repository(path):
    text = prose(read(path))
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    for target in targets:
        if not target.startswith(("https://", "#")):
            assert (path.parent / target.split("#")[0]).exists(), f"{path.name} links to {target}, which is not there"


def test_no_document_names_a_machine():
    words = re.compile(r"(?<![\w.@$}])/(?:" + "|".join(("work", "root", "home", "tmp")) + r")/")
    for path in [*LESSONS, *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        assert not words.search(path.read_text(encoding="utf-8")), f"{path.name} holds the path of a machine"
