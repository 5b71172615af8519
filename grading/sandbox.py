"""Where a student's code runs: bubblewrap's namespaces, a read-only course, no network, limits, no privileges.

Inside there is the system's /usr, this Python, `course_utils`, `weights`, the released assignment and the data sets,
all read-only, the submission's own runs, and small folders in memory. Everything in it ends with its first process.
"""

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from grading.course import CHECKOUT
from grading.guest import FOLDER_SIZE, FONTS, OUTSIDE_UID, OWNER, PROCESSES

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/fonts", "/etc/alternatives")
COURSE = ("course_utils", "weights", "assignments")  # what of the checkout a student has, too
MARKER = ("__init__.py", "plain.py", "guest.py", "parent.py")  # what of the marker serves the student's code
PASSED_ON = ("COURSE_DATA", "COURSE_PRECISION", "COURSE_PROFILE", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")
SESSION, PARENT = (("-c", f"from grading.{name} import main; main()") for name in ("guest", "parent"))
BECOME = ("CAP_SETUID", "CAP_SETGID")  # another user than root
DIVIDE = ("CAP_SYS_ADMIN", "CAP_KILL")  # make namespaces in the sandbox, and end what is in them
CLOSED = ("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/hand-in", "--")  # the last of the mounts
MISSING = (
    "bubblewrap is not installed, so a student's code cannot be kept apart from hidden tests and other people's work"
)
FORBIDDEN = "bubblewrap may not make namespaces here"
CURES = (
    "Install it (Debian, Ubuntu: apt install bubblewrap), or say --unsafe-no-sandbox to mark without.",
    "Ask for a machine or container that allows user namespaces (Ubuntu 24.04: an AppArmor profile for bwrap; Docker: "
    "--security-opt seccomp=unconfined), or say --unsafe-no-sandbox to mark without.",
)


class NoSandbox(RuntimeError):
    """A student's code cannot be confined on this machine; the message says why, and what to change."""


class Place(NamedTuple):
    """Where a guest runs: its runs outside, whether there is a sandbox around it, and a folder for one without."""

    runs: Path
    confined: bool
    folder: Path


def require() -> None:
    """NoSandbox with one sentence unless bubblewrap works here."""
    reason = _why_not()
    if reason:
        raise NoSandbox(reason)


@cache
def _why_not() -> str:
    tool = shutil.which("bwrap")
    if tool is None:
        return f"{MISSING}. {CURES[0]}"
    probe = [tool, *_namespaces(), "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--", "/bin/true"]
    done = subprocess.run(probe, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    said = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
    return f"{FORBIDDEN} ({said}). {CURES[1]}" if done.returncode else ""


def start(place: Place) -> subprocess.Popen:
    """A guest that takes frames on its stdin and answers on its stdout; it ends when either of these processes does."""
    wrapped = [*_wrapped(), "--ro-bind", str(place.runs), "/hand-in/runs", *CLOSED] if place.confined else []
    return _started([*wrapped, sys.executable, *SESSION], place, subprocess.PIPE)


def start_parent(place: Place, control: socket.socket) -> subprocess.Popen:
    """A parent of guests, which takes the pipes to each of them from this socket and ends when this process does."""
    return _started([*_wrapped(*DIVIDE), *CLOSED, sys.executable, *PARENT], place, control)


def _started(command: list[str], place: Place, stdin: int | socket.socket) -> subprocess.Popen:
    return subprocess.Popen(
        command,
        env=environment(place),
        cwd="/" if place.confined else place.folder,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        close_fds=True,
    )


def _wrapped(*rights: str) -> list[str]:
    """bubblewrap and its mounts, for a command with these rights inside."""
    shown = [part for path in _readable() for part in _bind(path)]
    course = [part for name in COURSE for part in ("--ro-bind", str(CHECKOUT / name), f"/course/{name}")]
    marker = [
        part for name in MARKER for part in ("--ro-bind", str(CHECKOUT / "grading" / name), f"/marker/grading/{name}")
    ]
    return [
        *(str(shutil.which("bwrap")), *_namespaces(*rights)),
        *("--die-with-parent", "--new-session", "--hostname", "sandbox"),
        *_in_memory("/tmp"),  # first, for this Python may lie below it
        *(*_above([*_readable(), Path("/marker/grading/x"), Path("/course/notebooks/x")]), *shown, *course, *marker),
        *(part for data in _data() for part in ("--ro-bind", str(data), "/course/data")),
        *("--ro-bind", str(_fonts()), "/marker/fonts"),
        *("--proc", "/proc", "--dev", "/dev", *_in_memory("/hand-in"), *_in_memory("/dev/shm")),
    ]


def _in_memory(folder: str) -> list[str]:
    """A folder that anybody may write to, and that is gone with the sandbox."""
    return ["--perms", "1777", "--size", str(FOLDER_SIZE), "--tmpfs", folder]


def _namespaces(*rights: str) -> list[str]:
    """All of them; root needs none for users, but the right to become another user inside."""
    apart = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    as_root = os.geteuid() == 0
    had = [part for right in (*BECOME * as_root, *rights) for part in ("--cap-add", right)]
    return [*apart, *([] if as_root else ["--unshare-user"]), "--cap-drop", "ALL", *had]


def _readable() -> Iterator[Path]:
    """The system's folders, and those that this Python lies in."""
    yield from (Path(name) for name in SYSTEM if os.path.lexists(name))
    for prefix in dict.fromkeys((sys.base_prefix, sys.prefix)):
        if not Path(prefix).is_relative_to("/usr"):
            yield Path(prefix)


def _above(paths: Iterable[Path]) -> list[str]:
    """The folders above these paths, for bubblewrap would make them for root alone."""
    folders = sorted({folder for path in paths for folder in path.parents} - {Path("/"), Path("/tmp")})
    system = tuple(map(Path, SYSTEM))
    return [
        part
        for folder in folders
        if not any(map(folder.is_relative_to, system))
        for part in ("--perms", "0755", "--dir", str(folder))
    ]


def _bind(path: Path) -> list[str]:
    if path.is_symlink() and path.parent == Path("/"):
        return ["--symlink", os.readlink(path), str(path)]
    return ["--ro-bind", str(path), str(path)]


def _data() -> list[Path]:
    folder = Path(os.environ.get("COURSE_DATA_DIR") or CHECKOUT / "data")
    return [folder.resolve()] if folder.is_dir() else []


@cache
def _fonts() -> Path:
    """A folder that anybody may read with Matplotlib's list of fonts, which is made now if there is none yet."""
    import matplotlib
    import matplotlib.font_manager

    folder = Path(tempfile.mkdtemp(prefix="fonts-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    for path in Path(matplotlib.get_cachedir()).glob("fontlist*.json"):
        shutil.copyfile(path, folder / path.name)
    return folder


def environment(place: Place) -> dict[str, str]:
    """The variables that are set in a session, and no others."""
    home = "/hand-in" if place.confined else str(place.folder)
    temporary = "/tmp" if place.confined else str(place.folder / "tmp")
    parts = ("/marker", "/course") if place.confined else (str(CHECKOUT),)
    own = {
        **{"HOME": home, "USER": "student", "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "TMPDIR": temporary},
        **{"PYTHONPATH": os.pathsep.join(parts), "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        **{"NBGRADER_EXECUTION": "autograde", "MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        **{"MPLCONFIGDIR": f"{temporary}/matplotlib", "IPYTHONDIR": f"{temporary}/ipython", "OMP_NUM_THREADS": "1"},
        **{OWNER: str(os.getpid()), FONTS: "/marker/fonts" if place.confined else str(_fonts())},
    }
    if _data():
        own["COURSE_DATA_DIR"] = "/course/data" if place.confined else str(_data()[0])
    if place.confined and os.geteuid() == 0:
        own |= {OUTSIDE_UID: str(60_000 + os.getpid() % 5_000), PROCESSES: "64"}
    return own | {name: os.environ[name] for name in PASSED_ON if name in os.environ}
