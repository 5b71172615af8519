"""What Assignment 4 asks about runs, by their names: each question returns what to print, or stops with one sentence.

The files are looked for where the notebook lies, whatever folder the student's code has gone to.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from course_utils.assignment import run_checks
from course_utils.assignment.answers import PASSED, CheckFailed, answer_of, at_home, check, check_that
from course_utils.assignment.outputs import outputs
from course_utils.assignment.plan import RUNS, earlier_runs
from course_utils.assignment.run_checks import Quality
from course_utils.data import load


@at_home()
def check_whole(name: str) -> str:
    """A finished run for the task's images, with all of its epochs."""
    run_checks.check_whole(RUNS[name].file, RUNS[name].epochs)
    return PASSED


@at_home()
def check_own(name: str, student_number: Callable[[], int]) -> str:
    """The run started from the student's own seed."""
    run_checks.check_own(RUNS[name].file, answer_of("student_number", student_number))
    return PASSED


@at_home()
def check_different(name: str) -> str:
    """The run is no copy of an earlier one."""
    path = RUNS[name].file
    run_checks.check_different(path, earlier_runs(path))
    return PASSED


@at_home()
def check_honest(name: str, student_number: Callable[[], int]) -> str:
    """The student's own run, whose history and facts agree with its weights; one line says what was compared."""
    check_own(name, student_number)
    return run_checks.check_honest(RUNS[name].file)


@at_home()
def quality(name: str, student_number: Callable[[], int]) -> Quality:
    """The share of the points, none for a run that is not the student's own, and one sentence that says why."""
    try:
        check_own(name, student_number)
    except CheckFailed as error:
        return Quality(0.0, str(error))
    return run_checks.quality(RUNS[name].file)


@at_home()
def check_comparison(
    answer: Callable[..., Any], own_measures: Callable[..., Any], first: int = 0, last: int = 50
) -> str:
    """Every run on digits with all measures, as the student's own `own_measures` gives them for these test images."""
    images = load("mnist", "test").images[first:last]
    paths = [run.file for run in RUNS.values() if run.data_set == "mnist"]
    table = answer_of("comparison", lambda: answer(list(paths), images))
    sentence = "return one entry for every path, under that path."
    check_that("comparison", lambda: set(table) == set(paths), sentence)
    for path in paths:
        measured = answer_of("common_measures", partial(_measured, own_measures, path, images))
        _check_entry(path, table[path], measured)
    return PASSED


def _measured(own_measures: Callable[..., Any], path: str, images: Tensor) -> Mapping[str, Any]:
    return own_measures(*outputs(path, images))


def _check_entry(path: str, entry: Mapping[str, Any], measured: Mapping[str, Any]) -> None:
    names = list(measured)
    check_that("comparison", lambda: set(entry) == set(names), f"return all common measures of {path}.")
    found, expected = ([float(part[name]) for name in names] for part in (entry, measured))
    check(f"comparison, {', '.join(names)} of {path}", lambda: found, expected, rtol=1e-3)
