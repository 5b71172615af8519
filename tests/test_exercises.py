"""Self-checks: right answers are right, and each kind of wrong one is told apart in words."""

import linecache
import math
import warnings

import pytest
import torch

from course_utils.exercises import RIGHT, examine, feedback, raised

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
        (3.0, 1.0, "your 3 is too large."),
        (torch.zeros(3), 1.0, r"expected shape (), got (3,)"),
        (torch.tensor([1.0, 5.0]), torch.tensor([1.0, 2.0]), "your 5 at index (1,) is too large."),
        (float("nan"), 1.0, "NaN or infinity"),
        (-4.0, 4.0, "the opposite of what is asked for"),
        (16.0, 4.0, "the square of what is asked for"),
        ([3.0, 6.0, 12.0], [1.0, 2.0, 4.0], "a constant times what is asked for"),
        ([3.0, 4.0, 6.0], [1.0, 2.0, 4.0], "a constant more or less than what is asked for"),
        ([1.0, (2.0, 3.0)], [1.0, 2.0], "expected an array of shape (2,), got list"),
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


def test_tensors_with_gradients_inside_a_tuple_are_numbers():
    pair = (torch.tensor(1.0, requires_grad=True), torch.tensor(2.0, requires_grad=True))
    assert feedback(pair, [1.0, 2.0]) == RIGHT


def test_no_sentence_of_a_wrong_number_holds_the_right_one():
    for answer in (1.0, -8.125, 16.25, 4.0625, [8.125], math.inf, "x"):
        assert "8.125" not in feedback(answer, 8.125).replace("-8.125", "")


# --- functions ---

SQUARE_CASES = [(torch.tensor(2.0), 0.5), (torch.tensor(-3.0), 2.0)]
SQUARE_MISTAKES = {"Square x, do not double it.": lambda x, c: c * 2 * x}


def scaled_square(x, c):
    return c * x**2


def told(function):
    return examine(function, scaled_square, SQUARE_CASES, SQUARE_MISTAKES)


def test_a_right_function_is_right_and_its_arguments_are_left_alone():
    def spoiling(x, c):
        right = c * x**2
        x.zero_()
        return right

    assert told(scaled_square) == told(spoiling) == RIGHT
    assert SQUARE_CASES[0][0] == 2


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x, c: ..., "Not answered yet"),
        (lambda x, c: None, "gives back None"),
        (lambda x, c: c * 2 * x, "Square x, do not double it."),
        (lambda x, c: 0.5 * x**2, "gives the same whatever `c` may be"),
        (lambda x, c: 2.0, "gives the same whatever `x` and `c` may be"),
        (lambda x, c: -c * x**2, "the opposite"),
        (lambda x, c: 7 * c * x**2, "a constant times"),
        (lambda x, c: c * x**2 + 1, "a constant more or less than"),
        (lambda x, c: c * x**3, "for x = 2.0, c = 0.5 your 4 is too large."),
        (lambda x, c: (c * x**2).expand(3), "expected shape (), got (3,)"),
        (lambda x, c: "no", "expected a number, got str"),
        (lambda x, c: c * x / 0.0, "NaN or infinity"),
        (lambda x: x, "keep the function's first line as it was, with the arguments (x, c)"),
        (3.0, "keep the function's first line as it was"),
        (lambda x, c: torch.exp(c), "raises TypeError: exp(): argument 'input' (position 1) must be Tensor, not float. "
         "torch's functions take tensors"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_function_is_told(function, words):
    assert words in told(function)


def test_a_mistake_is_told_only_where_it_explains_every_case():
    half_wrong = examine(
        lambda x: 5.0 if x == 2 else 2 * x, lambda x: x**2, [(2.0,), (3.0,)], {"Twice?": lambda x: 2 * x}
    )
    assert "Twice?" not in half_wrong


def test_an_argument_that_makes_no_difference_to_the_truth_is_not_asked_for():
    assert "`b`" not in examine(lambda a, b: 5.0, lambda a, b: a, [(1.0, 2.0), (3.0, 4.0)])


def test_an_exception_names_the_line_of_the_cell(monkeypatch):
    source = "def f(x):\n    y = helper(x)\n    return y\n"
    monkeypatch.setitem(linecache.cache, "<cell>", (len(source), None, source.splitlines(True), "<cell>"))
    helpers = {"__name__": "__main__"}
    exec(compile("def helper(x):\n\n\n    return 1 / 0\n", "<other cell>", "exec"), helpers)
    exec(compile(source, "<cell>", "exec"), helpers)
    said = examine(helpers["f"], lambda x: x, [(1.0,)])
    assert said == "Not yet: your answer, line 2: `y = helper(x)`, raises ZeroDivisionError: division by zero."


def test_an_exception_outside_any_cell_has_no_line():
    assert raised(KeyError()) == "your answer raises KeyError: without a message."
