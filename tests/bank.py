"""Submissions built from the assignment's source, marked by nbgrader as on an instructor's machine."""

import atexit
import copy
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from unittest.mock import patch

import torch
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from course_utils.assignment.plan import ASSIGNMENT, NOTEBOOK
from grading.course import CHECKOUT, configuration
from grading.marking import result_of
from grading.release import generate
from grading.run import mark
from grading.sandbox import NoSandbox, require
from tools.normal_form import read, write

BUNDLED = partial(patch.dict, os.environ, COURSE_DATA="bundled", OMP_NUM_THREADS=str(torch.get_num_threads()))


def sandboxed() -> bool:
    """Whether a student's code can be confined on this machine."""
    try:
        require()
    except NoSandbox:
        return False
    return True


def grade_id(cell: NotebookNode) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


@cache
def source() -> NotebookNode:
    return read(CHECKOUT / "solutions" / ASSIGNMENT / NOTEBOOK)


def answers() -> dict[str, str]:
    """grade_id -> the source of every answer cell of the solution, without the marks around the answer."""
    solved = (cell for cell in source().cells if cell.metadata.get("nbgrader", {}).get("solution"))
    return {grade_id(cell): re.sub(r"(?m)^ *### (BEGIN|END) SOLUTION\n?", "", cell.source).rstrip() for cell in solved}


@dataclass(frozen=True)
class Marks:
    """What nbgrader gave for each test, what it might have given, and what the test's cell said."""

    scores: dict[str, float]
    maxima: dict[str, float]
    said: dict[str, str]
    tracebacks: dict[str, list[str]]
    to_read: dict[str, float]
    remarks: list[str]

    @property
    def lost(self) -> dict[str, float]:
        return {name: self.maxima[name] - score for name, score in self.scores.items() if score < self.maxima[name]}

    @property
    def total(self) -> float:
        return sum(self.scores.values())


@cache
def _prepared() -> Path:
    """A folder with the release and the gradebook that every course of this process begins with."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    generate(folder / "release", folder / "gradebook.db")
    return folder


class Course:
    """A course folder with the released assignment, in which submissions are marked one after the other."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(_prepared(), root, dirs_exist_ok=True)
        self.released = read(root / "release" / NOTEBOOK)

    def submission(self, replies: Mapping[str, str]) -> NotebookNode:
        """The released notebook with these answers in the place of the stubs."""
        notebook = copy.deepcopy(self.released)
        for cell in notebook.cells:
            cell.source = replies.get(grade_id(cell), cell.source)
        return notebook

    def mark(self, student: str, notebook: NotebookNode, runs: Path | None, edit: Callable | None = None) -> Marks:
        """Hand in a notebook with a folder of runs (changed by `edit`), have nbgrader mark it, and read the marks."""
        folder = self.root / "submitted" / student / ASSIGNMENT
        folder.mkdir(parents=True)
        write(notebook, folder / NOTEBOOK)
        if runs is not None:
            shutil.copytree(runs, folder / "runs", copy_function=shutil.copyfile)
        if edit is not None:
            edit(folder)
        with BUNDLED():
            failed = mark(self.root, [student], confined=sandboxed())
        assert not failed, failed
        marks = self._marks(student)
        for part in ("submitted", "autograded", "marking"):
            shutil.rmtree(self.root / part / student)
        return marks

    def _marks(self, student: str) -> Marks:
        config = configuration(self.root)
        with Gradebook(config.CourseDirectory.db_url, "vae") as gradebook:
            grades = list(gradebook.find_submission_notebook(ASSIGNMENT, ASSIGNMENT, student).grades)
            tests = [grade for grade in grades if grade.cell.cell_type == "code"]
            scores = {grade.name: grade.auto_score for grade in tests}
            maxima = {grade.name: grade.max_score for grade in tests}
            to_read = {grade.name: grade.max_score for grade in grades if grade.needs_manual_grade}
        marked = read(self.root / "autograded" / student / ASSIGNMENT / NOTEBOOK)
        cells = {grade_id(cell): cell for cell in marked.cells if grade_id(cell) in scores}
        said = {name: _text(cell) for name, cell in cells.items()}
        tracebacks = {name: _traceback(cell) for name, cell in cells.items()}
        return Marks(scores, maxima, said, tracebacks, to_read, result_of(self.root, student).remarks)


def _traceback(cell: NotebookNode) -> list[str]:
    return [line for output in cell.outputs for line in output.get("traceback", [])]


def _text(cell: NotebookNode) -> str:
    parts = [
        output.get("text") or output.get("evalue") or output.get("data", {}).get("text/plain", "")
        for output in cell.outputs
    ]
    return "\n".join(parts)


def dealt(names: Iterable[str], clash: Callable[[str, str], bool]) -> list[list[str]]:
    """Names dealt out to groups in which no two clash: questions that stand alone are marked in one submission."""
    groups: list[list[str]] = []
    for name in names:
        free = (group for group in groups if not any(clash(name, other) for other in group))
        group = next(free, None)
        if group is None:
            groups.append([name])
        else:
            group.append(name)
    return groups
