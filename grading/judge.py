"""Marks a notebook: its cells run in the student's session, the tests here, with the student's functions far off.

A test sees of a function only a stand-in. What it is called with and what it gives cross as plain data, so a test, its
hidden numbers and its assertions are out of reach of the code that they judge.
"""

import ast
import base64
import binascii
import builtins
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.utils import is_grade, is_solution

from course_utils.assignment import answers, run_checks
from course_utils.assignment.answers import CheckFailed, Unanswered
from grading.guest import clean
from grading.hindrance import is_machines
from grading.plain import NotPlain, pack, unpack
from grading.student import Gone, Student

MAX_SHOWN, MAX_PICTURE = 40, 3 * 2**20
PNG = b"\x89PNG\r\n\x1a\n"

Outputs = list[NotebookNode]


def judged(notebook: NotebookNode, source: NotebookNode, student: Student, folder: Path) -> dict[str, Outputs]:
    """Cell id -> outputs, for every code cell of a notebook that intake made, in its order.

    `source` is the instructor's notebook, whose tests are run; in `folder` lie the student's runs.
    """
    tests = {_name(cell): cell.source for cell in source.cells if _is_test(cell)}
    session = Session(student, _given_above(source), tests)
    run_checks.forget()
    with chdir(folder), patch.object(answers, "HOME", folder):
        return {cell.id: session.outputs(cell) for cell in notebook.cells if cell.cell_type == "code"}


def _name(cell: NotebookNode) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def _is_test(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and is_grade(cell) and not is_solution(cell)


def _given_above(source: NotebookNode) -> list[str]:
    """The given cells above the first answer: what every test may use."""
    first = next(k for k, cell in enumerate(source.cells) if is_solution(cell))
    return [cell.source for cell in source.cells[:first] if cell.cell_type == "code"]


class Session:
    """One notebook on its way through the tests."""

    def __init__(self, student: Student, given: Sequence[str], tests: Mapping[str, str]) -> None:
        self.student, self.tests = student, tests
        self.names: dict[str, Any] = {"__name__": "tests"}
        with redirect_stdout(StringIO()):
            for source in given:
                exec(compile(source, "given", "exec"), self.names)

    def outputs(self, cell: NotebookNode) -> Outputs:
        """What a cell gives: a test here, anything else in the student's session."""
        if _name(cell) in self.tests:
            return self._of_test(self.tests[_name(cell)])
        try:
            return _received(self.student.cell(cell.source))
        except Gone as error:
            return [_stopped(f"This cell {error}.")]

    def _of_test(self, source: str) -> Outputs:
        code, last = _split(source)
        names = self.names | {name: Answer(name, self.student) for name in _unknown(source, self.names)}
        printed, value, error = StringIO(), None, None
        with redirect_stdout(printed), redirect_stderr(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                exec(code, names)
                value = eval(last, names) if last else None
            except Exception as caught:
                if is_machines(caught):
                    raise
                error = caught
        told = [new_output("stream", name="stdout", text=clean(printed.getvalue()))] if printed.getvalue() else []
        if error is not None:
            return [*told, _failed(error)]
        return told if value is None else [*told, new_output("execute_result", {"text/plain": repr(value)})]


def _split(source: str) -> tuple[Any, Any]:
    """Code of all but the last expression, and of that."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    code = compile(tree, "test", "exec")
    return code, last and compile(ast.Expression(last.value), "test", "eval")


def _unknown(source: str, known: Mapping[str, Any]) -> set[str]:
    """Names that a test takes from the student: it reads them, and nobody else has given them a meaning."""
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)]
    own = {node.id for node in found if isinstance(node.ctx, ast.Store)}
    return {node.id for node in found} - own - known.keys() - vars(builtins).keys()


class Answer:
    """Stands for a function of the student's, and calls it in the student's session."""

    def __init__(self, name: str, student: Student) -> None:
        self.__name__ = name
        self._student = student

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """What the function gives.  CheckFailed or Unanswered where it gives nothing."""
        return self._asked(arguments, named)

    def gradients(self, *arguments: Any) -> Any:
        """The gradients of what the function gives, which are computed where it is (`questions.gradients`)."""
        return self._asked(arguments, {}, gradients=True)

    def _asked(self, arguments: Sequence[Any], named: Mapping[str, Any], **more: bool) -> Any:
        blobs: list[bytes] = []
        request = {"arguments": pack(list(arguments), blobs), "named": pack(dict(named), blobs)} | more
        try:
            answer, back = self._student.call(self.__name__, request, blobs)
            if "raised" in answer:
                raise _error_of(self.__name__, answer["raised"])
            value = unpack(answer.get("value"), back)
            _change([*arguments, *named.values()], answer.get("changed"), back)
        except Gone as error:
            raise CheckFailed(f"{self.__name__} {error}.") from error
        except NotPlain as error:
            raise CheckFailed(f"{self.__name__} gave no value that can be judged: {error}.") from error
        print(clean(str(answer.get("printed", ""))), end="")
        return value


def _error_of(name: str, raised: Any) -> Exception:
    """The failure of a call, in the words that the check in the notebook uses."""
    kind, message, place = (clean(str(part)) for part in (*raised, "", "", "")[:3])
    return Unanswered() if kind == "Unanswered" else CheckFailed(f"{name} raised {kind}: {message}{place}")


def _change(given: Sequence[Any], changed: Any, back: list[bytes]) -> None:
    """Do to the arguments what the call did to its copies of them."""
    for at, packed in changed if isinstance(changed, list) else ():
        value, new = given[at], unpack(packed, back)
        if isinstance(value, torch.Generator) and isinstance(new, torch.Generator):
            value.set_state(new.get_state())
        elif isinstance(value, torch.Tensor) and isinstance(new, torch.Tensor):
            value.data = new.data


# Outputs


def _received(answer: Mapping[str, Any]) -> Outputs:
    """What a cell of the student's gave: text, pictures and an error, and nothing that a page would execute."""
    printed, error = clean(str(answer.get("printed") or "")), answer.get("error")
    told = [new_output("stream", name="stdout", text=printed)] if printed else []
    shown = answer.get("shown")
    for data in shown[:MAX_SHOWN] if isinstance(shown, list) else ():
        told += _displayed(data) if isinstance(data, dict) else []
    if isinstance(error, dict):
        lines = [clean(str(line)) for line in list(error.get("traceback") or [])[:5]]
        name, value = clean(str(error.get("ename"))), clean(str(error.get("evalue")))
        told.append(new_output("error", ename=name, evalue=value, traceback=lines))
    return told


def _displayed(data: Mapping[str, Any]) -> Outputs:
    text, picture = data.get("text/plain"), data.get("image/png")
    shown = {"text/plain": clean(str(text))} if text else {}
    if isinstance(picture, str) and len(picture) <= MAX_PICTURE and _is_png(picture):
        shown["image/png"] = picture
    return [new_output("display_data", shown)] if shown else []


def _is_png(encoded: str) -> bool:
    try:
        return base64.b64decode(encoded.replace("\n", ""), validate=True).startswith(PNG)
    except (binascii.Error, ValueError):
        return False


def _failed(error: Exception) -> NotebookNode:
    lines: Callable[[], list[str]] = getattr(error, "_render_traceback_", lambda: [f"{type(error).__name__}: {error}"])
    return new_output("error", ename=type(error).__name__, evalue=str(error), traceback=lines())


def _stopped(sentence: str) -> NotebookNode:
    return new_output("error", ename="Stopped", evalue=sentence, traceback=[sentence])
