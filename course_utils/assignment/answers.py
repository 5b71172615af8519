"""Checks of an assignment's answers: silent where an answer is right, one sentence where it is not.

An exception of this module shows itself in a notebook as that sentence, without the page of traceback.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, suppress
from io import StringIO
from pathlib import Path
from typing import Any

from course_utils.exercises import feedback, reached

RIGHT = "Right."
PASSED = "Passed."
HOME = Path.cwd()  # the notebook's folder: its first cell imports this module
MAX_LINE = 60  # of a student's code in a message


class _InOneLine(Exception):
    """What IPython shows of it is the message alone."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class Unanswered(_InOneLine, NotImplementedError):
    """Stands where an answer belongs."""

    def __init__(self) -> None:
        super().__init__("Not answered yet. Write your answer in place of this line, then run the cell again.")


class CheckFailed(_InOneLine, AssertionError):
    """An answer is wrong; the message says what was expected, what came, and which mistake that looks like."""


def check(
    name: str,
    call: Callable[[], Any],
    expected: Any,
    mistakes: Mapping[str, Any] | None = None,
    *,
    rtol: float = 1e-4,
) -> None:
    """Compare what `call()` returns with `expected` (numbers or arrays, by shape and value).

    `mistakes` maps a sentence about a common mistake to the value that it gives.  CheckFailed says what is wrong;
    Unanswered where there is no answer. Warnings and whatever else the answer writes to stderr are kept back.
    """
    answer = answer_of(name, call)
    with _quietly():
        said = feedback(answer, expected, mistakes, rtol=rtol)
    if said != RIGHT:
        raise CheckFailed(f"{name}: {said}")


def check_that(name: str, call: Callable[[], Any], sentence: str) -> None:
    """CheckFailed with this sentence unless `call()` is true."""
    if not answer_of(name, call):
        raise CheckFailed(f"{name}: {sentence}")


def check_either(
    name: str, call: Callable[[], Any], expected: Sequence[Callable[[], Any]], mistakes: Mapping[str, Any] | None = None
) -> None:
    """Like `check`, right if the answer is what one of the calls `expected` gives; the first of them is the truth.

    The others may be built from the student's own functions, so that a mistake there is not counted twice; whatever
    goes wrong in them is passed over.
    """
    answer, truth = answer_of(name, call), expected[0]()
    for other in expected[1:]:
        with suppress(Exception), _quietly():
            if feedback(answer, other()) == RIGHT:
                return
    check(name, lambda: answer, truth, mistakes)


def check_parts(
    name: str,
    call: Callable[[], Any],
    nll: Sequence[Callable[[], Any]],
    kl: Sequence[Callable[[], Any]],
    mistakes: Mapping[str, Any] | None = None,
) -> None:
    """CheckFailed unless `call()` gives three tensors (loss, nll, kl), each (batch,), the first the others' sum.

    `nll` and `kl` are what each part may be, as in `check_either`; `mistakes` are about the nll.
    """
    parts = answer_of(name, call)
    try:
        loss, got_nll, got_kl = (part.detach() for part in parts)
    except (AttributeError, TypeError, ValueError) as error:
        raise CheckFailed(
            f"{name} must return NegativeElbo(loss, nll, kl), three tensors; got {type(parts).__name__}."
        ) from error
    told = {"nll and kl are swapped.": kl[0](), **(mistakes or {})}
    check_either(f"{name}, nll", lambda: got_nll, nll, told)
    check_either(f"{name}, kl", lambda: got_kl, kl)
    wrong_sums = {
        "You subtract the KL; the loss is reconstruction plus KL.": got_nll - got_kl,
        "The KL is missing in the loss.": got_nll,
        "The reconstruction is missing in the loss.": got_kl,
        "This is the ELBO; the loss is minus the ELBO.": -(got_nll + got_kl),
    }
    check(f"{name}, loss", lambda: loss, got_nll + got_kl, wrong_sums)


def answer_of(name: str, call: Callable[[], Any]) -> Any:
    """What `call()` returns.  Unanswered for None or an untouched stub; CheckFailed where it raises anything else."""
    try:
        with at_home(), _quietly():
            answer = call()
    except (Unanswered, CheckFailed):
        raise
    except Exception as error:
        raise CheckFailed(f"{name} raised {type(error).__name__}: {error}{place(name, error)}") from error
    if answer is None:
        raise CheckFailed(f"{name} returned None. Does your function end in a return with a value?")
    return answer


@contextmanager
def at_home() -> Iterator[None]:
    """In the notebook's folder, wherever a cell of the student's has gone."""
    with chdir(HOME):
        yield


def place(name: str, error: Exception) -> str:
    """(line 8: code) of the student's cell, or nothing where no cell was reached."""
    at = reached(error)
    if at is None:
        return ""
    function, line, code = at
    shown = f"{code[:MAX_LINE]}…" if len(code) > MAX_LINE else code
    within = "" if function in (name.split(",")[0].split(" ")[0], "<lambda>") else f", in {function}"
    return f" (line {line}{within}{': ' if shown else ''}{shown})"


@contextmanager
def _quietly() -> Iterator[None]:
    with warnings.catch_warnings(), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        yield
