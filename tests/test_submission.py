"""The check before handing in: every fault is named with its cure, and nothing is named where there is none."""

import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nbformat import NotebookNode

from course_utils.assignment import notebook_file, submission
from course_utils.assignment.plan import NOTEBOOK, RUNS
from course_utils.assignment.runs import seed_of
from course_utils.assignment.submission import COSTS, FINE, GOOD, findings, main, report
from course_utils.checkpoints import save_checkpoint
from course_utils.models import ConvVAE
from tests.bank import answers, grade_id
from tools.normal_form import read, write

ROOT = Path(__file__).parents[1]
RELEASE = ROOT / "assignments" / "assignment4"


NUMBER = 20261120  # as the solution has it
STUB = "def kl_per_image(mu, logvar):\n    raise Unanswered()"


def save_run(path: Path, number: int = NUMBER, **facts) -> Path:
    """A run with honest facts, its weights as they were before training, in another size for each loss."""
    name, size = path.stem, 2 + list(RUNS).index(path.stem)
    entries = [{"bce": 500.0 - size * k, "sse": 50.0 - k / size, "kl": k / 9} for k in range(RUNS[name].epochs)]
    torch.manual_seed(seed_of(number))
    model = ConvVAE(image_shape=RUNS[name].image_shape, channels=(2, size))
    known = {"student": number, "seed": seed_of(number), "epochs": RUNS[name].epochs, "data_set": RUNS[name].data_set}
    known |= {"data": "digits", "bundled": True, "history": entries, "test": entries[-1]}
    return save_checkpoint(path, model, half=True, **known | facts)


@pytest.fixture(scope="module")
def saved_runs(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("runs")
    for name in RUNS:
        save_run(place / f"{name}.safetensors")
    return place


@pytest.fixture
def folder(tmp_path, saved_runs) -> Path:
    """A submission in which everything is there."""
    shutil.copytree(RELEASE, tmp_path, dirs_exist_ok=True)
    change(tmp_path, answer)
    shutil.copytree(saved_runs, tmp_path / "runs")
    return tmp_path


def run_of(folder: Path, name: str) -> Path:
    return folder / "runs" / f"{name}.safetensors"


def change(folder: Path, edit) -> None:
    nb = read(folder / NOTEBOOK)
    edit(nb)
    write(nb, folder / NOTEBOOK)


def answer(nb: NotebookNode) -> None:
    for cell in nb.cells:
        cell.source = answers().get(grade_id(cell), cell.source)


def cell(nb: NotebookNode, name: str) -> NotebookNode:
    return next(cell for cell in nb.cells if grade_id(cell) == name)


def told(folder: Path) -> tuple[list[str], list[str]]:
    """Sentences about lost points, and the others."""
    found = findings(folder / NOTEBOOK)
    return [f.sentence for f in found if f.costly], [f.sentence for f in found if not f.costly]


def only(sentences: list[str]) -> str:
    assert len(sentences) == 1, sentences
    return sentences[0]


def test_a_whole_submission_is_fine_and_may_carry_outputs_or_none(folder):
    assert report(folder / NOTEBOOK) == FINE
    change(folder, lambda nb: cell(nb, "parameters").update(execution_count=7))
    assert report(folder) == FINE


def test_the_release_itself_lists_every_question_and_all_its_points(tmp_path):
    costly = [f.sentence for f in findings(RELEASE / NOTEBOOK) if f.costly]
    asked = {grade_id(c) for c in read(RELEASE / NOTEBOOK).cells if c.metadata.get("nbgrader", {}).get("solution")}
    texts = {
        "conclusion-sum": "“In your words: the mixture”",
        "conclusion-samples": "“In your words: the samples”",
        "blur": "“In your words: the blur”",
    }
    called = {texts.get(name, name.replace("-", "_")) for name in asked}
    assert {sentence.split(" (")[0] for sentence in costly if not sentence.startswith("The run")} == called
    lost = sum(float(sentence.split("(")[1].split(" ")[0]) for sentence in costly if "point" in sentence)
    assert lost == 50


# The cells


def test_a_deleted_test_is_named_with_its_points(folder):
    change(folder, lambda nb: nb.cells.remove(cell(nb, "test-kl-values")))
    costly, other = told(folder)
    assert costly == [] and only(other).startswith("A test of kl_per_image is missing or lost its nbgrader metadata;")
    assert "marking puts that right, but Validate fails. Fetch a fresh assignment4.ipynb" in other[0]


def test_a_deleted_answer_is_named_with_the_points_of_its_tests(folder):
    change(folder, lambda nb: nb.cells.remove(cell(nb, "kl-per-image")))
    assert only(told(folder)[0]).startswith("kl_per_image (3 points) is missing. Fetch a fresh")
    change(folder, lambda nb: nb.cells.remove(cell(nb, "blur")))
    _, text = told(folder)[0]
    assert text.startswith("“In your words: the blur” (4 points) is missing. Fetch a fresh")


def test_a_deleted_given_cell_is_good_to_know(folder):
    change(folder, lambda nb: nb.cells.remove(cell(nb, "my-vae")))
    costly, other = told(folder)
    assert costly == [] and only(other).startswith("A given cell below “Train it” is missing or lost")


def test_a_copied_cell_is_named(folder):
    def twice(nb):
        nb.cells.append(copy.deepcopy(cell(nb, "blur")))
        nb.cells[-1].id = "another"

    change(folder, twice)
    costly, other = told(folder)
    assert costly == [] and "Delete the copies" in only(other)
    assert other[0].startswith(
        "There are 2 cells of “In your words: the blur”: one was copied, and the last that answers"
    )


def test_of_copies_the_last_that_answers_counts(folder):
    def behind(source):
        def edit(nb):
            nb.cells.append(copy.deepcopy(cell(nb, "kl-per-image")))
            nb.cells[-1].update(id="another", source=source)

        return edit

    change(folder, behind(STUB))
    assert told(folder)[0] == []
    change(folder, lambda nb: cell(nb, "kl-per-image").update(source=STUB))
    assert only(told(folder)[0]).startswith("kl_per_image (3 points) is not answered yet")


@pytest.mark.parametrize("name", ["sse-per-image", "blur"])
def test_one_answer_that_lost_its_metadata(folder, name):
    called = {"blur": "“In your words: the blur”"}.get(name, "sse_per_image")
    change(folder, lambda nb: cell(nb, name).metadata.pop("nbgrader"))
    costly, other = told(folder)
    assert costly == [] and only(other).startswith(f"{called} is missing or lost its nbgrader metadata; marking puts")


def test_an_answer_that_lost_its_metadata_is_read_all_the_same(folder):
    change(folder, lambda nb: cell(nb, "kl-per-image").update(source=STUB))
    change(folder, lambda nb: cell(nb, "kl-per-image").metadata.pop("nbgrader"))
    assert only(told(folder)[0]).startswith("kl_per_image (3 points) is not answered yet")


def test_a_notebook_without_any_metadata_is_one_sentence_and_another_notebook_another(folder):
    change(folder, lambda nb: [c.metadata.pop("nbgrader", None) for c in nb.cells])
    costly, other = told(folder)
    assert costly == [] and " more are missing or lost their nbgrader metadata; marking puts that right" in only(other)
    change(folder, lambda nb: nb.update(cells=nb.cells[:3]))
    assert "None of the assignment's cells is in this notebook (50 points)" in only(told(folder)[0])


def copy_of(nb, name, **changes):
    """Put a copy of a cell at the end, with these changes."""
    nb.cells.append(copy.deepcopy(cell(nb, name)))
    nb.cells[-1].update(id="another", **changes)


def stranger(nb):
    nb.cells.insert(9, nbformat.v4.new_code_cell("x = 1", metadata={"nbgrader": {"grade_id": "x"}}))


EDITS = {
    "a test deleted": lambda nb: nb.cells.remove(cell(nb, "test-kl-values")),
    "an answer without metadata": lambda nb: cell(nb, "sse-per-image").metadata.pop("nbgrader"),
    "a text without metadata": lambda nb: cell(nb, "blur").metadata.pop("nbgrader"),
    "no metadata at all": lambda nb: [c.metadata.pop("nbgrader", None) for c in nb.cells],
    "a copy": lambda nb: copy_of(nb, "blur"),
    "a stub behind": lambda nb: copy_of(nb, "blur", source="Your answer here."),
    "another version": lambda nb: cell(nb, "kl-per-image").metadata.nbgrader.update(schema_version=1),
    "other flags": lambda nb: cell(nb, "kl-per-image").metadata.nbgrader.update(solution=False, grade=True),
    "a stranger": stranger,
    "another type": lambda nb: cell(nb, "flat-features").update(cell_type="raw", outputs=[], execution_count=None),
}


@pytest.mark.parametrize("name", EDITS)
def test_what_is_said_to_cost_nothing_costs_nothing_when_it_is_marked(folder, tmp_path_factory, name):
    from grading.intake import take

    change(folder, EDITS[name])
    assert told(folder)[0] == []
    marked = take(folder, read(RELEASE / NOTEBOOK), tmp_path_factory.mktemp("taken")).notebook
    assert {grade: cell(marked, grade).source for grade in answers()} == answers()


@pytest.mark.parametrize("meta", [{"schema_version": 1}, {"schema_version": "3"}, {"grade": None}])
def test_metadata_that_nbgrader_refuses(folder, meta):
    change(folder, lambda nb: cell(nb, "blur").metadata.nbgrader.update(meta))
    costly, other = told(folder)
    assert costly == [] and "metadata of “In your words: the blur” were changed, or are of another" in only(other)


def test_flags_that_were_changed(folder):
    change(folder, lambda nb: cell(nb, "bce-per-image").metadata.nbgrader.update(solution=False))
    costly, other = told(folder)
    assert costly == [] and "metadata of bce_per_image were changed" in only(other)


@pytest.mark.parametrize("meta", [{}, {"grade_id": "other", "grade": False, "locked": True, "solution": False}])
def test_cells_with_metadata_that_do_not_belong_here(folder, meta):
    stranger = nbformat.v4.new_code_cell("x = 1", metadata={"nbgrader": meta})
    change(folder, lambda nb: nb.cells.append(stranger))
    costly, other = told(folder)
    assert costly == [] and "begins with 'x = 1'" in only(other)


@pytest.mark.parametrize(
    ("name", "called", "kind", "key"),
    [
        ("flat-features", "flat_features", "raw", "Y"),
        ("flat-features", "flat_features", "markdown", "Y"),
        ("test-sse", "A test of sse_per_image", "markdown", "Y"),
        ("test-run-cifar-whole", "A test of runs/cifar10.safetensors", "markdown", "Y"),
        ("setup", "A given cell below “How this is marked”", "markdown", "Y"),
        ("blur", "“In your words: the blur”", "code", "M"),
    ],
)
def test_a_cell_of_another_type_is_good_to_know(folder, name, called, kind, key):
    change(folder, lambda nb: cell(nb, name).update(cell_type=kind, outputs=[], execution_count=None))
    costly, other = told(folder)
    assert costly == []
    assert only(other).startswith(f"{called} is a {kind} cell now; marking turns it back into ")
    assert f"press {key}, run all cells" in other[0]


def test_an_edited_test_is_good_to_know(folder):
    change(folder, lambda nb: cell(nb, "test-sse").update(source="pass"))
    costly, other = told(folder)
    assert costly == [] and "A test of sse_per_image is not as it was given; marking restores it" in only(other)
    assert report(folder).split("\n")[:2] == [FINE, GOOD]
    change(folder, lambda nb: cell(nb, "setup").update(source="pass"))
    assert "as they were given: A given cell below “How this is marked”, a test of sse_per_image; marking" in only(
        told(folder)[1]
    )


def test_nothing_is_checked_while_nbgrader_marks(folder, monkeypatch):
    change(folder, lambda nb: cell(nb, "test-sse").update(source="the test with its hidden part"))
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    assert report(folder) == submission.MARKING
    monkeypatch.setenv("NBGRADER_EXECUTION", "validate")
    assert "test of sse_per_image" in report(folder)


@pytest.mark.parametrize(
    ("name", "source", "sentence"),
    [
        ("kl-per-image", "def kl_per_image(mu, logvar):\n    raise Unanswered()", "is not answered yet: put your code"),
        ("kl-per-image", " ", "kl_per_image (3 points) is empty"),
        ("blur", "Your answer here.", "“In your words: the blur” (4 points) is not answered yet: write your answer"),
        ("blur", "", "“In your words: the blur” (4 points) is empty. Write your answer into it."),
        ("kl-per-image", "def kl_per_image(mu, logvar):\n    pass", "kl_per_image (3 points) is not answered yet: its"),
        ("kl-per-image", 'def kl_per_image(mu, logvar):\n    """Text."""\n    ...', "its function is empty. Put your"),
        ("kl-per-image", "# later", "its function is empty"),
        ("kl-per-image", "def kl_per_image(mu, logvar):\n    retrun mu", "(3 points) is not valid Python in line 2: "),
        (
            "kl-per-image",
            "\n\n%matplotlib inline\nreturn 1",
            "is not valid Python in line 4: 'return' outside",
        ),
        ("kl-per-image", "x = 1\x00", "is not valid Python"),
        ("student-number", "def student_number():\n    raise Unanswered()", "student_number (other cells need it)"),
        ("student-number", "def student_number()\n    return 7", "student_number (other cells need it) is not valid"),
    ],
)
def test_questions_without_an_answer(folder, name, source, sentence):
    change(folder, lambda nb: cell(nb, name).update(source=source))
    assert sentence in only(told(folder)[0])


@pytest.mark.parametrize(
    "source", ["def f():\n    # raise Unanswered()\n    return 1", "Not like this:\n\n    Your answer here.\n\nbut so."]
)
def test_answers_beside_which_a_stub_is_mentioned(folder, source):
    name = "kl-per-image" if source.startswith("def") else "blur"
    change(folder, lambda nb: cell(nb, name).update(source=source))
    assert report(folder) == FINE


@pytest.mark.parametrize(
    "source",
    [
        "%%time\ndef f():\n    return 1",
        "%pip list\n!ls\n?print\ndef f(x): return x",
        'def f():\n    return "\\d"',
        "import asyncio\nawait asyncio.sleep(0)",
        "class Empty(Exception):\n    pass\n\n\ndef f():\n    return 1",
    ],
)
def test_what_ipython_runs_is_no_fault(folder, source):
    change(folder, lambda nb: cell(nb, "kl-per-image").update(source=source))
    assert report(folder) == FINE


def test_a_stub_below_the_answer_costs_nothing(folder):
    source = "def kl_per_image(mu, logvar):\n    return mu\n    raise Unanswered()"
    change(folder, lambda nb: cell(nb, "kl-per-image").update(source=source))
    costly, other = told(folder)
    assert costly == [] and "below a return" in only(other)


# Whose work an answer is

KL = "def kl_per_image(mu, logvar):\n    "
BORROWED = {  # where the course's function comes from: its import in an own cell, and the answer's code
    "an import in the answer": (
        "",
        KL + "from course_utils.objectives import gaussian_kl\n    return gaussian_kl(mu, logvar)",
    ),
    "under another name": (
        "",
        "from course_utils.objectives import gaussian_kl as k\n\n\n" + KL + "return k(mu, logvar)",
    ),
    "assigned, not called": ("", "from course_utils.objectives import gaussian_kl\nkl_per_image = gaussian_kl"),
    "through the module": ("from course_utils import objectives", KL + "return objectives.gaussian_kl(mu, logvar)"),
    "through the package": (
        "import course_utils.objectives",
        KL + "return course_utils.objectives.gaussian_kl(mu, logvar)",
    ),
    "through a helper": (
        "from course_utils.objectives import gaussian_kl\ndef mine(a, b):\n    return gaussian_kl(a, b)",
        KL + "return mine(mu, logvar)",
    ),
    "through a helper of a helper": (
        "from course_utils.objectives import gaussian_kl as k\nf = lambda a, b: k(a, b)\ng = [f]",
        KL + "return g[0](mu, logvar)",
    ),
}


@pytest.mark.parametrize("name", BORROWED)
def test_an_answer_that_calls_the_course_is_told_to_be_written(folder, name):
    own, source = BORROWED[name]
    change(folder, lambda nb: nb.cells.insert(3, nbformat.v4.new_code_cell(own)))
    change(folder, lambda nb: cell(nb, "kl-per-image").update(source=source))
    sentence = only(told(folder)[0])
    assert sentence.startswith(
        "kl_per_image (3 points) leaves its work to course_utils.objectives.gaussian_kl. Write it"
    )


@pytest.mark.parametrize(
    ("name", "source", "path"),
    [
        ("kl-per-image", KL + "return questions.truths.kl_truth(mu, logvar)", "assignment.questions.truths.kl_truth"),
        ("kl-per-image", KL + "return questions.kl_truth(mu, logvar)", "assignment.questions.kl_truth"),
        (
            "kl-per-image",
            "from course_utils.objectives import *\n" + KL + "return gaussian_kl(mu, logvar)",
            "objectives.*",
        ),
        ("to-model-input", "def to_model_input(x):\n    return to_unit(x.permute(0, 3, 1, 2))", "batching.to_unit"),
    ],
)
def test_nor_may_it_call_the_truth_of_the_check(folder, name, source, path):
    change(folder, lambda nb: cell(nb, name).update(source=source))
    assert f"leaves its work to course_utils.{path}. Write it yourself" in only(told(folder)[0])


def test_code_of_any_depth_harms_no_other_finding(folder):
    deep = "x = a" + 3000 * ".b" + "\ny = " + 3000 * "(" + 3000 * ")"
    change(folder, lambda nb: nb.cells.append(nbformat.v4.new_code_cell(deep)))
    change(folder, lambda nb: cell(nb, "kl-per-image").update(source=f"{KL}return a{300 * '.b'}"))
    change(folder, lambda nb: cell(nb, "blur").update(source=""))
    assert only(told(folder)[0]).startswith("“In your words: the blur” (4 points) is empty")


@pytest.mark.parametrize(
    "source",
    [
        KL + "return torch.distributions.kl_divergence(mu, logvar).sum(1)",
        KL + "return NegativeElbo(mu, RUNS, SIGMA2).kl",
        "def kl_per_image(questions, gaussian_kl):\n    return gaussian_kl + questions",
        KL + "objectives = mu\n    return objectives.exp() + logvar",
    ],
)
def test_what_pytorch_has_what_is_given_and_own_names_are_fine(folder, source):
    compared = "from course_utils.objectives import gaussian_kl\nassert gaussian_kl(1, 2) == kl_per_image(1, 2)"
    change(folder, lambda nb: nb.cells.append(nbformat.v4.new_code_cell(compared)))
    change(folder, lambda nb: cell(nb, "kl-per-image").update(source=source))
    assert report(folder) == FINE


# The file


def test_another_kernel(folder):
    change(folder, lambda nb: nb.metadata.kernelspec.update(name="ir", language="R"))
    costly, other = told(folder)
    assert costly == [] and "asks for R; it is marked with Python" in only(other)
    assert "Kernel → Change Kernel" in other[0]
    change(folder, lambda nb: nb.metadata.kernelspec.update(name="my-env", language="python"))
    costly, other = told(folder)
    assert costly == [] and "kernel is called 'my-env'" in only(other)
    change(folder, lambda nb: nb.metadata.pop("kernelspec"))
    assert "kernel has no name" in only(told(folder)[1])


def test_a_renamed_notebook_is_found_by_name_and_by_folder(folder):
    (folder / NOTEBOOK).rename(folder / "assignment4 (1).ipynb")
    for path in (folder, folder / "assignment4 (1).ipynb"):
        found = findings(path)
        assert only([f.sentence for f in found]).endswith("it is marked all the same. Rename it to assignment4.ipynb.")
        assert not found[0].costly
    shutil.copy(path, folder / "other.ipynb")
    (found,) = findings(path)
    assert found.costly and "beside other.ipynb only assignment4.ipynb is marked" in found.sentence


def test_which_notebook_is_meant_when_there_are_several(folder):
    shutil.copy(folder / NOTEBOOK, folder / "copy.ipynb")
    assert "there is copy.ipynb, which is not marked" in only(told(folder)[1])
    (folder / NOTEBOOK).rename(folder / "other.ipynb")
    assert "holds 2 notebooks and none is called assignment4.ipynb" in report(folder)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "not valid JSON"),
        (b"\x89PNG\r\n", "not valid JSON"),
        ("é".encode("latin-1"), "not valid JSON"),
        (b'{"cells": [', "not valid JSON"),
        (b'{\n<<<<<<< HEAD\n"cells": []}', "git conflict"),
        (b"[]", "no notebook of format 4"),
        (b'{"nbformat": 3, "worksheets": []}', "no notebook of format 4"),
        (b'{"nbformat": 4, "cells": 7}', "list of cells is missing or damaged"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": 3, "metadata": {}}]}', "missing or damaged"),
        (b"[" * 100_000, "is not valid JSON"),
    ],
)
def test_files_that_are_no_notebooks(folder, data, sentence):
    (folder / NOTEBOOK).write_bytes(data)
    said = only(told(folder)[0])
    assert sentence in said and "fresh assignment4.ipynb" in said


def test_a_byte_order_mark_does_not_hide_the_rest(folder):
    change(folder, lambda nb: cell(nb, "blur").update(source=""))
    (folder / NOTEBOOK).write_bytes(b"\xef\xbb\xbf" + (folder / NOTEBOOK).read_bytes())
    costly, other = told(folder)
    assert "byte order mark" in only(other) and "blur" in only(costly)


def test_an_old_encoding_does_not_hide_the_rest(folder):
    change(folder, lambda nb: cell(nb, "blur").update(source="Unschärfe"))
    change(folder, lambda nb: cell(nb, "power-spectrum").update(source=""))
    text = json.dumps(json.loads((folder / NOTEBOOK).read_text(encoding="utf-8")), ensure_ascii=False)
    (folder / NOTEBOOK).write_bytes(text.encode("latin-1", errors="replace"))
    costly, other = told(folder)
    assert "is not encoded in UTF-8 (byte" in only(other) and "Open it in JupyterLab" in other[0]
    assert only(costly).startswith("power_spectrum (1 point) is empty")


def test_a_list_of_cells_without_headings_is_an_old_one(folder, monkeypatch):
    listed = json.loads((folder / "cells.json").read_text())
    for entry in listed.values():
        del entry["heading"]
    (folder / "cells.json").write_text(json.dumps(listed))
    monkeypatch.setattr(notebook_file, "course_root", lambda: folder)
    assert "cells.json is missing or old" in only(told(folder)[1])


def test_no_file_at_all(tmp_path):
    assert report(tmp_path / NOTEBOOK).startswith(f"{COSTS}\n- There is no ")
    assert "holds 0 notebooks" in report(tmp_path)
    (tmp_path / NOTEBOOK).mkdir()
    assert "is not a file" in report(tmp_path)


def test_the_cells_are_known_without_the_list_beside_the_notebook(folder, monkeypatch):
    for text in ("{}", "no JSON", '{"a": 1}', "[]"):
        (folder / "cells.json").write_text(text)
        assert report(folder) == FINE
    (folder / "cells.json").unlink()
    assert report(folder) == FINE
    monkeypatch.setattr(notebook_file, "course_root", lambda: folder)
    assert "cells.json is missing" in only(told(folder)[1])


# The folder


def test_missing_unfinished_and_damaged_runs(folder):
    run_of(folder, "bce").unlink()
    (folder / "runs" / "unfinished").mkdir()
    run_of(folder, "mse").rename(folder / "runs" / "unfinished" / "mse-01234567.safetensors")
    run_of(folder, "combined").write_bytes(run_of(folder, "combined").read_bytes()[:-100])
    run_of(folder, "cifar10").write_bytes(b"{}")
    missing, unfinished, cut, nonsense = told(folder)[0]
    also = "points, and 2 points of `comparison`)"
    assert missing.startswith(f"The run runs/bce.safetensors (5 {also} is missing. Run its training cell")
    assert unfinished.startswith(f"The run runs/mse.safetensors (4 {also} is unfinished")
    assert cut.startswith(f"The run runs/combined.safetensors (3 {also} is damaged")
    assert nonsense.startswith("The run runs/cifar10.safetensors (2 points) is damaged")
    assert str(folder) not in report(folder)


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"epochs": 99}, "says 99 epochs and its history has 100; the task asks for 100. Delete the file and run"),
        (
            {"data_set": "cifar10"},
            "was trained on cifar10, not on mnist. Delete runs/mse.safetensors. Run its",
        ),
        ({"bundled": None}, "the fact 'bundled' is missing or damaged"),
        ({"seed": 7}, "did not start from the weights that student number 20261120 starts from"),
        ({"student": 4711}, "belongs to student number 4711, this notebook to 20261120"),
    ],
)
def test_runs_that_would_lose_points(folder, facts, sentence):
    save_run(run_of(folder, "mse"), **facts)
    said = only(told(folder)[0])
    assert said.startswith("The run runs/mse.safetensors (4 points) will lose points: runs/mse.safetensors")
    assert sentence in said


def test_a_run_handed_in_twice(folder):
    shutil.copy(run_of(folder, "bce"), run_of(folder, "combined"))
    said = only(told(folder)[0])
    assert "runs/combined.safetensors and runs/bce.safetensors hold the same history" in said
    assert said.endswith("Delete runs/combined.safetensors. Run its training cell to the end, then save.")


def test_runs_of_two_students_are_found_though_the_notebook_does_not_say_a_number(folder):
    save_run(run_of(folder, "cifar10"), number=4711)
    assert "belongs to student number 4711" in only(told(folder)[0])
    number = "def student_number():\n    return int('20261120')"
    change(folder, lambda nb: cell(nb, "student-number").update(source=number))
    assert "different student numbers: 20261120 in bce, mse, combined; 4711 in cifar10." in only(told(folder)[0])
    run_of(folder, "cifar10").unlink()
    assert "is missing" in only(told(folder)[0])


def test_the_text_asks_for_the_epochs_and_variances_of_the_plan():
    text = "\n".join(c.source for c in read(RELEASE / NOTEBOOK).cells if c.cell_type == "markdown")
    digits = {run.epochs for run in RUNS.values() if run.data_set == "mnist"}
    assert f"train it for {digits.pop()} epochs" in text and not digits
    assert f"for {RUNS['cifar10'].epochs} epochs" in text and f"`SIGMA2` = {RUNS['mse'].sigma2} " in text


def test_a_linked_run_and_a_folder_in_its_place(folder):
    bce, mse = (run_of(folder, name) for name in ("bce", "mse"))
    kept = bce.rename(folder / "kept")
    bce.symlink_to(kept)
    assert "is a link" in only(told(folder)[0])
    kept.replace(bce)
    mse.unlink()
    mse.mkdir()
    assert "runs/mse.safetensors (4 points, and 2 points of `comparison`) is damaged" in only(told(folder)[0])


def test_too_many_megabytes_name_the_largest_file(folder):
    for place in ("runs/unfinished", ".cache"):
        (folder / place).mkdir()
        (folder / place / "big").write_bytes(bytes(26_000_000))  # neither is handed in
    assert report(folder) == FINE
    (folder / "movie.mp4").write_bytes(bytes(24_500_000))
    sentence = only(told(folder)[0])
    assert sentence.startswith("The folder has 26 MB; 25 are allowed. The largest: movie.mp4 (24.5 MB)")


def test_the_command_line_says_by_its_status_whether_points_are_at_stake(folder, capsys):
    assert main([str(folder)]) == 0
    assert capsys.readouterr().out == f"{FINE}\n"
    (folder / "runs" / "bce.safetensors").unlink()
    assert main([str(folder / NOTEBOOK)]) == 1
    assert capsys.readouterr().out.startswith(COSTS)
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_make_ends_calmly_where_points_are_at_stake(folder):
    (folder / "runs" / "bce.safetensors").unlink()
    recipe = re.search(r"(?m)^check-submission:.*\n\t@(.*)", (ROOT / "Makefile").read_text()).group(1)
    for made, by in {"$(BIN)/python": f"'{sys.executable}'", "$(FILE)": str(folder), "$$": "$"}.items():
        recipe = recipe.replace(made, by)
    ended = subprocess.run(["sh", "-c", recipe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.startswith(COSTS)
    wrong = recipe.replace(str(folder), '" "')  # two arguments
    assert subprocess.run(["sh", "-c", wrong], cwd=ROOT, capture_output=True, check=False).returncode


# Anything at all


@given(st.binary(max_size=200))
def test_no_file_makes_it_fail(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / NOTEBOOK
    path.write_bytes(data)
    assert report(path).startswith(COSTS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["nbgrader", "kernelspec", "grade_id", "grade", "schema_version", "points", "cell_type"]), JSON)
def test_no_metadata_make_it_fail(tmp_path_factory, key, value):
    content = json.loads((RELEASE / NOTEBOOK).read_text(encoding="utf-8"))
    graded = next(c for c in content["cells"] if "points" in c["metadata"].get("nbgrader", {}))
    places = {"nbgrader": graded["metadata"], "kernelspec": content["metadata"], "cell_type": graded}
    places.get(key, graded["metadata"]["nbgrader"])[key] = value
    path = tmp_path_factory.mktemp("any") / NOTEBOOK
    path.write_text(json.dumps(content), encoding="utf-8")
    assert "could not be checked" not in report(path)
