"""Marks for a learning-management system: `python -m grading.lms canvas|moodle` (`make export LMS=canvas`).

Writes export/LMS/grades.csv, which the system imports, and export/LMS/feedback.zip with every student's page under the
name by which it finds the student.
"""

import argparse
import csv
import io
import re
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from course_utils.assignment.plan import ASSIGNMENT
from course_utils.files import atomic_path
from grading.course import CHECKOUT, students
from grading.handback import write_pages
from grading.hindrance import explained
from grading.report import Marked, rows

TITLE = "Assignment 4"
CANVAS_NAME = re.compile(
    r"^(?P<name>.+?)_(?:LATE_)?(?P<user>\d+)_\d+$"
)  # NAME_[LATE_]USER_FILE, as Canvas's zips have it
MOODLE_NAME = re.compile(r"^(?P<name>.+)_(?P<participant>\d+)$")  # NAME_PARTICIPANT
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would take for one


@dataclass(frozen=True)
class System:
    """How one system wants marks: the columns, one student's row, and the name of a page in the zip."""

    columns: tuple[str, ...]
    row: Callable[[Marked], tuple[str, ...]]
    page_name: Callable[[str], str]


def _canvas(row: Marked) -> tuple[str, ...]:
    """By Canvas's own number where the collected zip had it, else by the login."""
    found = CANVAS_NAME.match(row.student)
    number, login = (found["user"], "") if found else ("", row.student)
    return _text(found["name"] if found else row.student), number, _text(login), "", _points(row)


def _moodle(row: Marked) -> tuple[str, ...]:
    """By the participant's number where the collected folder had it, else by the name."""
    found = MOODLE_NAME.match(row.student)
    name, identifier = (found["name"], f"Participant {found['participant']}") if found else (row.student, row.student)
    waiting = f"{row.waiting} answers in words wait for a person." if row.waiting else "The page has the reasons."
    return _text(identifier), _text(name), _points(row), f"{row.auto_max + row.manual_max:g}", waiting


def _points(row: Marked) -> str:
    return f"{row.auto + row.manual:g}"


def _text(value: str) -> str:
    """A cell that a spreadsheet shows and does not compute."""
    return f"'{value}" if value.startswith(FORMULA) else value


SYSTEMS = {
    "canvas": System(
        ("Student", "ID", "SIS Login ID", "Section", TITLE), _canvas, lambda name: f"{name}_{ASSIGNMENT}.html"
    ),
    "moodle": System(
        ("Identifier", "Full name", "Grade", "Maximum Grade", "Feedback comments"),
        _moodle,
        lambda name: f"{name}_assignsubmission_file_/feedback.html",
    ),
}


def export(root: Path, name: str) -> list[str]:
    """Write the two files of the system `name`; return the students without marks, who are in neither."""
    system, folder = SYSTEMS[name], root / "export" / name
    marked = rows(root)
    pages = write_pages(root, [row.student for row in marked if not row.failed])
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\r\n")
    writer.writerows([system.columns, *(system.row(row) for row in marked if not row.failed)])
    with atomic_path(folder / "grades.csv") as scratch:
        scratch.write_text(table.getvalue(), encoding="utf-8", newline="")
    with atomic_path(folder / "feedback.zip") as scratch, zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED) as zipped:
        for student, path in pages.items():
            zipped.write(path, system.page_name(student))
    return [row.student for row in marked if row.failed]


def main(argv: Sequence[str] | None = None) -> int:
    """Export for one system, and say who is missing."""
    parser = argparse.ArgumentParser(prog="python -m grading.lms", description=__doc__.split("\n")[0])
    parser.add_argument("system", choices=SYSTEMS, help="make export LMS=canvas, or moodle")
    parser.add_argument("--root", type=Path, default=CHECKOUT, help="the course's folder (default: the checkout)")
    options = parser.parse_args(argv)
    root = options.root.resolve()
    if not students(root):
        print(f"Nothing is handed in: there is no submitted/STUDENT/{ASSIGNMENT}. Collect first.", file=sys.stderr)
        return 1
    without = export(root, options.system)
    print(f"{root / 'export' / options.system}: grades.csv and feedback.zip.")
    if without:
        print(f"Left out, for they have no marks: {', '.join(without)}. `make grade` says why.", file=sys.stderr)
    return int(bool(without))


if __name__ == "__main__":
    sys.exit(explained(main))
