"""Self-checks: compare a student's answer with the expected one, and say in words what is wrong."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def feedback(answer: Any, expected: Any, mistakes: Mapping[str, Any] | None = None, *, rtol: float = 1e-4) -> str:
    """One sentence: not answered yet, right, or what is wrong with `answer` (numbers or arrays, by shape and value).

    `mistakes` maps a sentence about a common mistake to the value that this mistake gives; the first that matches is
    told.
    """
    if answer is None or answer is Ellipsis:
        return "Not answered yet: replace the placeholder in the cell above, run it, then run this cell again."
    try:
        got, want = _numbers(answer), _numbers(expected)
    except (TypeError, ValueError):
        return f"Not yet: expected {_describe(expected)}, got {type(answer).__name__}. Return numbers, not objects."
    if np.iscomplexobj(got):
        return "Not yet: your answer is complex; expected real numbers. Take the magnitude, .abs(), where you mean it."
    if got.shape != want.shape:
        return f"Not yet: expected shape {want.shape}, got {got.shape}. {_told(mistakes, got, rtol)}".rstrip()
    if not np.isfinite(got).all():
        return (
            "Not yet: your answer contains NaN or infinity. Look for a log of zero, a division by zero or an overflow."
        )
    if np.allclose(got, want, rtol=rtol, atol=rtol):
        return "Right."
    return f"Not yet: {_told(mistakes, got, rtol) or _difference(got, want)}"


def _numbers(value: Any) -> np.ndarray:
    value = value.detach().cpu() if hasattr(value, "detach") else value
    numbers = np.asarray(value)
    return numbers if np.iscomplexobj(numbers) else numbers.astype(float)


def _told(mistakes: Mapping[str, Any] | None, got: np.ndarray, rtol: float) -> str:
    for sentence, value in (mistakes or {}).items():
        value = _numbers(value)
        if value.shape == got.shape and np.allclose(got, value, rtol=rtol, atol=rtol):
            return sentence
    return ""


def _difference(got: np.ndarray, want: np.ndarray) -> str:
    worst = tuple(int(i) for i in np.unravel_index(np.abs(got - want).argmax(), got.shape))
    return f"expected {want[worst]:.6g}, got {got[worst]:.6g}" + (f" at index {worst}." if worst else ".")


def _describe(expected: Any) -> str:
    shape = _numbers(expected).shape
    return f"an array of shape {shape}" if shape else "a number"
