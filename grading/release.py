"""Make what students get: `python -m grading.release` generates assignments/assignment4 from solutions/assignment4.

nbgrader empties the release folder before it can fail. So the release is made in a scratch folder, and takes the place
of the old one only when it is whole.
"""

import json
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.utils import compute_checksum, is_grade, is_locked, is_solution

from course_utils.assignment.plan import ASSIGNMENT, CELLS, NOTEBOOK
from grading.course import CHECKOUT, MarkingFailed, api, succeed
from tools.normal_form import normalise, read, write


def generate(target: Path, gradebook: Path | None = None) -> Path:
    """Write the release of the source in the checkout to the folder `target`, which must not exist; return it.

    With `gradebook`, the assignment's cells and points are entered there.  MarkingFailed if nbgrader refuses.
    """
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        shutil.copytree(CHECKOUT / "solutions" / ASSIGNMENT, root / "solutions" / ASSIGNMENT, ignore=_left_out)
        succeed(api(root, gradebook).generate_assignment(ASSIGNMENT))
        made = root / "assignments" / ASSIGNMENT
        notebook = normalise(read(made / NOTEBOOK))
        write(notebook, made / NOTEBOOK)
        (made / CELLS).write_text(json.dumps(cells_of(notebook), indent=1) + "\n", encoding="utf-8")
        shutil.move(made, target)
    return target


def cells_of(notebook: NotebookNode) -> dict[str, dict[str, Any]]:
    """What is looked for in a submission: grade_id -> kind, points, the heading above, a locked cell's checksum."""
    listed, heading = {}, ""
    for cell in notebook.cells:
        heading = _heading(cell) or heading
        meta = cell.metadata.get("nbgrader")
        if meta:
            kind = "answer" if is_solution(cell) else "test" if is_grade(cell) else "locked"
            listed[meta.grade_id] = {"kind": kind, "type": cell.cell_type, "points": meta.get("points", 0)}
            listed[meta.grade_id]["heading"] = heading
            if is_locked(cell):
                listed[meta.grade_id]["checksum"] = compute_checksum(cell)
    return listed


def _heading(cell: NotebookNode) -> str:
    """The last heading of a text cell, without its points."""
    found = re.findall(r"(?m)^#+ (.*?)(?: \(\d+ points?\))?$", cell.source) if cell.cell_type == "markdown" else []
    return found[-1] if found else ""


def _left_out(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name == "runs" or name.startswith((".", "__"))}


def main() -> int:
    """Release the assignment into assignments/ and enter it into the gradebook; 1 and a sentence if that fails."""
    released = CHECKOUT / "assignments" / ASSIGNMENT
    fresh, old = released.with_name(f".{ASSIGNMENT}.new"), released.with_name(f".{ASSIGNMENT}.old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        generate(fresh, CHECKOUT / "gradebook.db")
    except MarkingFailed as error:
        print(f"The old release stays; nbgrader refused the new one:\n{error}", file=sys.stderr)
        return 1
    if released.exists():
        released.rename(old)
    fresh.rename(released)
    shutil.rmtree(old, ignore_errors=True)
    print(f"{released.relative_to(CHECKOUT)}: {', '.join(sorted(path.name for path in released.iterdir()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
