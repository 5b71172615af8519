"""A student's session seen from outside: it is asked for cells and calls, and may hang, die or lie.

What hangs or dies is stopped and started afresh, with the cells before it but without what stopped it.
"""

import os
import selectors
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from grading.guest import TOGETHER
from grading.plain import HEAD, Blobs, Json, NotPlain, frame, parse_frame
from grading.sandbox import Place
from grading.standby import START_SECONDS, Process, begun

CELL_SECONDS, CALL_SECONDS, ALL_SECONDS = 60, 30, 900
SHARE = 0.8  # of that time, after which the session itself stops what it does
MAX_REPLY = 2**26
MAX_STARTS, MAX_DEATHS = 12, 2  # of a session; of one function, after which it is not called again


class Gone(RuntimeError):
    """There is no answer; the message says why, as the end of a sentence about what was asked for."""


class Student:
    """One student's session in the sandbox, started when it is first needed."""

    def __init__(self, place: Place, seconds: float = ALL_SECONDS) -> None:
        self.place = place
        self.seconds, self.deadline = seconds, time.monotonic() + seconds
        self.process: Process | None = None
        self.ready = False
        self.done: list[str] = []  # cells that ran to their end, for a session that has to start afresh
        self.starts, self.deaths = 0, Counter()

    def __enter__(self) -> "Student":
        self.deadline = time.monotonic() + self.seconds
        self._started()
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def begin(self) -> None:
        """Start the session and do not wait for it.  Gone if that was done too often."""
        if self.starts >= MAX_STARTS:
            raise Gone("comes after too many restarts of the notebook")
        self.starts += 1
        self.process = begun(self.place)

    def end(self) -> None:
        """End the session and everything in it."""
        if self.process is not None:
            self.process.end()
        self.process, self.ready = None, False

    def cell(self, source: str) -> dict[str, Any]:
        """Run a cell.  Gone if it does not come to an end; it is then left out."""
        answer, _ = self._ask({"do": "cell", "source": source, "seconds": SHARE * CELL_SECONDS}, [], CELL_SECONDS)
        self.done.append(source)
        return answer

    def call(self, name: str, request: Json, blobs: Blobs) -> tuple[dict[str, Any], Blobs]:
        """Call a function of the notebook.  Gone if it does not come to an end."""
        if self.deaths[name] >= MAX_DEATHS:
            raise Gone("was stopped before and is not called again")
        try:
            asked = {"do": "call", "name": name, "seconds": SHARE * CALL_SECONDS} | request
            answer, back = self._ask(asked, blobs, CALL_SECONDS)
        except Gone:
            self.deaths[name] += 1
            raise
        self.deaths[name] += "raised" in answer and answer["raised"][:1] == ["Stopped"]
        return answer, back

    def _ask(self, request: Json, blobs: Blobs, seconds: float) -> tuple[dict[str, Any], Blobs]:
        self._started()
        try:
            answer, back = self._exchange(frame(request, blobs), seconds)
            if not isinstance(answer, dict):
                raise NotPlain("an answer is none")
        except (Gone, NotPlain) as error:
            self.end()
            raise Gone(str(error)) from error
        return answer, back

    def _started(self) -> None:
        """A session in which all cells so far have run.  Gone if it was started too often."""
        while not self.ready:
            if self.process is None:
                self.begin()
            try:
                self._exchange(b"", START_SECONDS)
            except (Gone, NotPlain) as error:
                self.end()
                raise Gone(f"could not be asked for: the notebook's process did not start ({error})") from error
            self.ready = True
            self._replay()

    def _replay(self) -> None:
        """Run the cells so far once more; one that does not end this time is left out from now on."""
        for k, source in enumerate(self.done):
            try:
                request = {"do": "cell", "source": source, "seconds": SHARE * CELL_SECONDS}
                self._exchange(frame(request, []), CELL_SECONDS)
            except (Gone, NotPlain):
                self.end()
                del self.done[k]
                return

    def _exchange(self, data: bytes, seconds: float) -> tuple[Json, Blobs]:
        """Send a frame, receive one, both before the time is up."""
        until = min(time.monotonic() + seconds, self.deadline)
        reader = _Reader()
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if data:
                os.set_blocking(self.process.stdin.fileno(), False)
                selector.register(self.process.stdin, selectors.EVENT_WRITE)
            while not reader.whole():
                events = selector.select(max(0.0, until - time.monotonic()))
                if not events:
                    raise Gone(f"took longer than {seconds:g} s and was stopped; look for a loop that does not end")
                for key, _ in events:
                    if key.fileobj is self.process.stdin:
                        data = self._sent(data, selector)
                    else:
                        reader.take(os.read(key.fd, 2**20))
        return parse_frame(*reader.parts())

    def _sent(self, data: bytes, selector: selectors.BaseSelector) -> bytes:
        """What is left to send."""
        try:
            rest = data[os.write(self.process.stdin.fileno(), data[:65_536]) :]
        except BrokenPipeError as error:
            raise Gone(ENDED) from error
        if not rest:
            selector.unregister(self.process.stdin)
        return rest


@contextmanager
def session(runs: Path, confined: bool) -> Iterator[Student]:
    """A session with a copy of these runs, and a folder of its own where there is no sandbox."""
    with tempfile.TemporaryDirectory(prefix="session-", ignore_cleanup_errors=True) as folder:
        for name in ("runs", "tmp"):
            Path(folder, name).mkdir()
        for path in runs.iterdir():
            shutil.copyfile(path, Path(folder, "runs", path.name))
        with Student(Place(Path(folder, "runs"), confined, Path(folder))) as student:
            yield student


ENDED = f"ended the process that it ran in, or took more than {TOGETHER / 2**30:.0f} GiB of memory in all"


class _Reader:
    """Collects one frame."""

    def __init__(self) -> None:
        self.data = bytearray()

    def take(self, data: bytes) -> None:
        if not data:
            raise Gone(ENDED)
        self.data += data
        if len(self.data) >= HEAD.size and sum(HEAD.unpack_from(self.data)) > MAX_REPLY:
            raise Gone(f"gave more than {MAX_REPLY / 2**20:.0f} MiB")

    def whole(self) -> bool:
        return len(self.data) >= HEAD.size and len(self.data) >= HEAD.size + sum(HEAD.unpack_from(self.data))

    def parts(self) -> tuple[bytes, bytes]:
        text, body = HEAD.unpack_from(self.data)
        rest = bytes(self.data[HEAD.size : HEAD.size + text + body])
        return rest[:text], rest[text:]
