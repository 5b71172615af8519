"""A student's cells on the released notebook: which is whose, whatever was copied, cut, moved or renamed.

A cell is known by its grade_id, or else by its text; an answer by the function that it defines. The release's own cells
and tests stand as they were given. Cells of the student's own stay behind the cell that they followed.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbgrader.utils import is_solution

from course_utils.assignment.notebook_file import defines

NEW = {"code": new_code_cell, "markdown": new_markdown_cell}
TAG = re.compile(r"<(?=[A-Za-z/!?])")  # the begin of what a page would take for HTML
NO_TAG = "<\u200b"  # looks the same
ELSEWHERE = "# (this cell was not handed in; its function stands in another one)"
TEXT_STUB = "Your answer here."

Cell = dict[str, Any]


class Placed(NamedTuple):
    """A notebook whose given cells are the release's, and what was put right."""

    notebook: NotebookNode
    remarks: list[str]


def place(cells: Sequence[Cell], release: NotebookNode) -> Placed:
    """Put `cells` (cell_type, source, name, attachments) on `release`, which is changed."""
    given = {_name(cell): cell for cell in release.cells if _name(cell)}
    known = [_known(k, cells, release, given) for k in range(len(cells))]
    chosen = {name: _answer(name, cells, known, given[name]) for name in given if is_solution(given[name])}
    edited = [name for cell, name in zip(cells, known) if name and _is_edited(cell, given[name])]
    behind: dict[str, list[NotebookNode]] = {}
    last = _name(release.cells[0])
    for k, (cell, name) in enumerate(zip(cells, known)):
        last = name or last
        if _is_own(k, cell, name, given, chosen):
            behind.setdefault(last, []).append(_fresh(cell, f"own-{k}"))
    whole = "\n\n".join(cell["source"] for cell in cells if cell["cell_type"] == "code")
    for name, k in chosen.items():
        _fill(given[name], cells[k] if k is not None else None, whole)
    release.cells = [part for cell in release.cells for part in [cell, *behind.get(_name(cell), [])]]
    return Placed(release, _remarks(known, given, edited))


def _name(cell: NotebookNode) -> str:
    """grade_id, or the id that a text of the release has."""
    return cell.metadata.get("nbgrader", {}).get("grade_id") or cell.get("id", "")


def _known(k: int, cells: Sequence[Cell], release: NotebookNode, given: dict[str, NotebookNode]) -> str:
    """The name of the released cell that this one is, or an empty string for a cell of the student's own."""
    cell = cells[k]
    if cell["name"] in given:
        return cell["name"]
    names = {other["name"] for other in cells}
    for name, released in given.items():
        if name in names:
            continue
        if is_solution(released):
            if _is_lost_answer(k, cells, released, release):
                return name
        elif cell["source"].strip() and cell["source"].strip() == released.source.strip():
            return name
    return ""


def _is_lost_answer(k: int, cells: Sequence[Cell], released: NotebookNode, release: NotebookNode) -> bool:
    """Whether this is the answer to `released` that lost its mark: it defines the function, or follows the question."""
    if released.cell_type == "code":
        return cells[k]["cell_type"] == "code" and defines(cells[k]["source"], _name(released))
    above = release.cells[release.cells.index(released) - 1].source.strip()
    return k > 0 and cells[k]["cell_type"] == "markdown" and cells[k - 1]["source"].strip() == above


def _answer(name: str, cells: Sequence[Cell], known: Sequence[str], released: NotebookNode) -> int | None:
    """Of the copies of an answer's cell, the last that answers; the last of all if none does."""
    copies = [k for k, other in enumerate(known) if other == name]
    written = [k for k in copies if _is_written(cells[k]["source"], released)]
    if released.cell_type == "code":
        written = [k for k in written if defines(cells[k]["source"], name)] or written
    return (written or copies or [None])[-1]


def _is_written(source: str, released: NotebookNode) -> bool:
    return bool(source.strip()) and source.strip() not in (released.source.strip(), TEXT_STUB)


def _is_own(k: int, cell: Cell, name: str, given: dict[str, NotebookNode], chosen: dict[str, int | None]) -> bool:
    """Whether this cell stays one of the student's own: unknown, or another copy of an answer."""
    if not name:
        return bool(cell["source"].strip())
    return name in chosen and chosen[name] != k and _is_written(cell["source"], given[name])


def _is_edited(cell: Cell, released: NotebookNode) -> bool:
    """Whether a cell that nbgrader locks, a test or a given one, has another text than it was given with."""
    locked = released.metadata.get("nbgrader") and not is_solution(released)
    return bool(locked) and cell["source"].strip() != released.source.strip()


def _fresh(cell: Cell, name: str) -> NotebookNode:
    return _with_text(NEW[cell["cell_type"]](id=name), cell)


def _fill(released: NotebookNode, cell: Cell | None, whole: str) -> None:
    """Put an answer into its cell; where that was lost and its function stands elsewhere, nothing."""
    if cell is not None:
        _with_text(released, cell)
    elif released.cell_type == "code" and defines(whole, _name(released)):
        released.source = ELSEWHERE


def _with_text(made: NotebookNode, cell: Cell) -> NotebookNode:
    """That cell with a student's text, in which nothing is HTML, and its pictures."""
    made.source = cell["source"] if made.cell_type == "code" else TAG.sub(NO_TAG, cell["source"])
    if made.cell_type == "markdown" and cell.get("attachments"):
        made.attachments = cell["attachments"]
    return made


def _remarks(known: Sequence[str], given: dict[str, NotebookNode], edited: Sequence[str]) -> list[str]:
    graded = [name for name, cell in given.items() if cell.metadata.get("nbgrader")]
    gone = [name for name in graded if name not in known]
    twice = [name for name in graded if known.count(name) > 1]
    told = f"These cells are missing in the notebook and were put back: {', '.join(gone)}."
    copied = f"There were several cells of {', '.join(twice)}; of an answer, the last that answers counts."
    changed = f"These cells are not as they were given and were put back: {', '.join(dict.fromkeys(edited))}."
    return [*([told] if gone else []), *([copied] if twice else []), *([changed] if edited else [])]
