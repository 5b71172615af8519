"""Mark what was handed in and say how it went: `python -m grading.report` (`make grade`).

Everything in submitted/ that has no marks yet is autograded, one after the other in this process. Then one table shows
every student, and below it what a person should look at. The exit status is 1 where a submission could not be marked.
"""

import argparse
import hashlib
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import nbformat
import torch
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps import NbGraderAPI
from sqlalchemy.exc import SAWarning
from torch import Tensor
from tqdm.auto import tqdm

from course_utils.checkpoints import read_facts
from course_utils.run_checks import UNVERIFIED
from course_utils.runs import CommonMeasures, Run, matrices, read_run
from course_utils.submission import FATAL, findings
from grading.course import ASSIGNMENT, CHECKOUT, api, configuration

NOTEBOOK = f"{ASSIGNMENT}.ipynb"

EXCEPTION = re.compile(r"^\s*([A-Za-z_][\w.]*(?:Error|Exception|Died))(:.*)$", re.MULTILINE)
EMPTY_WORDS = "NbGraderException"  # it only says that there was a failure
MAX_REASON = 200
NO_NOTEBOOK = "No notebooks found"  # in nbgrader's log
MEANINGS = {
    "SchemaTooOldError": "a cell was copied, or its nbgrader metadata are of another version",
    "SchemaTooNewError": "a cell has nbgrader metadata of another version",
    "ValidationError": "a cell has nbgrader metadata that are damaged or do not belong here",
}
SKETCH = 4096  # weights of a run that are compared with those of all others; a correlation is then sure to 0.02
ALIKE = 0.5  # correlation of weights: at most 0.1 between honest students, 1 for a copy, less with one's own mixed in
SAME_EPOCHS = 0.5  # the share of a history that is equal to the last digit
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
    copy = root / "autograded" / student / ASSIGNMENT / NOTEBOOK
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
    if not told:
        return f"no notebook is called {NOTEBOOK}" if NO_NOTEBOOK in log else "nbgrader gave no reason"
    name = told[0].split(":")[0]
    return f"{MEANINGS[name]} ({name})" if name in MEANINGS else told[0][:MAX_REASON]


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
    gone = missing(gradebook, marked) | {grade.name for grade in tests if grade.auto_score is None}
    return Marked(
        student,
        auto=sum(grade.auto_score or 0.0 for grade in tests) + sum(grade.manual_score or 0.0 for grade in tests),
        auto_max=sum(grade.max_score for grade in tests),
        manual=sum(grade.manual_score or 0.0 for grade in written),
        manual_max=sum(grade.max_score for grade in written),
        waiting=sum(grade.needs_manual_grade for grade in written),
        late=submission.total_seconds_late > 0,
        remarks=[*_about_missing(gone), *unverified(marked)],
    )


def missing(gradebook: Gradebook, marked: NotebookNode) -> set[str]:
    """Names of the released cells that the marked notebook lacks; those without points have no mark that shows it."""
    there = {cell.metadata.get("nbgrader", {}).get("grade_id") for cell in marked.cells}
    return {cell.name for cell in gradebook.find_notebook(ASSIGNMENT, ASSIGNMENT).source_cells} - there


def _about_missing(names: set[str]) -> list[str]:
    if not names:
        return []
    look = "Others may have failed for want of them: read the notebook, and give the points by hand."
    return [f"These cells are missing in the notebook: {', '.join(sorted(names))}. {look}"]


def unverified(marked: NotebookNode) -> list[str]:
    """One sentence about the runs that the marked notebook says it could not verify."""
    printed = "".join(output.get("text", "") + "\n" for cell in marked.cells for output in cell.get("outputs", []))
    said = [line.removeprefix(UNVERIFIED).split() for line in printed.splitlines() if line.startswith(UNVERIFIED)]
    paths = dict.fromkeys(words[0] for words in said if words)
    where = "this machine does not have their images; docs/instructors.md says what to do."
    return [f"{UNVERIFIED}{', '.join(paths)}: {where}"] if paths else []


def _why_not(root: Path, student: str, reason: str | None) -> list[str]:
    """nbgrader's reason, and what the check before hand-in would have said about it."""
    found = findings(root / "submitted" / student / ASSIGNMENT)
    cures = [finding.sentence for finding in found if finding.weight == FATAL]
    return [f"NOT MARKED: {reason or 'not tried yet'}", *cures]


# Across students

Pair = tuple[int, int]  # of runs of two students, by their places in one list


class Sketch(NamedTuple):
    """What of a run is compared with the runs of everybody else."""

    student: str
    name: str
    digest: str  # of all weights
    shapes: tuple[torch.Size, ...]
    weights: Tensor  # about SKETCH of them, evenly spread
    epochs: frozenset[tuple[float, ...]]


def same_runs(root: Path) -> list[str]:
    """One sentence for each set of weights or histories that two students share, whatever the files are called."""
    runs = list(_sketches(root))
    exact, alike, epochs = _same_weights(runs), _alike(runs), _same_epochs(runs)
    near = {pair: alike[pair] for pair in alike.keys() - exact}
    told = [f"Identical weights: {_of(runs, found)}." for found in _joined(exact)]
    for found in _joined(near):
        lowest = min(correlation for (one, _), correlation in near.items() if one in found)
        told.append(f"Nearly identical weights (correlation {lowest:.4f}): {_of(runs, found)}.")
    return [
        *told,
        *(f"Histories with equal epochs: {_of(runs, found)}." for found in _joined(epochs - alike.keys() - exact)),
    ]


def _sketches(root: Path) -> Iterator[Sketch]:
    for student, path in _run_files(root):
        try:
            run = read_run(path)
            weights = matrices(run.model)
            some = weights[:: max(1, len(weights) // SKETCH)]
            digest, shapes = hashlib.sha256(_bytes(run)).hexdigest(), tuple(w.shape for w in run.model.parameters())
            yield Sketch(student, path.name, digest, shapes, some, _epochs(run))
        except Exception:  # whatever is in that file: marking says so, and this is about the others
            continue


def _epochs(run: Run) -> frozenset[tuple[float, ...]]:
    try:
        return frozenset(tuple(entry[part] for part in CommonMeasures._fields) for entry in run.facts["history"])
    except (KeyError, TypeError):
        return frozenset()


def _same_weights(runs: Sequence[Sketch]) -> set[Pair]:
    groups: dict[str, list[int]] = {}
    for i, run in enumerate(runs):
        groups.setdefault(run.digest, []).append(i)
    return {pair for found in groups.values() for pair in _pairs(runs, found)}


def _alike(runs: Sequence[Sketch]) -> dict[Pair, float]:
    """Pairs whose weights correlate, with the correlation: one matrix for all networks of one shape."""
    groups: dict[tuple[torch.Size, ...], list[int]] = {}
    for i, run in enumerate(runs):
        groups.setdefault(run.shapes, []).append(i)
    found = {}
    for members in (members for members in groups.values() if len(members) > 1):
        correlation = torch.corrcoef(torch.stack([runs[i].weights for i in members]))
        for row, column in (correlation > ALIKE).triu(1).nonzero().tolist():
            for pair in _pairs(runs, (members[row], members[column])):
                found[pair] = correlation[row, column].item()
    return found


def _same_epochs(runs: Sequence[Sketch]) -> set[Pair]:
    having: dict[tuple[float, ...], list[int]] = {}
    for i, run in enumerate(runs):
        for epoch in run.epochs:
            having.setdefault(epoch, []).append(i)
    shared = Counter(pair for found in having.values() for pair in _pairs(runs, found))
    return {(i, j) for (i, j), n in shared.items() if n >= SAME_EPOCHS * min(len(runs[i].epochs), len(runs[j].epochs))}


def _pairs(runs: Sequence[Sketch], found: Iterable[int]) -> Iterator[Pair]:
    return ((i, j) for i, j in combinations(found, 2) if runs[i].student != runs[j].student)


def _joined(pairs: Iterable[Pair]) -> list[set[int]]:
    """Sets of runs that hang together by pairs."""
    groups: list[set[int]] = []
    for pair in sorted(pairs):
        touching = [group for group in groups if group & set(pair)]
        groups = [group for group in groups if group not in touching] + [set(pair).union(*touching)]
    return groups


def _of(runs: Sequence[Sketch], found: Iterable[int]) -> str:
    return ", ".join(sorted(f"{runs[i].student}/{runs[i].name}" for i in found))


def same_numbers(root: Path) -> list[str]:
    """One sentence for each student number that runs of two students carry."""
    having: dict[str, set[str]] = {}
    for student, path in _run_files(root):
        with suppress(Exception):  # a damaged file, as above
            having.setdefault(str(read_facts(path).get("student")), set()).add(student)
    shared = {number: names for number, names in having.items() if len(names) > 1}
    return [
        f"Student number {number} stands in the runs of {', '.join(sorted(names))}." for number, names in shared.items()
    ]


def _run_files(root: Path) -> Iterator[tuple[str, Path]]:
    for student in students(root):
        for path in sorted((root / "submitted" / student / ASSIGNMENT).glob("runs/*.safetensors")):
            yield student, path


def _bytes(run: Run) -> bytes:
    state = run.model.state_dict()
    return b"".join(state[name].detach().float().contiguous().numpy().tobytes() for name in sorted(state))


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
    told += ["cells missing"] * any(not text.startswith(UNVERIFIED) for text in row.remarks)
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
