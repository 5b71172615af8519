"""Intake: whatever a submission has been through, what the student wrote is marked, or the reason is said."""

import copy
import json
import os
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell

from course_utils.assignment.plan import ASSIGNMENT, NOTEBOOK
from grading.course import CHECKOUT
from grading.intake import Refused, take
from tests.bank import answers, grade_id
from tools.normal_form import read, write

RELEASE = read(CHECKOUT / "assignments" / ASSIGNMENT / NOTEBOOK)
KL = answers()["kl-per-image"]


def solved():
    notebook = copy.deepcopy(RELEASE)
    for cell in notebook.cells:
        cell.source = answers().get(grade_id(cell), cell.source)
    return notebook


def at(notebook, name):
    return next(k for k, cell in enumerate(notebook.cells) if (grade_id(cell) or cell.get("id")) == name)


def taken(folder: Path, target: Path):
    return take(folder, RELEASE, target / "taken")


def handed_in(folder: Path, notebook, name=NOTEBOOK):
    folder.mkdir(parents=True, exist_ok=True)
    write(notebook, folder / name)
    return folder


def sources(notebook):
    return {grade_id(cell): cell.source for cell in notebook.cells if grade_id(cell)}


def delete(name):
    return lambda notebook: notebook.cells.pop(at(notebook, name))


def double(name):
    def edit(notebook):
        notebook.cells.insert(at(notebook, name), copy.deepcopy(notebook.cells[at(notebook, name)]))

    return edit


def stub_copy(name):
    """A copy of the untouched cell behind the answered one."""

    def edit(notebook):
        stub = copy.deepcopy(RELEASE.cells[at(RELEASE, name)])
        notebook.cells.insert(at(notebook, name) + 1, stub)

    return edit


def strip(notebook):
    for cell in notebook.cells:
        cell.metadata.clear()
        cell.id = f"c{id(cell)}"


def reverse(notebook):
    notebook.cells.reverse()


def other_schema(notebook):
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader"):
            cell.metadata.nbgrader.update(schema_version=1, grade=False, points=3000, cell_type="raw")


def retyped(notebook):
    cell = notebook.cells[at(notebook, "kl-per-image")]
    notebook.cells[at(notebook, "kl-per-image")] = new_markdown_cell(cell.source, metadata=cell.metadata)


def foreign(notebook):
    meta = {"grade_id": "mine", "grade": True, "points": 1000, "locked": False, "solution": False, "task": False}
    notebook.cells.insert(5, new_code_cell("1000", metadata={"nbgrader": meta | {"schema_version": 3}}))


EDITS = {
    **{f"without {name}": delete(name) for name in ("setup", "test-kl-values", "kl-intro", "my-vae")},
    **{f"{name} twice": double(name) for name in ("kl-per-image", "blur", "test-kl-values", "setup")},
    "the untouched cell behind the answer": stub_copy("kl-per-image"),
    "the untouched text behind the answer": stub_copy("blur"),
    "metadata stripped": strip,
    "from the last cell to the first": reverse,
    "other metadata": other_schema,
    "an answer as text": retyped,
    "a foreign graded cell": foreign,
}


@pytest.mark.parametrize("name", EDITS)
def test_answers_survive_and_given_cells_are_the_releases(tmp_path, name):
    notebook = solved()
    EDITS[name](notebook)
    made = taken(handed_in(tmp_path / "in", notebook), tmp_path).notebook
    assert sources(made) == sources(solved())
    given = [(grade_id(cell), cell.metadata, cell.cell_type) for cell in made.cells if grade_id(cell)]
    assert given == [(grade_id(cell), cell.metadata, cell.cell_type) for cell in RELEASE.cells if grade_id(cell)]
    assert all(not cell.metadata for cell in made.cells if not grade_id(cell) and cell.id.startswith("own"))


def test_a_missing_answer_is_the_stub_unless_its_function_stands_elsewhere(tmp_path):
    notebook = solved()
    delete("kl-per-image")(notebook)
    made = taken(handed_in(tmp_path / "a", notebook), tmp_path / "a").notebook
    assert sources(made)["kl-per-image"] == sources(RELEASE)["kl-per-image"]
    above = notebook.cells[at(notebook, "sample-latent")]
    above.source += f"\n\n\n{KL}"  # two cells merged
    made = taken(handed_in(tmp_path / "b", notebook), tmp_path / "b").notebook
    assert "raise Unanswered" not in sources(made)["kl-per-image"]
    assert sources(made)["sample-latent"].endswith(KL)


def test_own_cells_stay_where_they_were_without_their_metadata(tmp_path):
    notebook = solved()
    own = new_code_cell("def helper(): return 1", metadata={"tags": ["skip-execution"], "nbgrader": {}})
    notebook.cells.insert(at(notebook, "kl-per-image"), own)
    made = taken(handed_in(tmp_path / "in", notebook), tmp_path).notebook
    place = at(made, "kl-per-image") - 1
    assert (made.cells[place].source, dict(made.cells[place].metadata)) == (own.source, {})


def test_text_is_no_html_and_keeps_its_pictures(tmp_path):
    notebook = solved()
    blur = notebook.cells[at(notebook, "blur")]
    blur.source = "$a<1$ <script>alert(1)</script> <img src=x onerror=alert(1)> ![seen](attachment:seen.png)"
    blur["attachments"] = {"seen.png": {"image/png": "AAAA", "text/html": "<script>"}, "bad": {"text/html": "x"}}
    notebook.cells.append(new_raw_cell("<script>alert(2)</script>"))
    made = taken(handed_in(tmp_path / "in", notebook), tmp_path).notebook
    text = made.cells[at(made, "blur")]
    assert "$a<1$" in text.source and "alert(1)" in text.source
    assert text.attachments == {"seen.png": {"image/png": "AAAA"}}
    assert not any("<script" in cell.source or "<img" in cell.source for cell in made.cells)


def test_a_copied_cell_that_became_a_helper_is_kept_beside_the_answer(tmp_path):
    notebook = solved()
    double("kl-per-image")(notebook)
    notebook.cells[at(notebook, "kl-per-image") + 1].source = "def half(x): return x / 2"
    made = taken(handed_in(tmp_path / "in", notebook), tmp_path).notebook
    assert sources(made)["kl-per-image"] == KL
    assert made.cells[at(made, "kl-per-image") + 1].source == "def half(x): return x / 2"


def test_what_editors_do_to_the_file(tmp_path):
    text = nbformat.writes(solved())
    crlf = json.loads(text)
    for cell in crlf["cells"]:
        cell["source"] = "".join(cell["source"]).replace("\n", "\r\n")
    old = json.loads(text)
    cells = [cell | {"input": cell["source"]} if cell["cell_type"] == "code" else cell for cell in old["cells"]]
    for cell in cells:
        cell.pop("source") if "input" in cell else None
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": cells}]}
    for k, data in enumerate(
        (b"\xef\xbb\xbf" + text.encode(), json.dumps(crlf).encode(), json.dumps(old).encode(), text.encode("utf-8"))
    ):
        folder = tmp_path / str(k)
        folder.mkdir()
        (folder / ("mine.ipynb" if k == 3 else NOTEBOOK)).write_bytes(data)
        made = taken(folder, folder)
        assert sources(made.notebook) == sources(solved())
        assert any("byte order mark" in remark or "mine.ipynb" in remark for remark in made.remarks) == (k in (0, 3))


def test_latin_1_costs_no_answer(tmp_path):
    (tmp_path / "in").mkdir()
    notebook = solved()
    notebook.cells[at(notebook, "kl-per-image")].source += "\n# für später"
    text = json.dumps(json.loads(nbformat.writes(notebook)), ensure_ascii=False)
    (tmp_path / "in" / NOTEBOOK).write_bytes(text.encode("latin-1", "replace"))
    assert sources(taken(tmp_path / "in", tmp_path).notebook)["kl-per-image"].endswith("# für später")


WITHOUT_A_KIND = {"nbformat": 4, "metadata": {}, "cells": [{"cell_type": 7, "metadata": {}, "source": ""}]}


def fifo(path):
    os.mkfifo(path)


REFUSED = {
    "a link": (lambda path: path.symlink_to("/etc/hostname"), "is a link .* Hand in the file itself"),
    "a pipe": (fifo, "is not a file. Hand in the file itself"),
    "a folder": (lambda path: path.mkdir(), "is not a file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "is a link"),
    "half a file": (lambda path: path.write_text('{"cells": ['), "is not valid JSON .* Fetch a fresh"),
    "deeper than any notebook": (lambda path: path.write_text("[" * 10**5), "is not valid JSON"),
    "no notebook": (lambda path: path.write_text("[]"), "is no notebook of format 4"),
    "too large": (lambda path: path.write_bytes(b" " * 26 * 10**6), "has 26 MB; .* Clear Outputs"),
    "a linked neighbour": (lambda path: os.link(path.parent / "other", path), "is a link to another file"),
    "a cell of no kind": (lambda path: path.write_text(json.dumps(WITHOUT_A_KIND)), "its list of cells is missing"),
    "nothing": (lambda path: None, "There are no notebook and none is called"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_with_reason_and_cure(tmp_path, name):
    make, told = REFUSED[name]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "other").write_text(nbformat.writes(solved()))
    make(tmp_path / "in" / NOTEBOOK)
    with pytest.raises(Refused, match=told):
        taken(tmp_path / "in", tmp_path)
    assert not (tmp_path / "taken" / NOTEBOOK).exists()


def test_a_submission_that_is_a_link_is_refused(tmp_path):
    handed_in(tmp_path / "ada", solved())
    (tmp_path / "eve").symlink_to(tmp_path / "ada")
    with pytest.raises(Refused, match="not a folder that can be read"):
        taken(tmp_path / "eve", tmp_path)


def test_only_runs_that_are_files_are_taken(tmp_path):
    folder = handed_in(tmp_path / "in", solved())
    (folder / "runs").mkdir()
    (folder / "secret").write_text("hidden tests")
    (folder / "runs" / "bce.safetensors").write_bytes(b"a run")
    (folder / "runs" / "mse.safetensors").symlink_to(folder / "secret")
    os.link(folder / "secret", folder / "runs" / "combined.safetensors")
    (folder / "runs" / "numpy.py").write_text("raise SystemExit")
    (folder / "ipykernel_launcher.py").write_text("raise SystemExit")
    made = taken(folder, tmp_path)
    left = {str(path.relative_to(tmp_path / "taken")) for path in (tmp_path / "taken").rglob("*") if path.is_file()}
    assert left == {NOTEBOOK, "runs/bce.safetensors"}
    assert [remark.split()[0] for remark in made.remarks] == ["runs/mse.safetensors", "runs/combined.safetensors"]


def test_a_folder_of_runs_that_is_a_link_gives_no_run(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "bce.safetensors").write_bytes(b"a classmate's")
    folder = handed_in(tmp_path / "in", solved())
    (folder / "runs").symlink_to(tmp_path / "theirs")
    assert taken(folder, tmp_path).remarks == ["runs is not a folder, so no run was taken from it."]
    assert not list((tmp_path / "taken" / "runs").iterdir())


def test_tests_and_given_cells_that_were_edited_are_named_and_as_they_were(tmp_path):
    notebook = solved()
    for name in ("test-sse", "setup"):
        notebook.cells[at(notebook, name)].source += "\n1 + 1"
    notebook.cells[at(notebook, "test-kl-shape")].source += "\n"
    made = taken(handed_in(tmp_path / "in", notebook), tmp_path)
    assert made.remarks == ["These cells are not as they were given and were put back: setup, test-sse."]
    assert sources(made.notebook) == sources(solved())
