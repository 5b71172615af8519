"""Mark what was handed in: `python -m grading` (`make grade`).

Workers mark, each submission in a sandbox, and leave one file for each; only this process writes the gradebook. So
nothing is lost when a worker, or this process, is stopped: what is done is not marked again. The exit status is 1 where
a submission could not be marked.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from tqdm.auto import tqdm

from grading import class_page
from grading.book import Book
from grading.course import CHECKOUT, MarkingFailed, students
from grading.hindrance import explained
from grading.marking import MARKING, RESULT, Result, is_booked, marked, note_booked
from grading.pool import NoCluster, spread
from grading.report import grades_csv, look, page
from grading.sandbox import NoSandbox, require

HALF_WRITTEN = tuple(  # what a killed process leaves of `atomic_path`
    f"{name}.????????" for name in (".grades.csv", ".report.html", f"{MARKING}/*/.*.json")
)
KILLED = "the marking process was killed three times, perhaps for want of memory. Look at it, or mark it alone"


def mark(
    root: Path, names: Iterable[str], *, jobs: int = 0, scheduler: str = "", confined: bool = True
) -> dict[str, str]:
    """Mark these students' submissions and enter them; student -> reason for each that could not be marked.

    With no jobs and no scheduler they are marked in this process. NoSandbox where students' code shall be confined and
    cannot be, NoCluster where nobody waits at the scheduler's address.
    """
    if confined:
        require()
    names, failed = list(names), {}
    book = Book(root, root / MARKING / ".course")
    with tqdm(total=len(names), desc="marking", unit="submission", disable=not names) as bar:
        for name, result in spread(partial(marked, root, confined=confined), names, jobs, scheduler):
            reason = KILLED if result is None else result.refused or _entered(book, root, name, result)
            if reason:
                failed[name] = reason
            bar.update()
    return failed


def _entered(book: Book, root: Path, name: str, result: Result) -> str:
    """Enter a result into the gradebook; why that failed, if it did."""
    try:
        book.enter(name, root / MARKING / name / "taken", result.outputs)
    except MarkingFailed as error:
        return str(error).strip().splitlines()[-1]
    note_booked(root, name, result.key)
    return ""


def unmarked(root: Path, confined: bool = True) -> list[str]:
    """Students whose last submission is not in the gradebook as it is, with this release and this marker."""
    return [name for name in students(root) if not is_booked(root, name, confined)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m grading", description="Mark what is new in submitted/, and report."
    )
    parser.add_argument("--root", type=Path, default=CHECKOUT, help="the course's folder (default: the checkout)")
    parser.add_argument("--all", action="store_true", help="mark again what has been marked")
    parser.add_argument("--student", nargs="+", metavar="ID", help="only these, whether they were marked or not")
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="so many at a time (default: 1; 0: no processes)"
    )
    parser.add_argument("--scheduler", default="", metavar="ADDRESS", help="on the workers of this dask scheduler")
    parser.add_argument("--unsafe-no-sandbox", action="store_true", help="run students' code as you, without a sandbox")
    return parser


def _chosen(options: argparse.Namespace, root: Path, confined: bool) -> list[str]:
    """Who is marked now.  SystemExit for a student who has handed in nothing."""
    known = students(root)
    strangers = sorted(set(options.student or ()) - set(known))
    if strangers:
        sys.exit(f"Nothing is handed in by {', '.join(strangers)}. There is: {', '.join(known) or 'nobody'}.")
    return sorted(options.student) if options.student else known if options.all else unmarked(root, confined)


def main(argv: Sequence[str] | None = None) -> int:
    """Mark what is new, say what came of it, and write report.html and grades.csv."""
    options = _parser().parse_args(argv)
    root, confined = options.root.resolve(), not options.unsafe_no_sandbox
    names = _chosen(options, root, confined)
    if not students(root):
        print(page(look(root)))
        return 0
    if options.all or options.student:
        for name in names:
            (root / MARKING / name / RESULT).unlink(missing_ok=True)
    return explained(lambda: _graded(root, names, options, confined))


def _graded(root: Path, names: Sequence[str], options: argparse.Namespace, confined: bool) -> int:
    """Mark these students and report on all."""
    for path in (path for pattern in HALF_WRITTEN for path in root.glob(pattern)):
        path.unlink(missing_ok=True)
    try:
        failed = mark(root, names, jobs=options.jobs, scheduler=options.scheduler, confined=confined)
    except (NoSandbox, NoCluster) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted. What is marked stays marked; `make grade` goes on with the rest.", file=sys.stderr)
        return 130
    seen = look(root, failed, apart=options.jobs > 0)
    print(page(seen))
    class_page.write(root / "report.html", seen)
    grades_csv(root)
    return int(bool(failed))
