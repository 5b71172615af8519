"""A full disk, a gradebook that somebody holds, a kill at any moment: one sentence with its cure, and nothing is lost.

Each fault strikes a process of its own, at one moment; marking then goes on, and must end in the grades, byte for byte,
of a marking that nothing disturbed.
"""

import builtins
import errno
import hashlib
import io
import os
import re
import resource
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest
from sqlalchemy.orm import Session

from grading import hindrance, judge, run
from grading.report import look
from tests.bank import Course, answers
from tests.test_grading_bank import ALL, hand_in
from tests.test_grading_resume import quick

DISK = "The disk is full"
LOCKED = "Another program holds gradebook.db"


@pytest.fixture(scope="module")
def untouched(tmp_path_factory) -> Path:
    """A course in which two have handed in and nobody is marked."""
    course = Course(tmp_path_factory.mktemp("course"))
    for name, replies in (("ann", answers()), ("bob", {})):
        hand_in(course, name, course.submission(replies))
    return course.root


@pytest.fixture(scope="module")
def expected(untouched, tmp_path_factory) -> bytes:
    """grades.csv where nothing goes wrong."""
    root = tmp_path_factory.mktemp("whole") / "course"
    shutil.copytree(untouched, root)
    assert alone(root)[0] == 0
    grades = (root / "grades.csv").read_bytes()
    assert grades.count(b"\n") == 3 and b"ann,,,,40.0" in grades
    return grades


@pytest.fixture
def course(untouched, tmp_path) -> Path:
    shutil.copytree(untouched, tmp_path / "course")
    return tmp_path / "course"


def alone(root: Path, fault: Callable[[], None] = lambda: None) -> tuple[int, str]:
    """Exit status (minus the signal) and stderr of marking in a process of its own, in which `fault` prepares one."""
    told = root.parent / "stderr"
    child = os.fork()
    if not child:
        status = 99
        try:
            with told.open("w") as sys.stderr, open(os.devnull, "w") as sys.stdout:
                with patch.object(run, "marked", quick()), patch.object(run, "require"):
                    fault()
                    status = run.main(["--root", str(root), "--jobs", "0"])
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), told.read_text()


def originals(root: Path) -> str:
    """A digest of everything that was handed in."""
    paths = sorted(path for path in (root / "submitted").rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(str(path).encode() + path.read_bytes() for path in paths)).hexdigest()


def struck(root: Path, fault: Callable[[], None], expected: bytes) -> tuple[int, str]:
    """What a marking that `fault` strikes says; the one after it must end as if nothing had been."""
    before = originals(root)
    ended = alone(root, fault)
    assert alone(root)[0] == 0
    assert (root / "grades.csv").read_bytes() == expected
    assert originals(root) == before
    assert not [row for row in look(root).marked if row.failed]
    assert not [*root.glob(".*"), *(root / "marking").glob("*/.*")]
    return ended


# At any moment


class Strike:
    """Counts what is written below `root` and what the gradebook commits; before the k-th, `blow` falls."""

    def __init__(self, root: Path, k: int, blow: Callable[[str], None]) -> None:
        self.root, self.left, self.blow = str(root), k, blow

    def __call__(self) -> None:
        for module, name in ((io, "open"), (os, "mkdir"), (os, "replace"), (os, "rename"), (Session, "commit")):
            setattr(module, name, self.wrapped(name, getattr(module, name)))
        builtins.open = io.open

    def wrapped(self, name: str, real: Callable) -> Callable:
        def call(first, *words, **options):
            mode = str(words[0] if words else options.get("mode", "r"))
            idle = name == "open" and not set(mode) & set("wxa+") or name == "mkdir" and os.path.isdir(first)
            if name == "commit" or str(first).startswith(self.root) and not idle:
                self.left -= 1
                if self.left == 0:
                    self.blow("gradebook.db" if name == "commit" else str(first))
            return real(first, *words, **options)

        return call


def full(path: str) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", path)


def killed(path: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def moments(untouched, tmp_path_factory) -> int:
    """How many there are in a whole marking."""
    root = tmp_path_factory.mktemp("counted") / "course"
    shutil.copytree(untouched, root)
    strike = Strike(root, 0, full)

    def count() -> None:
        strike()
        graded = run._graded
        run._graded = lambda *words: (graded(*words), print(-strike.left, file=sys.stderr))[0]

    status, told = alone(root, count)
    assert status == 0
    return int(told.split()[-1])


def some(fast: list[float]) -> list[float]:
    """Moments as shares of all, evenly spread."""
    return [k / 40 for k in range(40)] if ALL else fast


@pytest.mark.parametrize("share", some([0.1, 0.5]))
def test_a_disk_that_is_full_at_any_moment_is_one_sentence_and_loses_nothing(course, expected, moments, share):
    status, told = struck(course, Strike(course, 1 + int(share * moments), full), expected)
    assert status == hindrance.STATUS and "Traceback" not in told, told
    assert re.search(r"The disk is full.*\. Free some space\. Then say `make grade` again", told), told


@pytest.mark.parametrize("share", some([0.3, 0.7, 0.99]))
def test_a_driver_that_is_killed_at_any_moment_loses_nothing(course, expected, moments, share):
    assert moments > 30
    assert struck(course, Strike(course, 1 + int(share * moments), killed), expected)[0] == -signal.SIGKILL


def test_a_gradebook_that_cannot_grow_is_a_full_disk_too(course, expected):
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

    def later() -> None:
        entered = run._entered
        run._entered = lambda *words: (limit(), entered(*words))[1]

    status, told = struck(course, later, expected)
    assert status == hindrance.STATUS and DISK in told and "Traceback" not in told, told


def test_a_gradebook_that_somebody_holds_is_one_sentence(course, expected):
    with closing(sqlite3.connect(course / "gradebook.db")) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        status, told = alone(course)
        holder.rollback()
    assert status == hindrance.STATUS and "Traceback" not in told, told
    assert f"{LOCKED}, perhaps formgrader (make teach) or nbgrader. Close it. Then say `make grade` again" in told
    assert alone(course)[0] == 0
    assert (course / "grades.csv").read_bytes() == expected


# What is whose fault


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.ENOMEM])
def test_no_student_pays_for_a_machine_that_fails(number):
    session = judge.Session(None, [], {"test": "raise OSError(number, 'the machine')"})
    session.names["number"] = number
    with pytest.raises(OSError, match="the machine"):
        session._of_test("raise OSError(number, 'the machine')")


def test_a_missing_file_is_no_fault_of_the_machine():
    (told,) = judge.Session(None, [], {})._of_test("open('/nowhere/at-all')")
    assert told.ename == "FileNotFoundError"


def test_another_failure_is_one_sentence_too(capsys):
    def read_only() -> int:
        raise OSError(errno.EROFS, "Read-only file system", "/course/report.html")

    assert hindrance.explained(read_only) == hindrance.STATUS
    told = capsys.readouterr().err
    assert told.startswith("[Errno 30] Read-only file system: '/course/report.html' (OSError). Mend that. Then say")
    assert hindrance.explained(lambda: 7) == 7
