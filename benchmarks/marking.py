"""How many submissions are marked in a minute: `python -m benchmarks.marking`, stock nbgrader beside ours.

Every submission is the solved notebook with four runs on the bundled images. Each way of marking is one command from
its start to its report, on a course of its own with the same submissions; all are measured in one run, since machines
differ and are shared.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pandas as pd

from course_utils.assignment.plan import ASSIGNMENT, NOTEBOOK, RUNS
from course_utils.assignment.runs import train_run
from course_utils.models import ConvVAE
from course_utils.objectives import negative_elbo
from grading.course import CHECKOUT
from grading.release import generate

STOCK = """
import sys
from pathlib import Path
from course_utils.assignment.plan import ASSIGNMENT
from grading.course import api, students, succeed
root = Path(sys.argv[1])
nbgrader = api(root)
for student in students(root):
    succeed(nbgrader.autograde(ASSIGNMENT, student))
"""
WAYS = {
    "stock nbgrader": ("-c", STOCK, "{root}"),
    "ours, 1 job": ("-m", "grading", "--root", "{root}", "--jobs", "1"),
    "ours, 2 jobs": ("-m", "grading", "--root", "{root}", "--jobs", "2"),
}


def trained(folder: Path, epochs: int = 1) -> Path:
    """A folder with the four runs, hardly trained: measuring them takes as long as if they were good."""
    folder.mkdir()
    for run in RUNS.values():
        make = partial(ConvVAE, (3, 32, 32), 64) if run.data_set == "cifar10" else ConvVAE
        objective = partial(negative_elbo, sigma2=run.sigma2)
        path = folder / Path(run.file).name
        train_run(path, make, objective, run.data_set, student_number=1, epochs=epochs)
    return folder


def course(root: Path, submissions: int, runs: Path) -> Path:
    """A course folder with a gradebook and so many submissions."""
    root.mkdir()
    generate(root / "release", root / "gradebook.db")
    for number in range(submissions):
        folder = root / "submitted" / f"student-{number:04d}" / ASSIGNMENT
        shutil.copytree(runs, folder / "runs")
        shutil.copyfile(CHECKOUT / "solutions" / ASSIGNMENT / NOTEBOOK, folder / NOTEBOOK)
    return root


def seconds(words: tuple[str, ...], root: Path) -> float:
    """How long a command takes that marks the course in `root`."""
    command = [sys.executable, *(word.format(root=root) for word in words)]
    start = time.perf_counter()
    subprocess.run(command, cwd=CHECKOUT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def measured(submissions: int, ways: list[str], runs: Path | None) -> pd.DataFrame:
    """A row for each way of marking submissions with these runs, or with some that are trained now."""
    rows = {}
    with tempfile.TemporaryDirectory() as scratch:
        runs = runs or trained(Path(scratch, "runs"))
        for way in ways:
            lasted = seconds(WAYS[way], course(Path(scratch, way.replace(" ", "-")), submissions, runs))
            rows[way] = {"s each": lasted / submissions, "each minute": 60 * submissions / lasted}
    table = pd.DataFrame(rows).T
    return table.assign(ratio=table["each minute"] / table["each minute"].iloc[0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.marking", description=__doc__.split("\n")[0])
    parser.add_argument("--submissions", type=int, default=40, metavar="N")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), metavar="WAY", help="some of them")
    told = "a folder with four finished runs, whose histories ours then replays (default: one epoch each, trained now)"
    parser.add_argument("--runs", type=Path, help=told)
    options = parser.parse_args()
    os.environ |= {"COURSE_DATA": "bundled", "OMP_NUM_THREADS": "1"}
    print(measured(options.submissions, options.ways, options.runs).round(2).to_string())


if __name__ == "__main__":
    main()
