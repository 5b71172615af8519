"""Self-checks: right answers are right, and each kind of wrong one is told apart in words."""

import warnings

import pytest
import torch

from course_utils.exercises import feedback

MISTAKES = {"You forgot the half.": 2.0}


@pytest.mark.parametrize("answer", [1.0, 1, torch.tensor(1.0, requires_grad=True), 1.00001])
def test_right_answers_of_any_number_type(answer):
    assert feedback(answer, 1.0, MISTAKES) == "Right."


@pytest.mark.parametrize("answer", [None, ...])
def test_a_placeholder_is_not_a_wrong_answer(answer):
    assert feedback(answer, 1.0).startswith("Not answered yet")


@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        (2.0, 1.0, "You forgot the half."),
        (3.0, 1.0, "expected 1, got 3"),
        (torch.zeros(3), 1.0, r"expected shape (), got (3,)"),
        (torch.tensor([1.0, 5.0]), torch.tensor([1.0, 2.0]), "expected 2, got 5 at index (1,)"),
        (float("nan"), 1.0, "NaN or infinity"),
        ("one", 1.0, "expected a number, got str"),
        ([1.0, "x"], torch.zeros(2), "expected an array of shape (2,), got list"),
    ],
)
def test_wrong_answers_are_explained(answer, expected, words):
    told = feedback(answer, expected, MISTAKES)
    assert told.startswith("Not yet: ")
    assert words in told


def test_a_known_mistake_is_told_even_when_its_shape_is_wrong():
    told = feedback(6.0, torch.ones(3), {"You summed over the batch.": 6.0})
    assert "expected shape (3,), got ()" in told
    assert "You summed over the batch." in told


def test_complex_numbers_are_named_and_raise_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "your answer is complex; expected real numbers" in feedback(torch.tensor([1j, 1.0]), [1.0, 1.0])
