"""Checks of answers: silent when right, one sentence when wrong, and never a point for somebody's warnings."""

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell

from course_utils.assignment.answers import (
    HOME,
    CheckFailed,
    Unanswered,
    answer_of,
    check,
    check_either,
    check_parts,
    check_that,
)


def failing(error):
    def call():
        raise error

    return call


def test_a_right_answer_is_passed_over_in_silence(capsys):
    assert check("f", lambda: torch.tensor([1.0, 2.0]), [1.0, 2.0]) is None
    assert check_that("f", lambda: True, "not told") is None
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ([2.0, 4.0], "f: Not yet: The half is missing."),
        ([[1.0, 2.0]], r"f: Not yet: expected shape \(2,\), got \(1, 2\)"),
        ([1.0, 5.0], r"f: Not yet: your 5 at index \(1,\) is too large"),
        ([1.0, np.nan], "NaN"),
        ("text", "got str"),
    ],
)
def test_a_wrong_answer_is_named(answer, told):
    with pytest.raises(CheckFailed, match=told):
        check("f", lambda: answer, [1.0, 2.0], {"The half is missing.": [2.0, 4.0]})


def test_an_untouched_stub_a_missing_return_and_an_error_are_told_apart():
    with pytest.raises(Unanswered, match="Not answered yet. Write your answer in place of this line"):
        check("f", failing(Unanswered()), 1.0)
    with pytest.raises(CheckFailed, match="f returned None. Does your function end in a return"):
        check("f", lambda: None, 1.0)
    with pytest.raises(CheckFailed, match="f raised KeyError: 'mu'"):
        check("f", failing(KeyError("mu")), 1.0)
    with pytest.raises(CheckFailed, match="f raised NameError"):
        check("f", lambda: undefined_answer, 1.0)  # noqa: F821


@pytest.fixture
def shell():
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (
            "def f():\n    x = 1\n\n    return x.nothing\n",
            r"f, loss raised AttributeError: .* \(line 4: return x.nothing\)$",
        ),
        (
            "def g():\n    return {}['mu']\ndef f():\n    return g()",
            r"KeyError: 'mu' \(line 2, in g: return \{\}\['mu'\]\)$",
        ),
        ("def f():\n    return 1 / 0  # " + 99 * "x", r"division by zero \(line 2: return 1 / 0  # x+…\)$"),
        ("import math\ndef f():\n    return math.sqrt(-1)", r"\(line 3: return math.sqrt\(-1\)\)$"),
    ],
)
def test_an_error_is_told_with_its_line_in_the_students_cell(shell, cell, told):
    shell.run_cell(cell)
    with pytest.raises(CheckFailed, match=told):
        check("f, loss", shell.user_ns["f"], 1.0)


def test_an_answer_is_called_in_the_notebooks_folder_wherever_its_cells_have_gone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert answer_of("f", Path.cwd) == HOME != tmp_path
    assert Path.cwd() == tmp_path


def test_an_interruption_is_not_taken_for_a_wrong_answer():
    with pytest.raises(KeyboardInterrupt):
        answer_of("f", failing(KeyboardInterrupt()))


def test_warnings_and_stderr_of_an_answer_are_kept_back(capsys):
    def noisy():
        warnings.warn("careful", stacklevel=1)
        print("noise", file=sys.stderr)
        return 1.0

    check("f", noisy, 1.0)
    assert capsys.readouterr().err == ""


def test_an_answer_may_agree_with_the_truth_or_with_another_own_function():
    truth, own = lambda: 3.0, lambda: 6.0
    check_either("f", lambda: 3.0, [truth, own])
    check_either("f", lambda: 6.0, [truth, own])
    check_either("f", lambda: 3.0, [truth, failing(RuntimeError("broken"))])
    with pytest.raises(CheckFailed, match="f: Not yet: The sign"):
        check_either("f", lambda: -3.0, [truth, own], {"The sign": -3.0})
    with pytest.raises(CheckFailed, match="your 4 is too large"):
        check_either("f", lambda: 4.0, [truth, failing(Unanswered())])


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ((5.0, 3.0, 2.0), None),
        ((1.0, 3.0, 2.0), "loss: Not yet: You subtract the KL"),
        ((3.0, 3.0, 2.0), "loss: Not yet: The KL is missing"),
        ((2.0, 3.0, 2.0), "loss: Not yet: The reconstruction is missing"),
        ((-5.0, 3.0, 2.0), "loss: Not yet: This is the ELBO"),
        ((5.0, 2.0, 3.0), "nll: Not yet: nll and kl are swapped"),
        ((7.0, 5.0, 2.0), "nll: Not yet: five"),
        ((7.0, 3.0, 4.0), "kl: Not yet: Yours is twice what is asked for"),
    ],
)
def test_an_objective_is_checked_part_by_part(parts, told):
    parts = tuple(torch.tensor([part]) for part in parts)
    arguments = (
        "o",
        lambda: parts,
        [lambda: torch.tensor([3.0])],
        [lambda: torch.tensor([2.0])],
        {"five": torch.tensor([5.0])},
    )
    if told is None:
        check_parts(*arguments)
    else:
        with pytest.raises(CheckFailed, match=f"o, {told}"):
            check_parts(*arguments)


def test_the_parts_of_an_objective_have_a_number_for_each_image():
    nll, kl = torch.tensor([3.0, 4.0]), torch.tensor([2.0, 1.0])
    truth = [lambda: nll], [lambda: kl]
    check_parts("o", lambda: (nll + kl, nll, kl), *truth)
    for total in (torch.sum, torch.mean):
        with pytest.raises(CheckFailed, match=r"o, nll: Not yet: expected shape \(2,\), got \(\)"):
            check_parts("o", lambda total=total: (total(nll + kl), total(nll), total(kl)), *truth)
    with pytest.raises(CheckFailed, match=r"o, loss: Not yet: expected shape \(2,\), got \(\)"):
        check_parts("o", lambda: ((nll + kl).sum(), nll, kl), *truth)
    check_parts("o", lambda: (nll + kl.sum(), nll, kl.sum()), [lambda: nll], [lambda: kl, lambda: kl.sum()])


@pytest.mark.parametrize("answer", [5.0, (1.0, 2.0), "abcd"])
def test_an_objective_of_another_form_is_told_which_one(answer):
    with pytest.raises(CheckFailed, match="must return NegativeElbo"):
        check_parts("o", lambda: answer, [lambda: 3.0], [lambda: 2.0])


@pytest.mark.parametrize("error", [Unanswered(), CheckFailed("f: Not yet: half.")], ids=["stub", "failed"])
def test_a_notebook_shows_the_sentence_alone(error, capsys):
    shell = InteractiveShell.instance()
    shell.user_ns["error"] = error
    try:
        result = shell.run_cell("def inner():\n    raise error\ninner()")
        assert result.error_in_exec is error
        assert capsys.readouterr().out.strip() == str(error)
    finally:
        InteractiveShell.clear_instance()
