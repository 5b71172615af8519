"""Make `.venv` with everything the course needs: `python3 tools/bootstrap.py` (standard library only).

It does nothing where `.venv` is up to date, goes on where an install was interrupted, and says in one sentence what is
missing. It runs on Python 3.6 and later, so that an interpreter too old for the course can say which one is needed.

Environment: PYTHON names the interpreter to use; CONSTRAINTS=none takes the newest versions that pyproject.toml allows
instead of those in constraints.txt.
"""

import errno
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from typing import Callable, Dict, List, Optional, Tuple

MINIMUM = (3, 11)
NEWER_NAMES = ("python3.14", "python3.13", "python3.12", "python3.11")
FREE_GB = 4
LOG = os.path.join("build", "setup.log")
LAST_LINES = 15
WIDTH = 100
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
VERSION = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
HAS_VENV = "import ensurepip, venv"
HAS_PIP = "import pip; " + VERSION
WORKS = "import course_utils, torch, torchvision, matplotlib.pyplot"  # pyplot: its font cache is built here, once
NETWORK = r"NewConnectionError|Max retries|name resolution|ProxyError|ConnectTimeout|ReadTimeout|Network is unreachable"
VERSIONS = r"No matching distribution|Could not find a version|ResolutionImpossible|conflicting dependencies"

OWN_COPY = "copy this folder to one of your own (without .venv), then run again there"

Result = Tuple[int, str]


class Missing(Exception):
    """What is missing, in one sentence that ends in the cure."""


def run_command(argv: List[str], cwd: str, show: Optional[Callable[[str], None]] = None) -> Result:
    """Run a command and return its exit code and output; `show` is given each line when it comes."""
    lines = []
    try:
        process = subprocess.Popen(
            argv, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, errors="replace"
        )
    except OSError as error:
        return 127, str(error)
    with process:
        for line in process.stdout:
            lines.append(line)
            if show:
                show(line)
    return process.returncode, "".join(lines)


class Progress:
    """One line that says what pip is at and for how long, rewritten each second on a terminal; the rest goes to a log.

    A context manager whose instances are called with pip's lines.  Where the output is no terminal, it stands once.
    """

    def __init__(self, log: str, title: str) -> None:
        """Nothing is written before the block begins."""
        self.log, self.title, self.step, self.packages = log, title, "", 0
        self.live, self.start, self.done = sys.stdout.isatty(), time.time(), threading.Event()
        self.clock = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> "Progress":
        folder = os.path.dirname(self.log)
        if not os.path.isdir(folder):
            os.makedirs(folder)
        self.file = open(self.log, "w", encoding="utf-8")
        print("%s; the log is %s" % (self.title, self.log), flush=True)
        if self.live:
            self.clock.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.done.set()
        if self.live:
            self.clock.join()
            self._write("")
        self.file.close()

    def __call__(self, line: str) -> None:
        """Keep one line of pip's and see what it is at."""
        self.file.write(line)
        self.file.flush()
        self.packages += line.startswith("Collecting ")
        self.step = doing(line, self.packages) or self.step

    def _tick(self) -> None:
        while not self.done.wait(1):
            self._write("  %d s: %s" % (time.time() - self.start, self.step))

    def _write(self, text: str) -> None:
        sys.stdout.write("\r" + text[:WIDTH].ljust(WIDTH) + ("" if text else "\r"))
        sys.stdout.flush()


def doing(line: str, packages: int) -> Optional[str]:
    """What a line of pip's says it is doing, in a few words; None for the other lines."""
    words = line.split()
    if words[:1] == ["Collecting"]:
        return "package %d, %s" % (packages, words[1])
    if words[:1] == ["Downloading"]:
        return "downloading %s" % " ".join([words[1].rsplit("/", 1)[-1]] + words[2:])
    if line.startswith("Installing collected packages"):
        return "unpacking %d packages" % len(line.split(","))
    return None


def free_bytes(folder: str) -> int:
    """Free bytes on the disk that holds `folder`."""
    return shutil.disk_usage(folder).free


class Setup:
    """One course folder and the tools to set it up; the tests pass stand-ins for `run`, `free` and `which`."""

    def __init__(
        self,
        root: str,
        env: Dict[str, str],
        run: Callable[..., Result] = run_command,
        free: Callable[[str], int] = free_bytes,
        which: Callable[[str], Optional[str]] = shutil.which,
    ) -> None:
        """Remember where things are; nothing is touched before `bring_up_to_date`."""
        self.root, self.env, self.run, self.free, self.which = root, env, run, free, which
        self.venv = os.path.join(root, ".venv")
        self.python = os.path.join(self.venv, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))
        self.stamp = os.path.join(self.venv, "course-stamp")
        self.newest = env.get("CONSTRAINTS") == "none"

    def bring_up_to_date(self) -> bool:
        """Create or complete `.venv`; False where there was nothing to do."""
        version = self.usable_venv()
        if version and self.stamped() == self.fingerprint(version):
            return False
        self.check_owner()
        self.check_disk()
        if not version:
            self.create_venv(self.find_python())
        self.install()
        self.verify()
        self.write_stamp()
        return True

    def check_owner(self) -> None:
        """Refuse to touch what this account cannot use, or what was set up by another one."""
        if not os.access(self.root, os.W_OK):
            raise Missing("You may not write in %s: %s." % (self.root, OWN_COPY))
        if os.path.lexists(self.venv) and (out_of_reach(self.python) or not owned(self.venv)):
            raise Missing("%s was set up by another account: %s." % (self.venv, OWN_COPY))

    def usable_venv(self) -> Optional[str]:
        """The version of `.venv`'s Python; None where it is absent, broken, moved, or not the PYTHON asked for."""
        if not os.path.exists(self.python) or self.stamped()[1:] not in ([], [self.root]):
            return None
        code, output = self.run([self.python, "-c", HAS_PIP], cwd=self.root)
        version = output.strip() if code == 0 else None
        asked = self.env.get("PYTHON")
        wanted = self.version(asked) if asked and version else None
        return None if wanted and wanted[:2] != parse_version(version)[:2] else version

    def stamped(self) -> List[str]:
        """The stamp's two lines, the fingerprint of a finished install and its folder; [] without a stamp."""
        if not os.path.exists(self.stamp):
            return []
        with open(self.stamp, encoding="utf-8") as file:
            return file.read().split("\n")

    def fingerprint(self, version: str) -> List[str]:
        """What the stamp says after an install with this Python version and the present requirement files."""
        digest = hashlib.sha256(version.encode())
        digest.update(b"newest" if self.newest else b"pinned")
        for name in ("pyproject.toml", "constraints.txt"):
            with open(os.path.join(self.root, name), "rb") as file:
                digest.update(file.read())
        return [digest.hexdigest(), self.root]

    def write_stamp(self) -> None:
        """Mark the install as finished."""
        version = self.run([self.python, "-c", VERSION], cwd=self.root)[1].strip()
        with open(self.stamp, "w", encoding="utf-8") as file:
            file.write("\n".join(self.fingerprint(version)))

    def version(self, python: str) -> Optional[Tuple[int, ...]]:
        """The version of an interpreter given by name or path; None where it does not start."""
        path = python if os.path.dirname(python) else self.which(python)
        code, output = self.run([path, "-c", VERSION], cwd=self.root) if path else (127, "")
        return parse_version(output) if code == 0 else None

    def find_python(self) -> str:
        """The first interpreter that is new enough and can make virtual environments."""
        asked = self.env.get("PYTHON")
        running = getattr(sys, "_base_executable", sys.executable)  # not `.venv`'s own, where that is active
        found = {name: self.version(name) for name in ([asked] if asked else [running, *NEWER_NAMES])}
        recent = [name for name, version in found.items() if version and version >= MINIMUM]
        for name in recent:
            if self.run([name, "-c", HAS_VENV], cwd=self.root)[0] == 0:
                return name
        raise Missing(no_venv_module(found[recent[0]]) if recent else no_python(asked, found))

    def create_venv(self, python: str) -> None:
        """Make `.venv` anew; a broken one is removed."""
        if os.path.exists(self.venv):
            shutil.rmtree(self.venv)
        code, output = self.run([python, "-m", "venv", self.venv], cwd=self.root)
        if code:
            raise Missing("%s could not create .venv (%s): mend that, then run again." % (python, last_error(output)))

    def check_disk(self) -> None:
        """Refuse to begin a download that cannot fit; what is already installed needs no room."""
        free = self.free(self.root) / 1e9
        if free < FREE_GB and not glob.glob(os.path.join(self.venv, "**", "site-packages", "torch"), recursive=True):
            text = "Only %.1f GB of disk space are free and the course needs %d GB: free some space, then run again."
            raise Missing(text % (free, FREE_GB))

    def install(self) -> None:
        """Install the course and its dependencies with pip, which says what it does in the log."""
        if suggests_cpu_wheels(self.env, self.which):
            text = "No NVIDIA GPU found: with PIP_EXTRA_INDEX_URL=%s set, the download is 2.6 GB smaller."
            print(text % CPU_WHEELS, flush=True)
        pins = ["--upgrade", "--upgrade-strategy", "eager"] if self.newest else ["-c", "constraints.txt"]
        argv = [self.python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        with Progress(os.path.join(self.root, LOG), "Installing the course's packages into .venv") as show:
            code, output = self.run([*argv, *pins, "-e", ".[test]"], cwd=self.root, show=show)
        if code:
            print("".join(output.splitlines(True)[-LAST_LINES:]), flush=True)
            raise Missing(explain_pip(output))

    def verify(self) -> None:
        """Import what every lesson imports."""
        code, output = self.run([self.python, "-c", WORKS], cwd=self.root)
        if code:
            text = "The installed packages do not work together (%s): delete the folder .venv, then run again."
            raise Missing(text % last_error(output))


def out_of_reach(path: str) -> bool:
    """Whether something is there that this account may not look at or start: no proof that it is broken."""
    try:
        os.stat(path)
    except OSError as error:
        return error.errno == errno.EACCES
    return not os.access(path, os.X_OK)


def owned(path: str) -> bool:
    """Whether this account made that folder, as far as the system knows accounts; the administrator owns everything."""
    me = getattr(os, "geteuid", lambda: 0)()
    return me in (0, os.stat(path).st_uid)


def parse_version(text: str) -> Tuple[int, ...]:
    """`"3.11.7"` as (3, 11, 7)."""
    return tuple(int(part) for part in re.findall(r"\d+", text))


def no_python(asked: Optional[str], found: Dict[str, Optional[Tuple[int, ...]]]) -> str:
    """The sentence for an interpreter that is absent or too old."""
    if asked:
        seen = "PYTHON=%s is %s" % (asked, dotted(found[asked]) if found[asked] else "no interpreter that starts")
    else:
        seen = "none was found (this is %s)" % dotted(sys.version_info[:3])
    cure = "install a newer one from your system's packages or python.org, or name one with PYTHON=python3.12"
    return "The course needs Python %s or later and %s: %s." % (dotted(MINIMUM), seen, cure)


def no_venv_module(version: Tuple[int, ...]) -> str:
    """The sentence for an interpreter without the modules that make virtual environments."""
    name = "python" + dotted(version[:2])
    text = "This Python %s has no venv module: install it (on Debian: sudo apt install %s-venv), then run again."
    return text % (dotted(version), name)


def dotted(version: Tuple[int, ...]) -> str:
    """`(3, 11)` as "3.11"."""
    return ".".join(str(part) for part in version)


def suggests_cpu_wheels(env: Dict[str, str], which: Callable[[str], Optional[str]]) -> bool:
    """Whether pip would fetch CUDA libraries for a Linux machine that shows no NVIDIA GPU."""
    chosen = "PIP_EXTRA_INDEX_URL" in env or "PIP_INDEX_URL" in env
    return sys.platform.startswith("linux") and not chosen and which("nvidia-smi") is None


def last_error(output: str) -> str:
    """The last line that pip or Python marks as an error, or else the last line of all."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    marked = [line for line in lines if re.match(r"ERROR:|\w*Error\b", line)]
    return (marked or lines or ["no message"])[-1].rstrip(".")


def explain_pip(output: str) -> str:
    """The sentence for a failed install: the kind of failure, pip's last error line and the cure."""
    again = "then run again: the install goes on where it stopped"
    if re.search(NETWORK, output):
        kind, cure = "could not reach the package index", "check the network connection, " + again
    elif re.search("No space left", output):
        kind, cure = "ran out of disk space", "free some, " + again
    elif re.search(VERSIONS, output):
        kind = "found no fitting version of a package"
        cure = "try another interpreter (PYTHON=python3.12) or the newest versions (CONSTRAINTS=none)"
    else:
        kind, cure = "failed", "mend what it names, " + again
    return "pip %s (%s): %s." % (kind, last_error(output), cure)


def main() -> int:
    """Set the course up and return the exit code."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    try:
        if Setup(root, dict(os.environ)).bring_up_to_date():
            print("The course is set up in .venv.", flush=True)
    except KeyboardInterrupt:
        print("\nInterrupted: run again, and the install goes on where it stopped.", file=sys.stderr)
        return 130
    except (Missing, OSError) as error:
        print(error if isinstance(error, Missing) else "The set-up could not finish: %s." % error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
