"""Where sessions come from: a parent that stands by forks them, or else each starts, and imports, by itself.

A marking process has one parent, with one session at a time. There is none without a sandbox, where a sandbox may not
make namespaces of its own, or where Python lies in a folder that every session has for itself.
"""

import atexit
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from grading.guest import WRITABLE
from grading.plain import frame
from grading.sandbox import Place, environment, start, start_parent

START_SECONDS, END_SECONDS = 600, 20


class Process(Protocol):
    """A session's process, as it is spoken to."""

    stdin: IO[bytes]
    stdout: IO[bytes]

    def end(self) -> None:
        """End it and everything that it started."""


class Alone:
    """A session in a sandbox of its own, or in none."""

    def __init__(self, place: Place) -> None:
        self.process = start(place)
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def end(self) -> None:
        with suppress(ProcessLookupError):  # a sandbox that is still being built is more than one process
            os.killpg(self.process.pid, signal.SIGKILL)
        for stream in (self.stdin, self.stdout):
            with suppress(OSError):
                stream.close()
        self.process.wait()


class Forked:
    """A session that a parent has forked."""

    def __init__(self, parent: "Parent", runs: Path | None) -> None:
        theirs, ours = os.pipe()
        self.stdin = os.fdopen(ours, "wb", buffering=0)
        ours, other = os.pipe()
        self.stdout = os.fdopen(ours, "rb", buffering=0)
        try:
            socket.send_fds(parent.control, [b"."], [theirs, other])
        finally:
            os.close(theirs)
            os.close(other)
        paths = sorted(runs.iterdir()) if runs else []
        with suppress(BrokenPipeError):  # who waits for the first answer is told that there is none
            self.stdin.write(frame([path.name for path in paths], [path.read_bytes() for path in paths]))

    def answers(self, seconds: float) -> bytes:
        """Some of what it says, or nothing if it ends or takes longer."""
        ready, _, _ = select.select([self.stdout], [], [], max(0.0, seconds))
        return os.read(self.stdout.fileno(), 2**16) if ready else b""

    def end(self) -> None:
        with suppress(OSError):
            self.stdin.close()
        until = time.monotonic() + END_SECONDS
        while self.answers(until - time.monotonic()):  # until nobody is left who might say something
            pass
        self.stdout.close()


class Parent:
    """A sandbox in which a process waits that has imported everything."""

    def __init__(self, place: Place) -> None:
        self.settings = environment(place)
        self.control, theirs = socket.socketpair()
        with theirs:
            self.process = start_parent(place, theirs)
        self.able: bool | None = None

    def forks(self) -> bool:
        """Whether it can; the first time it is asked, it is tried."""
        if self.able is None:
            trial = Forked(self, None)
            self.able = bool(trial.answers(START_SECONDS))
            trial.end()
        return self.able and self.process.poll() is None

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.control.close()
        self.process.stdout.close()
        self.process.wait()


_parents: list[Parent] = []  # at most one
_unable: list[dict[str, str]] = []  # settings in which none can fork


def prepare() -> None:
    """Let a parent start that forks sessions, unless one stands by with the settings of now."""
    place = Place(Path(), True, Path())
    settings = environment(place)
    if _parents and (_parents[0].settings != settings or _parents[0].process.poll() is not None):
        end()
    if not _parents and settings not in _unable and not python_lies_in_the_way():
        _parents.append(Parent(place))


def begun(place: Place) -> Process:
    """A session that has begun, whether it can already be asked or not."""
    return (_forked(place) if place.confined else None) or Alone(place)


def _forked(place: Place) -> Forked | None:
    prepare()
    for parent in _parents:
        with suppress(OSError):
            if parent.forks():
                return Forked(parent, place.runs)
        if not parent.able:
            _unable.append(parent.settings)
        end()
    return None


def python_lies_in_the_way() -> bool:
    """Whether Python is below a folder that every session has for itself, so that none can be forked."""
    prefixes = {Path(sys.base_prefix), Path(sys.prefix)}
    return any(prefix.is_relative_to(folder) for prefix in prefixes for folder in WRITABLE)


@atexit.register
def end() -> None:
    """End the parent that stands by, if any, and its session."""
    while _parents:
        _parents.pop().end()
