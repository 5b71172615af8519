"""Mark what was handed in: `python -m grading` (`make grade`).

Everything in submitted/ that has no marks yet is autograded, one after the other in this process. Then one table shows
every student, and below it what a person should look at. The exit status is 1 where a submission could not be marked.
"""

import argparse
import re
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nbgrader.api import MissingEntry
from nbgrader.apps import NbGraderAPI
from sqlalchemy.exc import SAWarning
from tqdm.auto import tqdm

from course_utils.assignment.plan import ASSIGNMENT, NOTEBOOK
from grading.course import CHECKOUT, api, students
from grading.report import page

EXCEPTION = re.compile(r"^\s*([A-Za-z_][\w.]*(?:Error|Exception|Died))(:.*)$", re.MULTILINE)
EMPTY_WORDS = "NbGraderException"  # it only says that there was a failure
MAX_REASON = 200
NO_NOTEBOOK = "No notebooks found"  # in nbgrader's log
MEANINGS = {
    "SchemaTooOldError": "a cell was copied, or its nbgrader metadata are of another version",
    "SchemaTooNewError": "a cell has nbgrader metadata of another version",
    "ValidationError": "a cell has nbgrader metadata that are damaged or do not belong here",
}
INTERRUPTED = "KeyboardInterrupt"


def mark(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Autograde these students' submissions; student -> reason for each that nbgrader could not mark.

    nbgrader takes Ctrl-C for a failure of the submission it is at; here it stops the marking.
    """
    course, failed = api(root), {}
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # nbgrader's own queries; nobody here can mend them
            result = course.autograde(ASSIGNMENT, name)
        if not result["success"]:
            failed[name] = _reason(result)
            if failed[name].startswith(INTERRUPTED):
                raise KeyboardInterrupt
    return failed


def unmarked(root: Path) -> list[str]:
    """Students whose last submission has no marks yet."""
    course = api(root)
    return [name for name in students(root) if not _has_marks(course, root, name)]


def _has_marks(course: NbGraderAPI, root: Path, student: str) -> bool:
    """Whether an autograded copy is there, no file came after it, and the gradebook has the submission's time.

    Downloaded zips bring no time, so nbgrader alone would not notice that one was collected anew.
    """
    copy = root / "autograded" / student / ASSIGNMENT / NOTEBOOK
    files = (root / "submitted" / student / ASSIGNMENT).rglob("*")
    if not copy.exists() or any(path.lstat().st_mtime > copy.stat().st_mtime for path in files):
        return False
    try:
        with course.gradebook as gradebook:
            marked = gradebook.find_submission(ASSIGNMENT, student).timestamp
        return marked == course.get_submitted_timestamp(ASSIGNMENT, student)
    except (MissingEntry, ValueError, OSError):  # no marks, or a time stamp that is none: marking says so
        return False


def _reason(result: Mapping[str, str]) -> str:
    """The exception behind a failure: the last in nbgrader's log, or else the first in its traceback."""
    error, log = result.get("error") or "", result.get("log") or ""
    if error.strip().endswith(INTERRUPTED):
        return INTERRUPTED
    found = [*reversed(EXCEPTION.findall(log)), *EXCEPTION.findall(error)]
    told = [f"{name.split('.')[-1]}{text}" for name, text in found if not name.endswith(EMPTY_WORDS)]
    if not told:
        return f"no notebook is called {NOTEBOOK}" if NO_NOTEBOOK in log else "nbgrader gave no reason"
    name = told[0].split(":")[0]
    return f"{MEANINGS[name]} ({name})" if name in MEANINGS else told[0][:MAX_REASON]


def main(argv: Sequence[str] | None = None) -> int:
    """Mark what is new, or with --all everything, and print the page."""
    parser = argparse.ArgumentParser(prog="python -m grading", description="Autograde and report.")
    parser.add_argument("--root", type=Path, default=CHECKOUT, help="the course's folder (default: the checkout)")
    parser.add_argument("--all", action="store_true", help="mark again what has been marked")
    options = parser.parse_args(argv)
    root = options.root.resolve()
    names = students(root) if options.all else unmarked(root)
    try:
        failed = mark(root, tqdm(names, desc="marking", unit="submission", disable=not names))
    except KeyboardInterrupt:
        print("Interrupted. What is marked stays marked; `make grade` goes on with the rest.", file=sys.stderr)
        return 130
    print(page(root, failed))
    return int(bool(failed))
