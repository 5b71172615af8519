"""What marking says: a table of all students, what a person should look at, and whether a person is needed at all."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.plugins import CsvExportPlugin

from course_utils.assignment.answer_code import borrowed
from course_utils.assignment.plan import ASSIGNMENT, HISTORY, NOTEBOOK, UNVERIFIED
from course_utils.files import atomic_path
from grading.course import configuration, students
from grading.handback import said
from grading.marking import result_of
from grading.pool import in_a_process

BORROWED, SANDBOX = "BORROWED: ", "SANDBOX: "
TO_LOOK_AT = (
    UNVERIFIED,
    BORROWED,
    SANDBOX,
    HISTORY,
)  # remarks that begin so wait for a person; the others say what was done
UNGRADABLE = "UNGRADABLE"
REFUSALS = re.compile(  # what an error says where the sandbox or a limit stood in the way
    r"took longer than|ended the process|gave more than \d+ MiB|is not called again|too many restarts|PermissionError|"
    r"Permission denied|Read-only file system|Network is unreachable|Connection refused|name resolution|MemoryError|"
    r"No space left|File too large|can't start new thread|Resource temporarily unavailable"
)
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
    scores: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # of each cell, and the most it may have
    sentences: Mapping[str, str] = field(default_factory=dict)  # of each test that cost points
    seconds: float = 0.0  # that marking took
    confined: bool = True

    def told(self, *kinds: str) -> list[str]:
        """The remarks that begin with one of these words."""
        return [remark for remark in self.remarks if remark.startswith(kinds)]


class Seen(NamedTuple):
    """All that marking has to say: a row for everybody who handed in, and what two of them share."""

    marked: list[Marked]
    shared: list[str]

    @property
    def unsafe(self) -> bool:
        """Whether somebody's code ran without a sandbox."""
        return not all(row.confined for row in self.marked)


def look(root: Path, failed: Mapping[str, str] | None = None, *, apart: bool = False) -> Seen:
    """Look at everything once; `failed` holds the reasons for those that could not be marked.

    Runs are compared here, or `apart`: in a process that takes its memory with it when it ends.
    """
    return Seen(rows(root, failed), in_a_process(_shared, root) if apart else _shared(root))


def _shared(root: Path) -> list[str]:
    from grading.alike import shared  # with networks and data, which nothing else here needs

    return shared(root)


# What the gradebook and the marked notebooks say


def rows(root: Path, failed: Mapping[str, str] | None = None) -> list[Marked]:
    """One row per student who handed in; `failed` holds the reasons for those that could not be marked."""
    failed, config = failed or {}, configuration(root)
    with Gradebook(config.CourseDirectory.db_url, config.CourseDirectory.course_id) as gradebook:
        return [
            _ungradable(root, name, failed.get(name))
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
    cells = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in marked.cells}
    result = result_of(root, student)
    return Marked(
        student,
        auto=sum(grade.score for grade in tests),  # a mark by hand stands in the place of the program's
        auto_max=sum(grade.max_score for grade in tests),
        manual=sum(grade.score for grade in written),
        manual_max=sum(grade.max_score for grade in written),
        waiting=sum(grade.needs_manual_grade for grade in written),
        late=submission.total_seconds_late > 0,
        remarks=[*(result.remarks if result else ()), *unverified(marked), *_about(marked)],
        scores={grade.name: (grade.score, grade.max_score) for grade in grades},
        sentences={grade.name: said(cells.get(grade.name)) for grade in tests if grade.score < grade.max_score},
        seconds=result.seconds if result else 0.0,
        confined=result is None or result.confined,
    )


def _about(marked: NotebookNode) -> Iterator[str]:
    """What of a marked notebook a person should look at."""
    yield from _about_borrowed(marked)
    errors = [(cell, output) for cell in marked.cells for output in cell.get("outputs", []) if "ename" in output]
    found = {cell.id: output.evalue for cell, output in errors if REFUSALS.search(f"{output.ename}: {output.evalue}")}
    if found:
        first = shorten(next(iter(found.values())), 120)
        yield f"{SANDBOX}stopped or refused in {', '.join(found)} (the first: {first})."


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


def _ungradable(root: Path, student: str, reason: str | None) -> Marked:
    """A row without marks that says why, and what to do."""
    kept = result_of(root, student)
    told = f"{UNGRADABLE}: {reason or (kept and kept.refused) or 'not tried yet'}"
    return Marked(student, remarks=[told], failed=True, confined=kept is None or kept.confined)


# The page


def page(seen: Seen) -> str:
    """The table, the remarks, what two students share, and last whether a person is needed."""
    if not seen.marked:
        return f"Nothing is handed in: there is no submitted/STUDENT/{ASSIGNMENT}. Collect first."
    remarks = [f"{row.student}: {remark}" for row in seen.marked for remark in row.remarks]
    blocks = [UNSAFE * seen.unsafe, table(seen.marked), "\n".join(remarks), "\n".join(seen.shared), verdict(seen)]
    return "\n\n".join(block for block in blocks if block)


def verdict(seen: Seen) -> str:
    """One line: whether a person is needed, and for what."""
    unmarked = sum(row.failed for row in seen.marked)
    remarks = len(seen.shared) + sum(len(row.told(*TO_LOOK_AT)) for row in seen.marked)
    waiting = sum(row.waiting for row in seen.marked)
    wanted = [
        *([f"{_count(unmarked, 'submission')} could not be marked"] if unmarked else []),
        *([f"{_count(remarks, 'remark')} to look at"] if remarks else []),
        *([f"{_count(waiting, 'answer')} in words to read"] if waiting else []),
    ]
    if wanted:
        return f"A person is needed: {', '.join(wanted)}."
    return f"Nobody is needed: {_count(len(seen.marked), 'submission')} marked to the end."


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def table(marked: Sequence[Marked]) -> str:
    """One line per student, in columns."""
    head = ("student", "program", "person", "to read", "remarks")
    lines = [head, *(_line(row) for row in marked)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join("  ".join(f"{text:<{width}}" for text, width in zip(line, widths)).rstrip() for line in lines)


def _line(row: Marked) -> tuple[str, ...]:
    if row.failed:
        return row.student, "–", "–", "–", UNGRADABLE
    program, person = f"{row.auto:g} of {row.auto_max:g}", f"{row.manual:g} of {row.manual_max:g}"
    return row.student, program, person, str(row.waiting), ", ".join(kinds(row))


def kinds(row: Marked) -> list[str]:
    """A word for each kind of remark."""
    told = ["late"] * row.late + [kind.rstrip(": ") for kind in TO_LOOK_AT if row.told(kind)]
    return told + ["put right"] * any(not remark.startswith(TO_LOOK_AT) for remark in row.remarks)


def grades_csv(root: Path) -> Path:
    """Write nbgrader's own export to grades.csv, its lines in an order that does not depend on who was marked first."""
    path, config = root / "grades.csv", configuration(root)
    plugin = CsvExportPlugin(config=config)
    with atomic_path(path) as scratch:
        plugin.to = str(scratch)
        with Gradebook(config.CourseDirectory.db_url, config.CourseDirectory.course_id) as gradebook:
            plugin.export(gradebook)
        head, *rest = scratch.read_text().splitlines(keepends=True)
        scratch.write_text("".join([head, *sorted(rest)]))
    return path
