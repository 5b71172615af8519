"""Each rule of the stored form is broken once and must be named; what a program can restore, it restores."""

import base64
import copy
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image, ImageChops, ImageDraw

from tools import normal_form
from tools.normal_form import check_file, normalise, problems, read, stored_notebooks, text

LESSON = Path("notebooks/07_example.ipynb")


def lesson() -> NotebookNode:
    """A small lesson in normal form: prose, a printing cell, prose, a cell with a value."""
    printed = new_output("stream", name="stdout", text="two\n")
    value = new_output("execute_result", {"text/plain": "3"}, execution_count=2)
    cells = [
        new_markdown_cell("# Sums", id="title"),
        new_code_cell("print('two')", id="print-two", execution_count=1, outputs=[printed]),
        new_markdown_cell("And a value.", id="and-a-value"),
        new_code_cell("1 + 2", id="sum", execution_count=2, outputs=[value], metadata={"tags": ["a", "b"]}),
    ]
    metadata = {"kernelspec": normal_form.KERNELSPEC, "language_info": normal_form.LANGUAGE}
    return nbformat.from_dict(new_notebook(cells=cells, metadata=metadata))


def add_code(nb: NotebookNode, *sources: str) -> None:
    start = sum(cell.cell_type == "code" for cell in nb.cells)
    for number, source in enumerate(sources, start=start + 1):
        nb.cells.append(new_code_cell(source, id=f"added-{number}", execution_count=number))


def one_line(nb: NotebookNode, number: int) -> None:
    """Append code cells of one line, each after prose, so that only the cells under test are long."""
    for _ in range(number):
        count = sum(cell.cell_type == "code" for cell in nb.cells) + 1
        nb.cells += [new_markdown_cell("Say.", id=f"say-{count}")]
        nb.cells += [new_code_cell("1", id=f"see-{count}", execution_count=count)]


def injected() -> NotebookNode:
    return new_code_cell("n = 1", id="injected", metadata={"tags": ["injected-parameters"]})


def new_error() -> NotebookNode:
    return new_output("error", ename="ValueError", evalue="no", traceback=[])


def figure() -> NotebookNode:
    """A drawn line as Matplotlib stores it: RGBA, with transparent corners."""
    picture = Image.new("RGBA", (40, 20), (255, 255, 255, 0))
    ImageDraw.Draw(picture).line((0, 0, 39, 19), fill=(11, 95, 165, 255), width=3)
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    return new_output("display_data", {"image/png": base64.b64encode(buffer.getvalue()).decode()})


RESTORABLE: dict[str, Callable[[NotebookNode], None]] = {
    "notebook metadata": lambda nb: nb.metadata.update(papermill={"duration": 1.5}),
    "JupyterLab with Python 3": lambda nb: nb.metadata.kernelspec.update(name="my-env"),
    "are not those of JupyterLab": lambda nb: nb.metadata.update(language_info={"name": "python"}),
    "metadata are not those": lambda nb: nb.metadata.language_info.update(version="4"),
    "not stored": lambda nb: nb.cells[1].metadata.update(execution={"iopub.execute_input": "2026-01-01T00:00:00Z"}),
    "tags are not sorted": lambda nb: nb.cells[3].metadata.update(tags=["b", "a"]),
    "or its tags": lambda nb: nb.cells[1].metadata.update(tags=[]),
    "not folded": lambda nb: nb.cells[3].metadata.update(tags=["hide-input", "self-check"]),
    "papermill injected": lambda nb: nb.cells.insert(
        1, new_code_cell("n = 1", metadata={"tags": ["injected-parameters"]})
    ),
    "trailing whitespace": lambda nb: nb.cells[1].update(source="print('two')  "),
    "blank lines": lambda nb: nb.cells[0].update(source="# Sums\n\n"),
    "widget": lambda nb: nb.cells[1].outputs.append(new_output("display_data", {normal_form.WIDGET: {}})),
    "a progress bar": lambda nb: nb.cells[1].outputs.append(
        new_output("display_data", {"text/plain": "100%"}, metadata={"progress-bar": True})
    ),
    "stderr": lambda nb: nb.cells[1].outputs.append(new_output("stream", name="stderr", text="100%|###| 3/3")),
    "one stream": lambda nb: nb.cells[1].outputs.append(new_output("stream", name="stdout", text="three\n")),
    "full colour": lambda nb: nb.cells[1].outputs.append(figure()),
    "count differs": lambda nb: nb.cells[3].outputs[0].update(execution_count=7),
}

ONLY_AN_AUTHOR: dict[str, Callable[[NotebookNode], None]] = {
    "'3f2a9c1b' is not made of words": lambda nb: nb.cells[0].update(id="3f2a9c1b"),
    "'a3f2a9c1' is not made of words": lambda nb: nb.cells[0].update(id="a3f2a9c1"),
    "'Title_1' is not made of words": lambda nb: nb.cells[0].update(id="Title_1"),
    "2 cells share the id 'sum'": lambda nb: nb.cells[0].update(id="sum"),
    "count None, not 2": lambda nb: nb.cells[3].update(execution_count=None, outputs=[]),
    "count 5, not 1": lambda nb: nb.cells[1].update(execution_count=5),
    "print-two is empty": lambda nb: nb.cells[1].update(source="", execution_count=None, outputs=[]),
    "ends in ValueError": lambda nb: nb.cells[1].outputs.append(new_error()),
    "of at most 400": lambda nb: nb.cells[0].update(source="x" * 400_000),
    "not a valid notebook": lambda nb: nb.cells[1].update(execution_count="one"),
    "median code cell": lambda nb: add_code(nb, "1\n" * 6, "1\n" * 6, "1\n" * 6),
    "more than a tenth": lambda nb: add_code(nb, "1\n" * 16),
    "has 26 lines": lambda nb: (add_code(nb, "1\n" * 26), one_line(nb, 10)),
    "fourth code cell in a row": lambda nb: (one_line(nb, 4), add_code(nb, "1", "1", "1")),
    "are prose": lambda nb: add_code(nb, "1", "1"),
}


def test_the_example_is_in_normal_form() -> None:
    assert problems(lesson(), LESSON) == []


@pytest.mark.parametrize("name", RESTORABLE)
def test_a_restorable_deviation_is_named_and_restored(name: str) -> None:
    nb = lesson()
    RESTORABLE[name](nb)
    named = problems(nb, LESSON)
    assert any(name in sentence and "make lint" in sentence for sentence in named)
    assert problems(normalise(nb), LESSON) == []


@pytest.mark.parametrize("name", ONLY_AN_AUTHOR)
def test_what_only_an_author_can_mend_is_named(name: str) -> None:
    nb = lesson()
    ONLY_AN_AUTHOR[name](nb)
    named = [sentence for sentence in problems(nb, LESSON) if "make lint" not in sentence]
    assert any(name in sentence and sentence.startswith("07_example.ipynb: ") for sentence in named), named


@pytest.mark.parametrize("spoil", [*RESTORABLE.values(), *ONLY_AN_AUTHOR.values()])
def test_normalise_is_idempotent_and_leaves_its_argument_alone(spoil: Callable[[NotebookNode], None]) -> None:
    nb = lesson()
    spoil(nb)
    before = copy.deepcopy(nb)
    once = normalise(nb)
    assert nb == before
    assert normalise(once) == once


def test_a_merged_stream_keeps_all_of_its_text() -> None:
    nb = lesson()
    RESTORABLE["one stream"](nb)
    assert normalise(nb).cells[1].outputs == [new_output("stream", name="stdout", text="two\nthree\n")]


def test_exceptions_that_are_meant_are_kept() -> None:
    nb = lesson()
    nb.cells[1].outputs.append(new_error())
    nb.cells[1].metadata.tags = ["raises-exception"]
    assert problems(nb, LESSON) == []
    assert normalise(nb) == nb


def test_what_the_grader_needs_is_kept() -> None:
    nb = lesson()
    nb.cells[1].metadata = nbformat.from_dict({"nbgrader": {"grade": True}, "deletable": False, "editable": False})
    nb.cells[3].metadata = nbformat.from_dict(
        {"jupyter": {"source_hidden": True}, "tags": ["hide-input", "self-check"]}
    )
    assert normalise(nb) == nb


def test_any_version_of_python_may_have_run_it() -> None:
    nb = lesson()
    nb.metadata.language_info.version = "3.13.1"
    assert problems(nb, LESSON) == []
    assert normalise(nb).metadata.language_info.version == "3.13.1"


def test_other_notebooks_need_neither_execution_nor_the_budget() -> None:
    nb = lesson()
    for cell in nb.cells[1::2]:
        cell.update(execution_count=None, outputs=[], source="1\n" * 26 + "1")
    assert problems(nb, Path("solutions/assignment4/task.ipynb")) == []


def test_writing_gives_the_stored_bytes_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "notebooks" / LESSON.name
    path.parent.mkdir()
    nb = lesson()
    nb.cells[1].source += " "
    path.write_text(json.dumps(nb, indent=4) + "\n\n", encoding="utf-8")
    assert check_file(path, mend=False)
    assert check_file(path, mend=True) == []
    assert path.read_text(encoding="utf-8") == text(lesson())
    assert path.read_text(encoding="utf-8").startswith('{\n "cells": [')
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_other_indents_are_named(tmp_path: Path) -> None:
    path = tmp_path / "notebooks" / LESSON.name
    path.parent.mkdir()
    path.write_text(json.dumps(lesson(), indent=4) + "\n", encoding="utf-8")
    [sentence] = check_file(path, mend=False)
    assert "indent" in sentence


@pytest.mark.parametrize("content", ["", "{", "[]", '{"cells": 3}', "\x00"])
def test_a_file_that_is_no_notebook_gets_a_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "08_broken.ipynb"
    path.write_text(content, encoding="utf-8")
    [sentence] = check_file(path, mend=True)
    assert sentence.startswith("08_broken.ipynb: it cannot be read as a notebook")
    assert path.read_text(encoding="utf-8") == content


@pytest.mark.parametrize("path", stored_notebooks(), ids=lambda path: path.name)
def test_stored_notebooks_are_in_normal_form(path: Path) -> None:
    assert check_file(path, mend=False) == []
    assert normalise(read(path)) == read(path)


def test_a_reduced_figure_looks_the_same_on_white():
    nb = lesson()
    nb.cells[1].outputs.append(figure())
    (before, after) = (
        Image.open(BytesIO(base64.b64decode(n.cells[1].outputs[-1].data["image/png"]))) for n in (nb, normalise(nb))
    )
    paper = Image.new("RGBA", before.size, "white")
    paper.alpha_composite(before)
    assert after.mode == "P"
    assert ImageChops.difference(paper.convert("RGB"), after.convert("RGB")).getextrema() == ((0, 0), (0, 0), (0, 0))


def test_a_thin_line_keeps_its_colour_beside_a_photograph():
    picture = Image.new("RGB", (256, 64))
    picture.putdata([(column, column, column) for _ in range(64) for column in range(256)])
    lines = {10: (11, 95, 165), 30: (209, 73, 91), 50: (46, 139, 87)}
    for row, colour in lines.items():
        picture.paste(colour, (0, row, 40, row + 1))
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    stored = normal_form._with_palette(base64.b64encode(buffer.getvalue()).decode(), normal_form.COLOURS)
    after = Image.open(BytesIO(base64.b64decode(stored))).convert("RGB")
    for row, colour in lines.items():
        assert max(abs(a - b) for a, b in zip(after.getpixel((20, row)), colour, strict=True)) <= 8
    assert len(after.getcolors()) <= normal_form.COLOURS
    assert after.getpixel((255, 5)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("tint", "tags", "most"),
    [
        ((0, 0, 0), [], normal_form.GREYS),
        ((0, 90, 40), [], normal_form.COLOURS),
        ((0, 90, 40), ["many-colours"], normal_form.MANY_COLOURS),
    ],
)
def test_a_figure_keeps_few_colours_and_a_grey_one_fewer(
    tint: tuple[int, int, int], tags: list[str], most: int
) -> None:
    ramp = [tuple(min(255, level + extra) for extra in tint) for level in range(200)]
    picture = Image.new("RGB", (200, 1))
    picture.putdata(ramp)
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    nb = lesson()
    nb.cells[1].metadata.tags = tags
    nb.cells[1].outputs.append(new_output("display_data", {"image/png": base64.b64encode(buffer.getvalue()).decode()}))
    stored = base64.b64decode(normalise(nb).cells[1].outputs[-1].data["image/png"])
    colours = [colour for _, colour in Image.open(BytesIO(stored)).convert("RGB").getcolors()]
    assert most / 2 < len(colours) <= most
    assert (max(max(colour) - min(colour) for colour in colours) == 0) == (tint == (0, 0, 0))
