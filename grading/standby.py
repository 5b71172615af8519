"""Sessions that start while the one before is being judged, so that nobody waits for their imports."""

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from grading.sandbox import Place, environment
from grading.student import Student


class Waiting(NamedTuple):
    """A session that nobody uses yet, and in which settings it was started."""

    student: Student
    settings: dict[str, str]


_waiting: list[Waiting] = []  # at most one


@contextmanager
def session(runs: Path, confined: bool, more: bool) -> Iterator[Student]:
    """A session with a copy of these runs; while it is used another one starts, if `more` are to come."""
    student = _taken(confined)
    try:
        for path in runs.iterdir():
            shutil.copyfile(path, student.place.runs / path.name)
        if more:
            _waiting.append(_begun(confined))
        with student:
            yield student
    finally:
        _end(student)


def _taken(confined: bool) -> Student:
    """The session that waits, if it was started as one would be now, or else a new one."""
    while _waiting:
        student, settings = _waiting.pop()
        if student.place.confined == confined and settings == environment(student.place):
            return student
        _end(student)
    return _begun(confined).student


def _begun(confined: bool) -> Waiting:
    folder = Path(tempfile.mkdtemp(prefix="session-"))
    for name in ("runs", "tmp"):
        (folder / name).mkdir()
    student = Student(Place(folder / "runs", confined, folder))
    student.begin()
    return Waiting(student, environment(student.place))


def _end(student: Student) -> None:
    student.end()
    shutil.rmtree(student.place.folder, ignore_errors=True)


@atexit.register
def end() -> None:
    """End the session that waits, if any."""
    while _waiting:
        _end(_waiting.pop().student)
