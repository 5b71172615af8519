"""Execute the lessons: `python -m tools.lessons run [--profile quick|full] [LESSONS]`, or `store [LESSONS]`.

`run` writes executed copies and HTML to build/lessons and ends in a table; `store` keeps the outputs of a full run on
real data in notebooks/. LESSONS are numbers or names ("01", "4", "03_elbo"), or "all".
"""

import argparse
import ast
import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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
    "extra_arguments": ["--IPKernelApp.log_level=ERROR"],  # a notice about loopback ports is nothing to read each time
}
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


def execute(lesson: Path, build: Path) -> tuple[Outcome, NotebookNode | None]:
    """Execute a lesson beside its neighbours: how it went, and as far as it came the notebook in normal form."""
    start, error = time.perf_counter(), None
    output = build / lesson.name
    for stale in (output, output.with_suffix(".html")):
        stale.unlink(missing_ok=True)
    try:
        with warnings.catch_warnings(action="ignore"):
            papermill.execute_notebook(lesson, output, cwd=lesson.parent, **PAPERMILL)
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


def run(lessons: Iterable[Path], build: Path = BUILD) -> list[Outcome]:
    """Execute lessons into `build`, each as a notebook and as HTML."""
    outcomes = []
    for lesson, outcome, nb in _in_turn(lessons, build):
        if nb:
            write(nb, build / lesson.name)
            (build / lesson.name).with_suffix(".html").write_text(html(nb, lesson.stem), encoding="utf-8")
        outcomes.append(outcome)
    return outcomes


def store(lessons: Iterable[Path], build: Path = BUILD) -> list[Outcome]:
    """Execute lessons and keep the result in place of each one whose cells all succeeded."""
    outcomes = []
    for lesson, outcome, nb in _in_turn(lessons, build):
        if nb and not outcome.failure:
            write(nb, lesson)
        outcomes.append(outcome)
    return outcomes


def _in_turn(lessons: Iterable[Path], build: Path) -> Iterator[tuple[Path, Outcome, NotebookNode | None]]:
    build.mkdir(parents=True, exist_ok=True)
    for lesson in lessons:
        print(lesson.stem, file=sys.stderr)
        yield lesson, *execute(lesson, build)


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
    parser.add_argument("lessons", nargs="*", help='numbers or names, e.g. 01 04 (default: "all")')
    args = parser.parse_intermixed_args(argv)
    try:
        lessons = select(args.lessons, notebooks)
    except UnknownLesson as error:
        print(error, file=sys.stderr)
        return 1
    if args.command == "store":
        kernel_environment(COURSE_PROFILE="full", COURSE_DATA="real")
        return report(store(lessons, build))
    kernel_environment(COURSE_PROFILE=args.profile)
    return report(run(lessons, build))


if __name__ == "__main__":
    sys.exit(main())
