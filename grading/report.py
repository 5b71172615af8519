"""Mark what was handed in and say how it went: `python -m grading.report` (`make grade`).

Everything in submitted/ that has no marks yet is autograded, one after the other in this process. Then one table shows
every student, and below it what a person should look at. The exit status is 1 where a submission could not be marked.
"""

import argparse
import hashlib
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps import NbGraderAPI
from sqlalchemy.exc import SAWarning
from tqdm.auto import tqdm

from course_utils.run_checks import UNVERIFIED
from course_utils.runs import Run, read_run
from course_utils.submission import FATAL, findings
from grading.course import ASSIGNMENT, CHECKOUT, api, configuration

EXCEPTION = re.compile(r"^\s*([A-Za-z_][\w.]*(?:Error|Exception|Died))(:.*)$", re.MULTILINE)
EMPTY_WORDS = "NbGraderException"  # it only says that there was a failure
MAX_REASON = 200
INTERRUPTED = "KeyboardInterrupt"


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


# Marking


def students(root: Path) -> list[str]:
    """Everybody who handed in the assignment, in order."""
    return sorted(folder.parent.name for folder in (root / "submitted").glob(f"*/{ASSIGNMENT}") if folder.is_dir())


def mark(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Autograde these students' submissions; student -> reason for each that nbgrader could not mark.

    nbgrader takes Ctrl-C for a failure of the submission it is at; here it stops the marking.
    """
    course, failed = api(root), {}
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # nbgrader's own queries; nobody here can mend them
            result = course.autograde(ASSIGNMENT, name)
        if not result["success"]:
            failed[name] = _reason(result)
            if failed[name].startswith(INTERRUPTED):
                raise KeyboardInterrupt
    return failed


def unmarked(root: Path) -> list[str]:
    """Students whose last submission has no marks yet."""
    course = api(root)
    return [name for name in students(root) if not _has_marks(course, root, name)]


def _has_marks(course: NbGraderAPI, root: Path, student: str) -> bool:
    """Whether an autograded copy is there, no file came after it, and the gradebook has the submission's time.

    Downloaded zips bring no time, so nbgrader alone would not notice that one was collected anew.
    """
    copy = root / "autograded" / student / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    files = (root / "submitted" / student / ASSIGNMENT).rglob("*")
    if not copy.exists() or any(path.lstat().st_mtime > copy.stat().st_mtime for path in files):
        return False
    try:
        with course.gradebook as gradebook:
            marked = gradebook.find_submission(ASSIGNMENT, student).timestamp
        return marked == course.get_submitted_timestamp(ASSIGNMENT, student)
    except (MissingEntry, ValueError, OSError):  # no marks, or a time stamp that is none: marking says so
        return False


def _reason(result: Mapping[str, str]) -> str:
    """The exception behind a failure: the last in nbgrader's log, or else the first in its traceback."""
    error, log = result.get("error") or "", result.get("log") or ""
    if error.strip().endswith(INTERRUPTED):
        return INTERRUPTED
    found = [*reversed(EXCEPTION.findall(log)), *EXCEPTION.findall(error)]
    told = [f"{name.split('.')[-1]}{text}" for name, text in found if not name.endswith(EMPTY_WORDS)]
    return (told or ["nbgrader gave no reason"])[0][:MAX_REASON]


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
    gone = sorted(grade.name for grade in tests if grade.auto_score is None)
    remarks = [f"These tests are missing in the notebook; mark them by hand: {', '.join(gone)}."] if gone else []
    return Marked(
        student,
        auto=sum(grade.auto_score or 0.0 for grade in tests) + sum(grade.manual_score or 0.0 for grade in tests),
        auto_max=sum(grade.max_score for grade in tests),
        manual=sum(grade.manual_score or 0.0 for grade in written),
        manual_max=sum(grade.max_score for grade in written),
        waiting=sum(grade.needs_manual_grade for grade in written),
        late=submission.total_seconds_late > 0,
        remarks=[*remarks, *unverified(root, student)],
    )


def unverified(root: Path, student: str) -> list[str]:
    """What the marked notebook says it could not verify, each sentence once."""
    path = root / "autograded" / student / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    cells = nbformat.read(path, as_version=4).cells if path.exists() else []
    printed = "".join(o.get("text", "") + "\n" for cell in cells for o in cell.get("outputs", []))
    return list(dict.fromkeys(line for line in printed.splitlines() if line.startswith(UNVERIFIED)))


def _why_not(root: Path, student: str, reason: str | None) -> list[str]:
    """nbgrader's reason, and what the check before hand-in would have said about it."""
    found = findings(root / "submitted" / student / ASSIGNMENT)
    cures = [finding.sentence for finding in found if finding.weight == FATAL]
    return [f"NOT MARKED: {reason or 'not tried yet'}", *cures]


# Across students


def same_runs(root: Path) -> list[str]:
    """One sentence for each set of weights that two students handed in, whatever the files are called."""
    return [
        f"Identical weights: {_places(found)}."
        for found in _shared(root, lambda run: hashlib.sha256(_bytes(run)).hexdigest()).values()
    ]


def same_numbers(root: Path) -> list[str]:
    """One sentence for each student number that runs of two students carry."""
    return [
        f"Student number {number} stands in the runs of {', '.join(sorted({student for student, _ in found}))}."
        for number, found in _shared(root, lambda run: str(run.facts.get("student"))).items()
    ]


def _shared(root: Path, key: Callable[[Run], str]) -> dict[str, list[tuple[str, str]]]:
    """key -> (student, file) for every key that runs of more than one student have; damaged files are passed over."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for student, path in _run_files(root):
        try:
            groups.setdefault(key(read_run(path)), []).append((student, path.name))
        except Exception:  # whatever is in that file: marking says so, and this is about the others
            continue
    return {name: found for name, found in groups.items() if len({student for student, _ in found}) > 1}


def _run_files(root: Path) -> Iterator[tuple[str, Path]]:
    for student in students(root):
        for path in sorted((root / "submitted" / student / ASSIGNMENT).glob("runs/*.safetensors")):
            yield student, path


def _bytes(run: Run) -> bytes:
    state = run.model.state_dict()
    return b"".join(state[name].detach().float().contiguous().numpy().tobytes() for name in sorted(state))


def _places(found: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{student}/{name}" for student, name in sorted(found))


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
        return row.student, "–", "–", "–", "NOT MARKED"
    told = ["late"] * row.late + ["UNVERIFIED"] * any(text.startswith(UNVERIFIED) for text in row.remarks)
    told += ["tests missing"] * any(not text.startswith(UNVERIFIED) for text in row.remarks)
    program, person = f"{row.auto:g} of {row.auto_max:g}", f"{row.manual:g} of {row.manual_max:g}"
    return row.student, program, person, str(row.waiting), ", ".join(told)


def main(argv: Sequence[str] | None = None) -> int:
    """Mark what is new, or with --all everything, and print the page."""
    parser = argparse.ArgumentParser(prog="python -m grading.report", description="Autograde and report.")
    parser.add_argument("--root", type=Path, default=CHECKOUT, help="the course's folder (default: the checkout)")
    parser.add_argument("--all", action="store_true", help="mark again what has been marked")
    options = parser.parse_args(argv)
    root = options.root.resolve()
    names = students(root) if options.all else unmarked(root)
    try:
        failed = mark(root, tqdm(names, desc="marking", unit="submission", disable=not names))
    except KeyboardInterrupt:
        print("Interrupted. What is marked stays marked; `make grade` goes on with the rest.", file=sys.stderr)
        return 130
    print(page(root, failed))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
