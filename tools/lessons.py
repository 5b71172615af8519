"""Execute the lessons: `python -m tools.lessons run [--profile quick|full] [LESSONS]`, or `store [LESSONS]`.

`run` writes executed copies and HTML to build/lessons and ends in a table; `store` keeps the outputs of a full run on
real data in notebooks/. LESSONS are numbers or names ("01", "4", "03_elbo"), or "all".
"""

import argparse
import ast
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path

import nbformat
import papermill
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

from tools.normal_form import ROOT, normalise, write
from tools.page import html

NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "build" / "lessons"
PAPERMILL = {
    "kernel_name": "python3",
    "language": "python",
    "extra_arguments": ["--IPKernelApp.log_level=CRITICAL"],  # what a cell raises is told here, notices are not
}
MOST_AT_A_TIME = 4  # with more of them, memory would be short before cores are
COLUMNS = ("lesson", "seconds", "data", "headline")


@dataclass(frozen=True)
class Outcome:
    """How one lesson went: its headline where it succeeded, a sentence about the failing cell where it did not."""

    lesson: str
    seconds: float
    data: str = ""
    headline: str = ""
    failure: str = ""

    def row(self) -> tuple[str, ...]:
        """The lesson's line of the table."""
        if self.failure:
            return (self.lesson, f"{self.seconds:.0f}", "", "FAILED")
        return (self.lesson, f"{self.seconds:.0f}", self.data, self.headline)


class UnknownLesson(ValueError):
    """A name that no lesson has."""


def select(names: Iterable[str], folder: Path) -> list[Path]:
    """The lessons of that number or name, in reading order; all of them without names or with "all"."""
    lessons = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    wanted = [name for argument in names for name in argument.replace(",", " ").split()] or ["all"]
    if "all" in wanted:
        return lessons
    for name in wanted:
        if not any(_is_called(lesson, name) for lesson in lessons):
            known = ", ".join(lesson.stem for lesson in lessons) or "none yet"
            raise UnknownLesson(f"There is no lesson {name!r}; the lessons are: {known}.")
    return [lesson for lesson in lessons if any(_is_called(lesson, name) for name in wanted)]


def _is_called(lesson: Path, name: str) -> bool:
    return name.removesuffix(".ipynb") == lesson.stem or name.zfill(2) == lesson.stem[:2]


def kernel_environment(**settings: str) -> None:
    """Set what the kernels inherit; the kernel named python3 becomes the one of the running interpreter."""
    os.environ.update(settings)
    own = str(Path(sys.prefix) / "share" / "jupyter")
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [own, os.environ.get("JUPYTER_PATH")]))


def execute(
    lesson: Path, build: Path, *, seed: int | None = None, bar: bool = True
) -> tuple[Outcome, NotebookNode | None]:
    """Execute a lesson beside its neighbours: how it went, and as far as it came the notebook in normal form.

    A `seed` takes the place of the lesson's own.
    """
    start, error = time.perf_counter(), None
    output = build / lesson.name
    for stale in (output, output.with_suffix(".html")):
        stale.unlink(missing_ok=True)
    given = {} if seed is None else {"SEED": seed}
    try:
        with warnings.catch_warnings(action="ignore"):
            papermill.execute_notebook(lesson, output, given, cwd=lesson.parent, progress_bar=bar, **PAPERMILL)
    except Exception as raised:  # whatever stops a lesson must not stop the next one
        error = raised
    seconds = time.perf_counter() - start
    if not output.exists():
        return Outcome(lesson.stem, seconds, failure=_sentence(lesson, None, error)), None
    nb = nbformat.v4.reads(output.read_text(encoding="utf-8"))
    failure = _failure(lesson, nb, error)
    nb = normalise(nb)
    return Outcome(lesson.stem, seconds, **({"failure": failure} if failure else headline(nb))), nb


def _failure(lesson: Path, nb: NotebookNode, error: Exception | None) -> str:
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", []):
                reason = " ".join(output.evalue.split())
                return f"{lesson.stem} failed in cell {cell.id} with {output.ename}: {reason}"
    if error is None or isinstance(error, PapermillExecutionError):  # papermill also raises where a cell is meant to
        return ""
    begun = [cell.id for cell in nb.cells if cell.metadata.get("papermill", {}).get("start_time")]
    return _sentence(lesson, begun[-1] if begun else None, error)


def _sentence(lesson: Path, cell: str | None, error: Exception | None) -> str:
    where = f"in cell {cell}" if cell else "before its first cell"
    reason = " ".join(str(error).split())
    return f"{lesson.stem} failed {where} with {type(error).__name__}: {reason}"


def headline(nb: NotebookNode) -> dict[str, str]:
    """The data source and the main figure from the cell tagged `headline`, whose value is a dict of the two."""
    tagged = [cell for cell in nb.cells if "headline" in cell.metadata.get("tags", [])]
    shown = [output.data.get("text/plain", "") for cell in tagged for output in cell.outputs if "data" in output]
    try:
        value = ast.literal_eval(shown[-1])
        return {"data": str(value["data"]), "headline": str(value["headline"])}
    except (IndexError, KeyError, SyntaxError, TypeError, ValueError):
        return {"data": "not stated", "headline": "no cell tagged headline ends in a dict of data and headline"}


def table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as plain text, with columns as wide as they need be."""
    rows = [COLUMNS, *(outcome.row() for outcome in outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join("  ".join(part.ljust(width) for part, width in zip(row, widths)).rstrip() for row in rows)


def run(lessons: Sequence[Path], build: Path = BUILD, seed: int | None = None) -> list[Outcome]:
    """Execute lessons into `build`, each as a notebook and as HTML, as many at a time as there are cores for."""
    build.mkdir(parents=True, exist_ok=True)
    jobs, threads = share(len(lessons), cores())
    if jobs == 1:
        return [_announced(lesson, build, seed) for lesson in lessons]
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    print(f"{len(lessons)} lessons, {jobs} at a time; each is named when it is done.", file=sys.stderr)
    return _side_by_side(lessons, build, jobs, seed)


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(lessons: int, available: int) -> tuple[int, int]:
    """How many lessons to execute at a time, and the threads for each: cores do more with a lesson each than shared."""
    jobs = max(1, min(lessons, available, MOST_AT_A_TIME))
    return jobs, max(1, available // jobs)


def _side_by_side(lessons: Sequence[Path], build: Path, jobs: int, seed: int | None) -> list[Outcome]:
    """Later lessons take longer, so they begin first; the outcomes come in reading order.

    Processes, because papermill changes the working directory; started afresh, because torch does not survive a fork.
    """
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_like_parent, initargs=(dict(os.environ),))
    with pool, _ended_on_interrupt():
        tasks = {pool.submit(_run_one, lesson, build, seed, bar=False): lesson for lesson in reversed(lessons)}
        outcomes = {}
        for task in as_completed(tasks):
            lesson = tasks[task]
            outcomes[lesson] = _result(task, lesson)
            print(f"{len(outcomes)}/{len(lessons)} {_in_brief(outcomes[lesson])}", file=sys.stderr)
    return [outcomes[lesson] for lesson in lessons]


def _like_parent(environment: dict[str, str]) -> None:
    """Let the kernels of a worker inherit what those of its parent would, and leave Ctrl-C to the parent."""
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _ended_on_interrupt() -> Iterator[None]:
    """Kill the workers on Ctrl-C, as nbclient catches gentler signals; a kernel ends itself when its parent is gone."""
    try:
        yield
    except KeyboardInterrupt:
        for worker in active_children():
            worker.kill()
        raise


def _result(task: Future[Outcome], lesson: Path) -> Outcome:
    try:
        return task.result()
    except BrokenExecutor:
        return Outcome(
            lesson.stem, 0, failure=f"{lesson.stem} failed: a process was ended from outside; is memory short?"
        )


def _in_brief(outcome: Outcome) -> str:
    return f"{outcome.lesson}: {'FAILED' if outcome.failure else 'done'} after {outcome.seconds:.0f} s"


def _announced(lesson: Path, build: Path, seed: int | None) -> Outcome:
    print(lesson.stem, file=sys.stderr)
    return _run_one(lesson, build, seed)


def _run_one(lesson: Path, build: Path, seed: int | None, *, bar: bool = True) -> Outcome:
    outcome, nb = execute(lesson, build, seed=seed, bar=bar)
    if nb:
        write(nb, build / lesson.name)
        (build / lesson.name).with_suffix(".html").write_text(html(nb, lesson.stem), encoding="utf-8")
    return outcome


def store(lessons: Iterable[Path], build: Path = BUILD) -> list[Outcome]:
    """Execute lessons and keep the result in place of each one whose cells all succeeded."""
    build.mkdir(parents=True, exist_ok=True)
    outcomes = []
    for lesson in lessons:
        print(lesson.stem, file=sys.stderr)
        outcome, nb = execute(lesson, build)
        if nb and not outcome.failure:
            write(nb, lesson)
        outcomes.append(outcome)
    return outcomes


def report(outcomes: Sequence[Outcome]) -> int:
    """Print the table and a sentence for each failure; the exit code is 1 where there is one."""
    print("\n" + table(outcomes))
    failures = [outcome.failure for outcome in outcomes if outcome.failure]
    print("".join(f"\n{failure}" for failure in failures), end="\n" if failures else "")
    return 1 if failures else 0


def main(argv: Sequence[str] | None = None, notebooks: Path = NOTEBOOKS, build: Path = BUILD) -> int:
    """Run or store lessons, as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tools.lessons", description="Execute the lessons.")
    parser.add_argument("command", choices=("run", "store"))
    parser.add_argument("--profile", choices=("quick", "full"), default="quick", help="for run; store is always full")
    parser.add_argument("--seed", type=int, help="for run: in the place of the lessons' own")
    parser.add_argument("lessons", nargs="*", help='numbers or names, e.g. 01 04 (default: "all")')
    args = parser.parse_intermixed_args(argv)
    try:
        lessons = select(args.lessons, notebooks)
    except UnknownLesson as error:
        print(error, file=sys.stderr)
        return 1
    settings = {"COURSE_PROFILE": "full", "COURSE_DATA": "real"} if args.command == "store" else {}
    kernel_environment(**{"COURSE_PROFILE": args.profile} | settings)
    try:
        return report(store(lessons, build) if args.command == "store" else run(lessons, build, args.seed))
    except KeyboardInterrupt:
        print(f"\nInterrupted: the lessons that were done are in {build}.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
