"""What of a submission is marked: the student's cells on the released notebook, and the runs; nothing else comes in.

Every file is opened without following links and copied first: whatever a submission is, only its bytes are read.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

from course_utils.assignment.finding import FRESH
from course_utils.assignment.notebook_file import Json, Unreadable, read_notebook
from course_utils.assignment.plan import MAX_MEGABYTES, NOTEBOOK, RUNS
from grading.placing import Placed, place

MAX_CELLS = 2_000
MAX_OWN = 10**6  # characters in all of a student's cells
PICTURES = ("image/png", "image/jpeg")
TIMESTAMP = "timestamp.txt"  # nbgrader's, of the time when a submission was handed in
READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class Refused(ValueError):
    """The submission cannot be marked; the message says why, and what to do."""


class Taken(NamedTuple):
    """A submission as it is marked, and what a person should know of how it came in."""

    notebook: NotebookNode
    remarks: list[str]


def take(folder: Path, release: NotebookNode, target: Path) -> Taken:
    """Copy what counts of the submission in `folder` to `target`, its cells on the release.  Refused with the cure."""
    target.mkdir(parents=True, exist_ok=True)
    with _opened(folder) as place_of:
        notebook, remarks = _notebook(place_of, target)
        remarks += _runs(place_of, target)
        _copied(place_of, TIMESTAMP, target / TIMESTAMP, 100)
    try:
        placed = rebuilt(notebook, release)
        nbformat.write(placed.notebook, target / NOTEBOOK)
    except (nbformat.ValidationError, AttributeError, KeyError, RecursionError, TypeError) as error:
        raise Refused(f"The notebook is damaged ({type(error).__name__}). {FRESH}") from error
    return Taken(placed.notebook, [*remarks, *placed.remarks])


def rebuilt(content: Json, release: NotebookNode) -> Placed:
    """The release with the answers and own cells of the notebook `content`.  Refused if they are too many."""
    cells = content["cells"]
    if len(cells) > MAX_CELLS or sum(len(cell["source"]) for cell in cells) > MAX_OWN:
        raise Refused(f"The notebook has {len(cells)} cells, or more text than anybody writes. {FRESH}")
    placed = place([_plain(cell) for cell in cells], deepcopy(release))
    nbformat.validate(placed.notebook)
    return placed


def _plain(cell: Json) -> Json:
    """Of a cell, what may come in: its type, its text, the id by which the release knows it, and pictures in text."""
    kind = "code" if cell["cell_type"] == "code" else "markdown"
    name = cell["metadata"].get("nbgrader", {}).get("grade_id")
    source = cell["source"].replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()
    plain = {"cell_type": kind, "source": source, "name": name if isinstance(name, str) else ""}
    return plain | ({"attachments": _pictures(cell.get("attachments"))} if kind == "markdown" else {})


def _pictures(attached: object) -> dict[str, dict[str, str]]:
    """Pictures that were pasted into a text."""
    found = {}
    for name, kinds in attached.items() if isinstance(attached, dict) else ():
        if isinstance(kinds, dict):
            shown = {kind: kinds[kind] for kind in PICTURES if isinstance(kinds.get(kind), str)}
            found |= {name: shown} if shown else {}
    return found


# The files


def _notebook(folder: int, target: Path) -> tuple[Json, list[str]]:
    """The notebook, under its own name or, if there is only one, any other.  Refused for anything else."""
    names = sorted(name for name in os.listdir(folder) if name.endswith(".ipynb") and not name.startswith("."))
    if NOTEBOOK not in names and len(names) != 1:
        told = "no notebook" if not names else f"{len(names)} notebooks"
        raise Refused(f"There are {told} and none is called {NOTEBOOK}. Name the one to be marked {NOTEBOOK}.")
    name = NOTEBOOK if NOTEBOOK in names else names[0]
    copy = target / NOTEBOOK
    fault = _copied(folder, name, copy, MAX_MEGABYTES * 10**6)
    if fault:
        raise Refused(f"{_shown(name)} {fault} {_cure(fault)}")
    try:
        content, faults = read_notebook(copy)
    except Unreadable as error:
        raise Refused(f"{_shown(name)} {error} {_cure(str(error))}") from error
    finally:
        copy.unlink(missing_ok=True)
    renamed = [] if name == NOTEBOOK else [f"The notebook was called {_shown(name)}; it is the only one, so it counts."]
    return content, [*renamed, *(f"The notebook {fault.split(';')[0]}; it was read all the same." for fault in faults)]


def _runs(folder: int, target: Path) -> list[str]:
    """Copy the runs that are files; say of what is none."""
    (target / "runs").mkdir(exist_ok=True)
    try:
        runs = os.open("runs", READ | os.O_DIRECTORY, dir_fd=folder)
    except OSError:
        return [] if "runs" not in os.listdir(folder) else ["runs is not a folder, so no run was taken from it."]
    try:
        told = {f"{name}.safetensors": "" for name in RUNS}
        for name in set(os.listdir(runs)) & told.keys():
            told[name] = _copied(runs, name, target / "runs" / name, MAX_MEGABYTES * 10**6)
    finally:
        os.close(runs)
    return [f"runs/{name} {fault} It was left out." for name, fault in told.items() if fault]


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    try:
        place_of = os.open(folder, READ | os.O_DIRECTORY)
    except OSError as error:
        raise Refused(
            f"The submission is not a folder that can be read ({error.strerror}). Collect it anew."
        ) from error
    try:
        yield place_of
    finally:
        os.close(place_of)


def _copied(folder: int, name: str, target: Path, limit: int) -> str:
    """Copy a plain file; an empty string if that went well or there is none, else what is wrong with it."""
    try:
        source = os.open(name, READ, dir_fd=folder)
    except FileNotFoundError:
        return ""
    except OSError:
        return "is a link or no file that can be read."
    found = os.fstat(source)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1 or found.st_size > limit:
        os.close(source)
        if not stat.S_ISREG(found.st_mode):
            return "is not a file."
        too_large = f"has {found.st_size / 1e6:.0f} MB; a submission may have {MAX_MEGABYTES} in all."
        return too_large if found.st_size > limit else "is a link to another file."
    with os.fdopen(source, "rb") as file:
        target.write_bytes(file.read(limit))
    return ""


def _shown(name: str) -> str:
    """A file's name that can be printed: whoever handed it in chose it."""
    return ascii(name)[1:-1][:60] if not name.isprintable() else name[:60]


def _cure(fault: str) -> str:
    if "MB" in fault:
        return "Choose Edit → Clear Outputs of All Cells, save, and hand in again."
    return "Hand in the file itself." if "link" in fault or "not a file" in fault else FRESH
