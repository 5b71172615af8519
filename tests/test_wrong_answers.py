"""Self-checks on wrong answers: none passes, each gets its sentence, and whatever comes back is met kindly.

`tests/wrong_answers/lesson_NN.py` is the bank of a lesson; only the cells that a check needs are executed.
"""

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.wrong_answers import lesson, needed, run

LESSONS = sorted(path.stem[-2:] for path in (Path(__file__).parent / "wrong_answers").glob("lesson_[0-9][0-9].py"))
LEAST, LEAST_SPECIFIC = 25, 0.8


def wrong_answers(number: str) -> list:
    return importlib.import_module(f"tests.wrong_answers.lesson_{number}").WRONG


@cache
def solutions(number: str) -> dict[str, str]:
    """The folded solution of every exercise of a lesson."""
    tasks = [
        cell for cell in lesson(number).cells if f"{cell.id}-answer" in {other.id for other in lesson(number).cells}
    ]
    block = re.compile(r"<summary>Solution</summary>.*?```python\n(.*?)```", re.DOTALL)
    return {task.id: block.search(task.source)[1] for task in tasks}


def exercises() -> list[tuple[str, str]]:
    return [(number, exercise) for number in LESSONS for exercise in solutions(number)]


def said(number: str, exercise: str, answer: str) -> str:
    return run(number, exercise, answer, solutions(number)[exercise])


@pytest.fixture(autouse=True)
def bundled_data_and_no_open_figures(monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "bundled")
    yield
    plt.close("all")


@pytest.mark.parametrize(
    ("number", "wrong"),
    [(number, wrong) for number in LESSONS for wrong in wrong_answers(number)],
    ids=[f"{number}-{wrong.exercise}-{i}" for number in LESSONS for i, wrong in enumerate(wrong_answers(number))],
)
def test_a_wrong_answer_gets_its_sentence(number, wrong):
    printed = said(number, wrong.exercise, wrong.answer)
    assert "Right." not in printed.split("\n")
    assert re.search(wrong.told, printed), printed


@pytest.mark.parametrize("number", LESSONS)
def test_a_bank_is_large_and_most_of_its_sentences_name_the_mistake(number):
    wrong = wrong_answers(number)
    assert len(wrong) >= LEAST
    assert sum(one.specific for one in wrong) >= LEAST_SPECIFIC * len(wrong)
    assert {one.exercise for one in wrong} == set(solutions(number))


@pytest.mark.parametrize(("number", "exercise"), exercises())
def test_the_solution_is_right(number, exercise):
    assert set(said(number, exercise, solutions(number)[exercise]).split("\n")) == {"Right."}


def asked_for(code: str) -> ast.FunctionDef | None:
    """The last function of a solution; None where it is a value that is asked for."""
    return next((node for node in reversed(ast.parse(code).body) if isinstance(node, ast.FunctionDef)), None)


@pytest.mark.parametrize(("number", "exercise"), exercises())
def test_no_check_accepts_an_answer_that_ignores_an_argument(number, exercise):
    """The solution itself, but an argument keeps the value of the first call."""
    code = solutions(number)[exercise]
    function = asked_for(code)
    for k, _ in enumerate(function.args.args if function else []):
        frozen = f"_right, _seen = {function.name}, []\n\n\ndef {function.name}(*arguments):\n"
        frozen += f"    _seen.append(arguments[{k}])\n"
        frozen += f"    return _right(*arguments[:{k}], _seen[0], *arguments[{k} + 1:])\n"
        assert "Right." not in said(number, exercise, f"{code}\n\n{frozen}").split("\n"), function.args.args[k].arg


@pytest.mark.parametrize("body", ["return None", "return 'one'", "import numpy; return numpy.zeros((7, 5, 3))",
                                  "return print", "return float('nan')", "raise ValueError('no')"])  # fmt: skip
@pytest.mark.parametrize(("number", "exercise"), exercises())
def test_whatever_comes_back_is_met_with_a_sentence(number, exercise, body):
    function = asked_for(solutions(number)[exercise])
    if function is not None:
        printed = said(number, exercise, f"def {function.name}({ast.unparse(function.args)}):\n    {body}\n")
        assert re.fullmatch(r"Not (yet|answered yet): .*", printed, flags=re.DOTALL), printed


@pytest.mark.parametrize(("number", "exercise"), exercises())
def test_a_self_check_is_folded_but_its_output_shows(number, exercise):
    check = next(cell for cell in lesson(number).cells if cell.id == f"{exercise}-check")
    assert check.metadata.jupyter.source_hidden
    assert "hide-input" in check.metadata.tags


def test_only_the_cells_that_a_check_needs_are_executed():
    cells = {
        "imports": "import math",
        "training": "losses = [math.sin(i) for i in range(10)]",
        "numbers": "sigmas = [1.0, 2.0]",
        "changed": "sigmas[0] = 3.0",
        "try-mean-answer": "mean = ...",
        "try-mean-check": "print(mean == sum(sigmas))",
        "later": "sigmas = None",
    }
    notebook = new_notebook(cells=[new_code_cell(code, id=name) for name, code in cells.items()])
    assert needed(notebook, "try-mean") == [cells["numbers"], cells["changed"]]
    assert needed(notebook, "try-mean", "mean = math.pi") == [cells["imports"], cells["numbers"], cells["changed"]]


def test_arguments_of_functions_are_no_names_of_the_notebook():
    cells = {
        "training": "z = [1] * 1000",
        "scale": "scale = 2",
        "try-twice-answer": "twice = ...",
        "try-twice-check": "truth = lambda z: scale * z\nprint([twice(z) == truth(z) for z in (1, 2)])",
    }
    notebook = new_notebook(cells=[new_code_cell(code, id=name) for name, code in cells.items()])
    assert needed(notebook, "try-twice") == [cells["scale"]]
