"""Marks one submission and leaves what came of it as one file; the gradebook is somebody else's (`grading.book`).

Everything lies in `marking/STUDENT/`: `taken/` is the submission as it is marked, `result.json` its outputs or why
there are none, `booked.json` which of them the gradebook has. A result counts for exactly what it was made from.
"""

import hashlib
import json
import os
import shutil
import time
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from course_utils.assignment.plan import ASSIGNMENT, NOTEBOOK
from course_utils.files import atomic_path
from grading.course import CHECKOUT
from grading.intake import Refused, take
from grading.standby import prepare
from grading.student import Gone, session
from tools.normal_form import read

MARKING, RESULT, BOOKED = "marking", "result.json", "booked.json"
RELEASED, SOURCE = (CHECKOUT / folder / ASSIGNMENT / NOTEBOOK for folder in ("assignments", "solutions"))
DECIDING = ("grading/*.py", "course_utils/*.py", "course_utils/assignment/*.py")
MAX_READ = 30 * 10**6  # bytes of a file that tell it from another


class Result(NamedTuple):
    """What came of a submission: the outputs of its cells by their ids, or why it was refused."""

    key: str
    refused: str
    remarks: list[str]
    outputs: dict[str, list[dict[str, Any]]]
    confined: bool
    seconds: float


def marked(root: Path, student: str, confined: bool) -> Result:
    """Mark a submission, unless that has been done with the same files; what came of it is kept."""
    place = root / MARKING / student
    key = fingerprint(root, student, confined)
    kept = result_of(root, student)
    if kept is not None and kept.key == key and not kept.refused:
        return kept
    began = time.monotonic()
    shutil.rmtree(place / "taken", ignore_errors=True)
    refused, remarks, outputs = "", [], {}
    try:
        remarks, outputs = _mark(root, student, place / "taken", confined)
    except (Refused, Gone) as error:
        refused = str(error)
    result = Result(key, refused, remarks, outputs, confined, round(time.monotonic() - began, 1))
    with atomic_path(place / RESULT) as scratch:
        scratch.write_text(json.dumps(result._asdict()), encoding="utf-8")
    return result


def _mark(root: Path, name: str, taken: Path, confined: bool) -> tuple[list[str], dict[str, list]]:
    if confined:
        prepare()  # which imports meanwhile what this process imports, too
    # Imported only here, for who keeps the books need not hold networks and data in memory.
    from grading.alike import keep_sketches
    from grading.judge import judged
    from grading.replay import doubts

    release, source = _notebooks()
    notebook, remarks = take(root / "submitted" / name / ASSIGNMENT, release, taken)
    with session(taken / "runs", confined) as student:
        outputs = judged(notebook, source, student, taken)
    keep_sketches(root, name)
    failed = [test for test, told in outputs.items() if any(output["output_type"] == "error" for output in told)]
    return [*remarks, *doubts(taken, failed)], outputs


@cache
def _notebooks() -> tuple[Any, Any]:
    return read(RELEASED), read(SOURCE)


def result_of(root: Path, student: str) -> Result | None:
    """What is kept of this student's marking, if anything."""
    return _read(root / MARKING / student / RESULT)


def note_booked(root: Path, student: str, key: str) -> None:
    """Note that the gradebook has the result with this key."""
    with atomic_path(root / MARKING / student / BOOKED) as scratch:
        scratch.write_text(json.dumps(key), encoding="utf-8")


def is_booked(root: Path, student: str, confined: bool) -> bool:
    """Whether the gradebook has the marks of just this submission."""
    try:
        noted = json.loads((root / MARKING / student / BOOKED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    there = (root / "autograded" / student / ASSIGNMENT / NOTEBOOK).exists()
    return there and noted == fingerprint(root, student, confined)


def _read(path: Path) -> Result | None:
    try:
        return Result(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def fingerprint(root: Path, student: str, confined: bool) -> str:
    """Names what marks depend on: the submission's files, release and hidden tests, the marker, and the sandbox."""
    folder = root / "submitted" / student / ASSIGNMENT
    digest = hashlib.sha256(f"{_marker()} {confined} {os.environ.get('COURSE_DATA')}".encode())
    paths = [folder] if folder.is_symlink() else sorted([*folder.glob("*"), *folder.glob("runs/*")])
    for path in paths:
        digest.update(f"\0{path.relative_to(folder)}\0{_content(path)}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:24]


def _content(path: Path) -> str:
    """A digest of a file; for anything else what it is."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_READ:
            return str(path.lstat()[:2]) + str(path.lstat().st_size)
        return f"{path.stat().st_nlink} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    except OSError as error:
        return str(error.strerror)


@cache
def _marker() -> str:
    paths = [RELEASED, SOURCE, *(path for pattern in DECIDING for path in sorted(CHECKOUT.glob(pattern)))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:24]
