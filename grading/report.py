"""What marking says: a table of all students, and below it what a person should look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.plugins import CsvExportPlugin

from course_utils.assignment.answer_code import borrowed
from course_utils.assignment.plan import ASSIGNMENT, NOTEBOOK
from course_utils.assignment.run_checks import UNVERIFIED
from course_utils.files import atomic_path
from grading.alike import same_numbers, same_runs
from grading.course import configuration, students
from grading.marking import result_of

BORROWED = "BORROWED: "
UNGRADABLE = "UNGRADABLE"
UNSAFE = (
    "MARKED WITHOUT A SANDBOX: students' code ran as the user who marks, with all that this user may read and write."
)


@dataclass(frozen=True)
class Marked:
    """One student's row: points by program, points by person so far, cells that wait for a person, and remarks."""

    student: str
    auto: float = 0.0
    auto_max: float = 0.0
    manual: float = 0.0
    manual_max: float = 0.0
    waiting: int = 0
    late: bool = False
    remarks: list[str] = field(default_factory=list)
    failed: bool = False


# What the gradebook and the marked notebooks say


def rows(root: Path, failed: Mapping[str, str] | None = None) -> list[Marked]:
    """One row per student who handed in; `failed` holds the reasons for those that could not be marked."""
    failed, config = failed or {}, configuration(root)
    with Gradebook(config.CourseDirectory.db_url, config.CourseDirectory.course_id) as gradebook:
        return [
            Marked(name, remarks=_why_not(root, name, failed.get(name)), failed=True)
            if name in failed or not (root / "autograded" / name / ASSIGNMENT).exists()
            else _row(gradebook, root, name)
            for name in students(root)
        ]


def _row(gradebook: Gradebook, root: Path, student: str) -> Marked:
    submission = gradebook.find_submission(ASSIGNMENT, student)
    grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
    tests = [grade for grade in grades if grade.cell.cell_type == "code"]
    written = [grade for grade in grades if grade.cell.cell_type != "code"]
    marked = nbformat.read(root / "autograded" / student / ASSIGNMENT / NOTEBOOK, as_version=4)
    return Marked(
        student,
        auto=sum(grade.score for grade in tests),  # a mark by hand stands in the place of the program's
        auto_max=sum(grade.max_score for grade in tests),
        manual=sum(grade.score for grade in written),
        manual_max=sum(grade.max_score for grade in written),
        waiting=sum(grade.needs_manual_grade for grade in written),
        late=submission.total_seconds_late > 0,
        remarks=[*_about_intake(root, student), *unverified(marked), *_about_borrowed(marked)],
    )


def _about_intake(root: Path, student: str) -> list[str]:
    """What was put right or left out when the submission came in."""
    result = result_of(root, student)
    return result.remarks if result else []


def unverified(marked: NotebookNode) -> list[str]:
    """One sentence about the runs that the marked notebook says it could not verify."""
    printed = "".join(output.get("text", "") + "\n" for cell in marked.cells for output in cell.get("outputs", []))
    said = [line.removeprefix(UNVERIFIED).split() for line in printed.splitlines() if line.startswith(UNVERIFIED)]
    paths = dict.fromkeys(words[0] for words in said if words)
    where = "this machine does not have their images; docs/instructors.md says what to do."
    return [f"{UNVERIFIED}{', '.join(paths)}: {where}"] if paths else []


def _about_borrowed(marked: NotebookNode) -> list[str]:
    """One sentence about answers that leave their work to the course; the tests cannot tell them from others."""
    told = [
        f"{name.replace('-', '_')} leaves its work to {', '.join(paths)}" for name, paths in borrowed(marked).items()
    ]
    return [f"{BORROWED}{'; '.join(told)}. The points are given; whether they count is yours to say."] if told else []


def _why_not(root: Path, student: str, reason: str | None) -> list[str]:
    """Why there are no marks, and what to do."""
    kept = result_of(root, student)
    return [f"{UNGRADABLE}: {reason or (kept and kept.refused) or 'not tried yet'}"]


# The page


def page(root: Path, failed: Mapping[str, str] | None = None) -> str:
    """The table, then the remarks, then what two students share."""
    marked = rows(root, failed)
    if not marked:
        return f"Nothing is handed in: there is no submitted/STUDENT/{ASSIGNMENT}. Collect first."
    remarks = [f"{row.student}: {remark}" for row in marked for remark in row.remarks]
    blocks = [table(marked), "\n".join(remarks), "\n".join([*same_runs(root), *same_numbers(root)])]
    return "\n\n".join(block for block in blocks if block)


def table(marked: Sequence[Marked]) -> str:
    """One line per student, in columns."""
    head = ("student", "program", "person", "to read", "remarks")
    lines = [head, *(_line(row) for row in marked)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join("  ".join(f"{text:<{width}}" for text, width in zip(line, widths)).rstrip() for line in lines)


def _line(row: Marked) -> tuple[str, ...]:
    if row.failed:
        return row.student, "–", "–", "–", UNGRADABLE
    told = ["late"] * row.late + ["UNVERIFIED"] * any(text.startswith(UNVERIFIED) for text in row.remarks)
    told += ["BORROWED"] * any(text.startswith(BORROWED) for text in row.remarks)
    told += ["put right"] * any(not text.startswith((UNVERIFIED, BORROWED)) for text in row.remarks)
    program, person = f"{row.auto:g} of {row.auto_max:g}", f"{row.manual:g} of {row.manual_max:g}"
    return row.student, program, person, str(row.waiting), ", ".join(told)


def page_html(root: Path, failed: Mapping[str, str] | None, text: str) -> str:
    """The page to be opened in a browser; nothing that a student wrote is more than text in it."""
    kept = [result_of(root, student) for student in students(root)]
    unsafe = any(result is not None and not result.confined for result in kept)
    told = [UNSAFE] if unsafe else []
    body = "".join(f"<p><strong>{escape(line)}</strong></p>\n" for line in told) + f"<pre>{escape(text)}</pre>\n"
    head = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Marks</title></head><body>\n'
    return f"{head}{body}</body></html>\n"


def grades_csv(root: Path) -> Path:
    """Write nbgrader's own export to grades.csv, its lines in an order that does not depend on who was marked first."""
    path, config = root / "grades.csv", configuration(root)
    plugin = CsvExportPlugin(config=config)
    plugin.to = str(path)
    with Gradebook(config.CourseDirectory.db_url, config.CourseDirectory.course_id) as gradebook:
        plugin.export(gradebook)
    head, *rest = path.read_text().splitlines(keepends=True)
    with atomic_path(path) as scratch:
        scratch.write_text("".join([head, *sorted(rest)]))
    return path
