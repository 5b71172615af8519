"""The student's side of marking: runs cells and calls functions in the sandbox, and answers in plain data.

It shares its process with the student's code, so nothing that it says is believed: an answer is a value to be judged.
`python -c "from grading.guest import main; main()"` takes frames on its standard input and answers on its output.
"""

import os
import re
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import partial
from io import StringIO
from pathlib import Path
from typing import IO, Any

OUTSIDE_UID = "GUEST_UID"  # to become, where the sandbox was started by root
PROCESSES = "GUEST_PROCESSES"
OWNER = "GUEST_OF"  # the process that marks, by its number
FONTS = "GUEST_FONTS"  # Matplotlib's list of fonts, which takes seconds to make
MIB = 2**20
MEMORY, CPU_SECONDS, FILE_SIZE, OPEN_FILES = 6144 * MIB, 900, 64 * MIB, 512
TOGETHER = 8192 * MIB  # of all processes of a session
WRITABLE, FOLDER_SIZE = ("/hand-in", "/tmp", "/dev/shm"), 128 * MIB  # folders in memory, and the size of each
MAX_TEXT = 20_000  # characters of what a cell prints
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b.|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
WARM = (
    *("pandas", "torch", "course_utils.assignment.questions", "course_utils.assignment.run_questions"),
    *("matplotlib.pyplot", "course_utils.plotting", "matplotlib_inline.backend_inline", "PIL.PngImagePlugin"),
    *("pandas.io.formats.html", "IPython.core.interactiveshell", "sklearn.datasets", "torchvision.datasets"),
)


def confine() -> None:
    """Give up every privilege and take limits that cannot be raised again, before anything else is done."""
    import resource

    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if OUTSIDE_UID in os.environ:
        uid = int(os.environ[OUTSIDE_UID])
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    for name, limit in (
        *(("RLIMIT_CORE", 0), ("RLIMIT_FSIZE", FILE_SIZE), ("RLIMIT_NOFILE", OPEN_FILES), ("RLIMIT_AS", MEMORY)),
        *(("RLIMIT_CPU", CPU_SECONDS), ("RLIMIT_NPROC", int(os.environ.get(PROCESSES, 512)))),
    ):
        with suppress(AttributeError, ValueError, OSError):  # not every system has each of them
            resource.setrlimit(getattr(resource, name), (limit, limit))


def main() -> None:
    """Confine this process, and serve requests on its input until that ends."""
    confine()
    requests, replies, nothing = os.dup(0), os.dup(1), os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    serve(requests, replies)


def serve(requests: int, replies: int) -> None:
    """Import what every notebook does, unless that is done, and answer the frames that come through a pipe."""
    _take_fonts()
    Guest().serve(os.fdopen(requests, "rb"), os.fdopen(replies, "wb"))


def _take_fonts() -> None:
    folder = Path(os.environ["MPLCONFIGDIR"])
    folder.mkdir(parents=True, exist_ok=True)
    for path in Path(os.environ.get(FONTS) or folder).glob("fontlist*.json"):
        with suppress(OSError, shutil.SameFileError):
            shutil.copy(path, folder)


class Guest:
    """An IPython session that is asked for cells and calls."""

    def __init__(self) -> None:
        from importlib import import_module
        from types import ModuleType

        for name in WARM:
            import_module(name)
        import_module("numpy").random.seed()  # nobody's random numbers are those of the student before
        self.home = Path.cwd()
        sys.modules["__main__"] = main_module = ModuleType("__main__")
        self.shell, self.shown = _session(main_module)
        self.names = main_module.__dict__

    def serve(self, requests: IO[bytes], replies: IO[bytes]) -> None:
        """Answer each frame with a frame."""
        from grading.plain import HEAD, frame, parse_frame

        self._send(replies, frame("ready", []))
        while len(head := requests.read(HEAD.size)) == HEAD.size:
            sizes = HEAD.unpack(head)
            request, blobs = parse_frame(*(requests.read(size) for size in sizes))
            answer, back = {"cell": self.cell, "call": self.call}[request["do"]](request, blobs)
            try:
                self._send(replies, frame(answer, back))
            except ValueError as error:
                self._send(replies, frame(_raised("the answer", error) | {"printed": "", "changed": []}, []))

    def _send(self, replies: IO[bytes], data: bytes) -> None:
        replies.write(data)
        replies.flush()

    def cell(self, request: dict[str, Any], blobs: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
        """Run a cell: what it printed and showed, and the error if there was one."""
        self.shown.clear()
        printed = _Limited()
        with redirect_stdout(printed), redirect_stderr(_Limited()), _limited(request):
            result = self.shell.run_cell(request["source"], store_history=True)
        error = result.error_before_exec or result.error_in_exec
        shown = [data for data in map(_plain_data, self.shown) if data]
        return {"printed": printed.text(), "shown": shown, "error": error and _error(error)}, []

    def call(self, request: dict[str, Any], blobs: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
        """Call a function of the notebook: its value or error, what it changed, printed and warned of."""
        from grading.plain import pack, unpack

        arguments, named = unpack(request["arguments"], blobs), unpack(request["named"], blobs)
        given = [*arguments, *named.values()]
        before = [_bytes_of(value) for value in given]
        printed, back = _Limited(), []
        with redirect_stdout(printed), redirect_stderr(_Limited()), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            answer = self._called(request, arguments, named, back)
        answer["changed"] = []
        for k, value in enumerate(given):
            if _bytes_of(value) != before[k]:
                answer["changed"].append([k, pack(value, back)])
        told = [str(warning.message)[:300] for warning in warned[:5]]
        return answer | {"printed": printed.text(), "warned": told}, back

    def _called(self, request: dict, arguments: list, named: dict, back: list[bytes]) -> dict[str, Any]:
        from course_utils.assignment.questions import gradients_here
        from grading.plain import pack

        name = request["name"]
        try:
            asked = partial(gradients_here, self.names[name]) if request.get("gradients") else self.names[name]
            with chdir(self.home), _limited(request):
                return {"value": pack(asked(*arguments, **named), back)}
        except KeyError as error:
            missing = error.args == (name,) and name not in self.names
            return _raised(name, NameError(f"name {name!r} is not defined") if missing else error)
        except BaseException as error:
            return _raised(name, error)


class Stopped(BaseException):
    """What is raised in a cell or call that takes too long; one that does not heed it is ended from outside."""


@contextmanager
def _limited(request: dict[str, Any]) -> Iterator[None]:
    seconds = int(request.get("seconds", 0))

    def stop(number: int, frame: Any) -> None:
        raise Stopped(f"it took longer than {seconds} s; look for a loop that does not end")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def _bytes_of(value: Any) -> list[bytes]:
    from grading.plain import pack

    blobs: list[bytes] = []
    pack(value, blobs)
    return blobs


def _raised(name: str, error: BaseException) -> dict[str, Any]:
    from course_utils.assignment.answers import Unanswered, place

    message = str(error)[:MAX_TEXT]
    kind = "Unanswered" if isinstance(error, Unanswered) else type(error).__name__
    return {"raised": [kind, message, place(name, error)]}


def _session(main_module: Any) -> tuple[Any, list[dict[str, Any]]]:
    """An IPython shell in that module, and the list in which it puts what it shows."""
    from IPython.core.displayhook import CapturingDisplayHook
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "NoColor"}})
    shell = InteractiveShell.instance(config=config, user_module=main_module)
    shell.display_pub = CapturingDisplayPublisher()
    shell.display_trap.hook = CapturingDisplayHook(shell=shell, outputs=shell.display_pub.outputs)
    shell.enable_gui = lambda gui=None: None  # for %matplotlib; there is no window to open
    shell.enable_matplotlib("inline")
    shell.showtraceback = shell.showsyntaxerror = lambda *words, **options: None  # the error itself is told
    return shell, shell.display_pub.outputs


def _plain_data(shown: dict[str, Any]) -> dict[str, str]:
    """Of what was displayed, the text and the picture."""
    import base64

    data = dict(shown.get("data") or {})
    picture = data.get("image/png")
    encoded = base64.b64encode(picture).decode() if isinstance(picture, bytes) else picture
    text = clean(str(data.get("text/plain", "")))
    return {"text/plain": text} | ({"image/png": encoded} if isinstance(encoded, str) else {})


def _error(error: BaseException) -> dict[str, Any]:
    from course_utils.assignment.answers import place

    lines: Callable[[], list[str]] = getattr(error, "_render_traceback_", lambda: [])
    told = [clean(str(line)) for line in lines()][:5]
    name, value = type(error).__name__, clean(str(error))
    return {"ename": name, "evalue": value, "traceback": told or [f"{name}: {value}{clean(place('', error))}"]}


def clean(text: str) -> str:
    """Text without terminal escapes, control characters and turns of the reading direction, and not too much of it."""
    whole = ESCAPES.sub("", text[: 2 * MAX_TEXT])
    return whole if len(whole) <= MAX_TEXT else f"{whole[:MAX_TEXT]}\n… (cut)"


class _Limited(StringIO):
    """Keeps the beginning of what is printed."""

    def write(self, text: str) -> int:
        if self.tell() <= 2 * MAX_TEXT:
            super().write(text[: 2 * MAX_TEXT])
        return len(text)

    def text(self) -> str:
        return clean(self.getvalue())
