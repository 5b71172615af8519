"""Self-checks: compare a student's answer with the right one and say in words what is wrong, never what is right."""

import copy
import inspect
import linecache
import textwrap
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

RIGHT = "Right."
UNANSWERED = "Not answered yet: replace the placeholder in the cell above, run it, then run this cell again."
CELLS_MODULE = "__main__"  # where the code of a notebook's cells runs
CURES = {  # for exceptions: part of the message, and what helps
    "max() received an invalid": "torch.max wants two tensors; clamp_min takes a number.",
    "must be Tensor, not": "torch's functions take tensors: wrap a number in torch.tensor(...), or use math's.",
    "only one element tensors": "math's functions take one number: use torch's for tensors.",
    "that requires grad": "Stay with torch's functions, which keep track of gradients.",
    "not positive-definite": "torch.cov wants the variables in rows: transpose the codes.",
}


def feedback(answer: Any, expected: Any, mistakes: Mapping[str, Any] | None = None, *, rtol: float = 1e-4) -> str:
    """One sentence: not answered yet, right, or what is wrong with `answer` (numbers or arrays, by shape and value).

    `mistakes` maps a sentence about a common mistake to the value that this mistake gives; the first that matches is
    told.
    """
    if answer is None or answer is Ellipsis:
        return UNANSWERED
    return _compared([answer], [expected], {told: [value] for told, value in (mistakes or {}).items()}, rtol)


def examine(
    function: Callable[..., Any],
    truth: Callable[..., Any],
    cases: Sequence[tuple],
    mistakes: Mapping[str, Callable[..., Any]] | None = None,
    *,
    rtol: float = 1e-4,
) -> str:
    """One sentence about a student's function, from what it returns for the arguments of each case.

    `truth` and the values of `mistakes` are called like it; a mistake is told where it gives the same in every case.
    Neighbouring cases should differ in every argument: so an answer that ignores one is found and told.
    """
    try:
        inspect.signature(function).bind(*cases[0])
    except TypeError:
        return f"Not yet: keep the function's first line as it was, with the arguments {inspect.signature(truth)}."
    try:
        answers = [function(*copy.deepcopy(case)) for case in cases]
    except Exception as error:
        return f"Not yet: {raised(error, function)}"
    if any(answer is Ellipsis for answer in answers):
        return UNANSWERED
    if any(answer is None for answer in answers):
        return "Not yet: your function gives back None. End it in `return` and the value."
    told = {sentence: [wrong(*case) for case in cases] for sentence, wrong in (mistakes or {}).items()}
    names = list(inspect.signature(truth).parameters)
    unused = [
        f"`{name}`" for k, name in enumerate(names) if _ignored(function, k, cases) and not _ignored(truth, k, cases)
    ]
    ignores = f"Your function gives the same whatever {' and '.join(unused)} may be." if unused else ""
    given = [", ".join(f"{name} = {value}" for name, value in zip(names, case)) for case in cases]
    return _compared(answers, [truth(*case) for case in cases], told, rtol, ignores, given)


def raised(error: Exception, function: Callable[..., Any] | None = None) -> str:
    """What an answer raised, at which line of the notebook's cell that holds `function`, and a cure if one is known."""
    own = getattr(getattr(function, "__code__", None), "co_filename", None)
    _, number, code = reached(error, own) or ("", 0, "")
    place = f", line {number}{f': `{code}`,' if code else ','}" if number else ""
    message = (str(error).strip().split("\n")[0] or "without a message").rstrip(".")
    message = message.removesuffix(", but expected one of:")  # what torch lists on the lines below
    cure = next((f" {cure}" for part, cure in CURES.items() if part in message), "")
    return f"your answer{place} raises {type(error).__name__}: {message}.{cure}"


def reached(error: Exception, file: str | None = None) -> tuple[str, int, str] | None:
    """Where in a notebook's cells (best in `file`) an exception was last: function, line number, line."""
    frames = [at for at in traceback.walk_tb(error.__traceback__) if at[0].f_globals.get("__name__") == CELLS_MODULE]
    if not frames:
        return None
    frame, number = ([at for at in frames if at[0].f_code.co_filename == file] or frames)[-1]
    return frame.f_code.co_name, number, linecache.getline(frame.f_code.co_filename, number).strip()


def _compared(
    answers: list, expected: list, mistakes: Mapping[str, list], rtol: float, ignores: str = "", given: Sequence = ()
) -> str:
    """The sentence about values of one or several cases."""
    for k, pair in enumerate(zip(answers, expected, strict=True)):
        fault = _fault(*pair, {sentence: values[k] for sentence, values in mistakes.items()}, rtol)
        if fault:
            return f"Not yet: {fault}"
    got, want = _joined(answers), _joined(expected)
    if _close(got, want, rtol):
        return RIGHT
    told = _told({sentence: _joined(values) for sentence, values in mistakes.items()}, got, rtol)
    return f"Not yet: {told or ignores or _fact(got, want, rtol) or _difference(answers, expected, given, rtol)}"


def _fault(answer: Any, right: Any, mistakes: Mapping[str, Any], rtol: float) -> str:
    """What keeps an answer from being compared number by number."""
    shape = _numbers(right).shape
    try:
        got = _numbers(answer)
    except (TypeError, ValueError, RuntimeError):
        what = f"an array of shape {shape}" if shape else "a number"
        return f"expected {what}, got {type(answer).__name__}. Return numbers, not objects."
    if np.iscomplexobj(got):
        return "your answer is complex; expected real numbers. Take the magnitude, .abs(), where you mean it."
    if got.shape != shape:
        return f"expected shape {shape}, got {got.shape}. {_told(mistakes, got, rtol)}".rstrip()
    if not np.isfinite(got).all():
        return (
            "your answer contains NaN or infinity. Look for a log or root of a negative number, a log of zero, "
            "a division by zero or an overflow."
        )
    return ""


def _ignored(function: Callable, k: int, cases: Sequence[tuple]) -> bool:
    """Whether the answers stay the same when argument k is exchanged for that of the next case."""
    try:
        for case, other in zip(cases, [*cases[1:], cases[0]]):
            swapped = (*case[:k], other[k], *case[k + 1 :])
            if not _close(function(*copy.deepcopy(case)), function(*copy.deepcopy(swapped)), 1e-9):
                return False
    except Exception:  # arguments of different cases need not fit together
        return False
    return True


def _fact(got: np.ndarray, want: np.ndarray, rtol: float) -> str:
    """What the answers are of the right ones, where that is simple: true whatever led to them."""
    with np.errstate(all="ignore"):
        ratio, gap = got / want, got - want
        simple = {"the opposite of": -want, "twice": 2 * want, "half of": want / 2, "one over": 1 / want}
        simple |= {"the square of": want**2, "the root of": np.sqrt(want), "the logarithm of": np.log(want)}
    if np.unique(want).size > 1 and abs(ratio.flat[0]) > rtol:
        simple |= {"a constant times": want * ratio.flat[0], "a constant more or less than": want + gap.flat[0]}
    told = _told(simple, got, rtol)
    return f"Yours is {told} what is asked for." if told else ""


def _difference(answers: list, expected: list, given: Sequence[str], rtol: float) -> str:
    """The worst number of the first wrong case, and to which side it is wrong."""
    k = next(k for k, pair in enumerate(zip(answers, expected)) if not _close(*pair, rtol))
    got, want = _numbers(answers[k]), _numbers(expected[k])
    worst = tuple(int(i) for i in np.unravel_index(np.abs(got - want).argmax(), got.shape))
    case = f"for {textwrap.shorten(given[k], 80)} " if given else ""
    at = f" at index {worst}" if worst else ""
    return f"{case}your {got[worst]:.6g}{at} is too {'large' if got[worst] > want[worst] else 'small'}."


def _numbers(value: Any) -> np.ndarray:
    if isinstance(value, tuple | list):
        value = [_numbers(part) for part in value]
    numbers = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    return numbers if np.iscomplexobj(numbers) else numbers.astype(float)


def _joined(values: Sequence[Any]) -> np.ndarray:
    return np.concatenate([_numbers(value).ravel() for value in values])


def _close(got: Any, want: Any, rtol: float) -> bool:
    got, want = _numbers(got), _numbers(want)
    return got.shape == want.shape and np.allclose(got, want, rtol=rtol, atol=rtol)


def _told(mistakes: Mapping[str, Any], got: np.ndarray, rtol: float) -> str:
    return next((sentence for sentence, value in mistakes.items() if _close(got, value, rtol)), "")
