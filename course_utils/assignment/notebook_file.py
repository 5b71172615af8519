"""Reading a notebook that may have been through anything, and what it should hold: cells by their grade_id."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from course_utils.assignment.plan import ASSIGNMENT, CELLS, MAX_MEGABYTES
from course_utils.runtime import course_root

FORMAT, OLD_FORMAT = 4, 3  # of notebooks
FLAGS = {"answer": (False, True), "test": (True, False), "locked": (False, False)}  # kind -> grade, solution
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Json = dict[str, Any]  # a notebook or a cell


class NotebookFile(NamedTuple):
    """What a file holds, each cell's source in one piece; and what Validate cannot read in it although we can."""

    content: Json
    faults: list[str]  # how each is said of the file: "begins with ..."


class Unreadable(ValueError):
    """The file holds no notebook; the message says why, with the file's name in front of it."""


def read_notebook(path: Path) -> NotebookFile:
    """The notebook at `path`: a byte order mark and an encoding other than UTF-8 are faults, all else is Unreadable."""
    if not path.is_file():
        raise Unreadable("is not a file.")
    if path.stat().st_size > MAX_MEGABYTES * 10**6:
        size = path.stat().st_size / 1e6
        raise Unreadable(f"has {size:.0f} MB; a submission may have {MAX_MEGABYTES} in all.")
    data = path.read_bytes()
    text, faults = _decoded(data)
    try:
        return NotebookFile(_parsed(text), faults)
    except ValueError as error:
        conflict = " It holds the marks of a git conflict." if "<<<<<<<" in text else ""
        raise Unreadable(f"cannot be read: {error}{conflict}") from error


def _decoded(data: bytes) -> tuple[str, list[str]]:
    faults = []
    if data.startswith(BYTE_ORDER_MARK):
        faults = ["begins with a byte order mark, which an editor put there; marking reads it, but Validate cannot."]
        data = data.removeprefix(BYTE_ORDER_MARK)
    try:
        return data.decode("utf-8"), faults
    except UnicodeDecodeError as error:
        told = f"is not encoded in UTF-8 (byte {error.start}) as it should be; marking reads it, but Validate cannot."
        return data.decode("latin-1"), [*faults, told]


def _parsed(text: str) -> Json:
    """The notebook in this text.  ValueError with a sentence for anything else."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not valid JSON ({error}).") from error
    if isinstance(content, dict) and content.get("nbformat") == OLD_FORMAT and content.get("worksheets"):
        content = _upgraded(content)
    if not isinstance(content, dict) or content.get("nbformat") != FORMAT:
        raise ValueError(f"it is no notebook of format {FORMAT}.")
    cells = content.get("cells")
    if not isinstance(cells, list) or not all(_is_cell(cell) for cell in cells):
        raise ValueError("its list of cells is missing or damaged.")
    for cell in cells:
        cell["source"] = "".join(cell["source"])
    return content


def _upgraded(content: Json) -> Json:
    """A notebook of format 3, which kept its cells in worksheets and code under another name."""
    sheets = content.get("worksheets")
    cells = [cell for sheet in sheets for cell in sheet["cells"]] if isinstance(sheets, list) else None
    for cell in cells or ():
        cell["source"] = cell.pop("input", cell.get("source"))
    return content | {"nbformat": FORMAT, "cells": cells}


def _is_cell(cell: object) -> bool:
    """Whether this is a cell as far as the checks read it."""
    if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
        return False
    source, meta = cell.get("source"), cell.get("metadata")
    lines = isinstance(source, str) or isinstance(source, list) and all(isinstance(line, str) for line in source)
    return lines and isinstance(meta, dict) and isinstance(meta.get("nbgrader", {}), dict)


def by_grade_id(notebook: Mapping[str, Any]) -> dict[str, list[Json]]:
    """The cells that nbgrader knows, by name; more than one where a cell was copied."""
    found: dict[str, list[Json]] = {}
    for cell in notebook["cells"]:
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if isinstance(grade_id, str):
            found.setdefault(grade_id, []).append(cell)
    return found


def defines(source: str, name: str) -> bool:
    """Whether this code defines the function that answers the cell called `name`."""
    function = re.escape(name.replace("-", "_"))
    return bool(re.search(rf"(?m)^(?:(?:async )?def {function}\b|class {function}\b|{function}\s*[:=])", source))


def is_valid(cell: Json) -> bool:
    """Whether nbgrader itself accepts the cell's metadata."""
    import nbformat  # it and nbgrader take seconds to import; a kernel that only marks need not wait for them
    from nbgrader.nbgraderformat import MetadataValidator

    try:
        MetadataValidator().validate_cell(nbformat.from_dict(cell))
    except Exception:
        return False
    return True


def checksum(cell: Json) -> str:
    """What nbgrader would write into the cell."""
    import nbformat
    from nbgrader.utils import compute_checksum

    return compute_checksum(nbformat.from_dict(cell))


def released_cells(folder: Path) -> dict[str, Json] | None:
    """What was given out, by grade_id: cells.json beside the notebook, or else the checkout's; None without either."""
    for place in (folder, course_root() / "assignments" / ASSIGNMENT):
        try:
            listed = json.loads((place / CELLS).read_text(encoding="utf-8"))
            if listed and all(_is_released(cell) for cell in listed.values()):
                return listed
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None


def _is_released(cell: Json) -> bool:
    return cell["kind"] in FLAGS and cell["points"] >= 0 and bool(cell["type"]) and isinstance(cell["heading"], str)
