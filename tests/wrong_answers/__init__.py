"""The bank of wrong answers to the lessons' exercises: `lesson_NN.py` holds a list WRONG, `run` tries one."""

import ast
import io
import linecache
import symtable
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import torch

ROOT = Path(__file__).parents[2]
DTYPE = "the default dtype that the cells before an exercise leave"


@dataclass(frozen=True)
class Wrong:
    """A wrong answer, and a regular expression of the sentence that its self-check must print.

    `specific` says whether that sentence names the mistake; where it is False it merely says that something is wrong.
    """

    exercise: str
    answer: str
    told: str
    specific: bool = True


@cache
def lesson(number: str) -> nbformat.NotebookNode:
    (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
    return nbformat.read(path, as_version=4)


def source(number: str, cell_id: str) -> str:
    return next(cell.source for cell in lesson(number).cells if cell.id == cell_id)


def scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from scopes(child)


def names(code: str) -> tuple[set[str], set[str]]:
    """Names that a cell binds or changes, and names that it uses; what lives in its functions alone is neither."""
    cell = symtable.symtable(code, "<cell>", "exec")
    bound = {symbol.get_name() for symbol in cell.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    found = [(symbol, scope is cell) for scope in scopes(cell) for symbol in scope.get_symbols()]
    used = {symbol.get_name() for symbol, top in found if symbol.is_referenced() and (top or symbol.is_global())}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            bound |= {child.id for child in ast.walk(node.value) if isinstance(child, ast.Name)} - {"self"}
    return bound, used


def needed(notebook: nbformat.NotebookNode, exercise: str, also: str = "") -> list[str]:
    """Sources of the cells, in order, without which an exercise's check (and the code `also`) cannot run."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    at = next(i for i, cell in enumerate(code) if cell.id == f"{exercise}-check")
    wanted = names(code[at].source)[1] | names(also)[1]
    found = []
    for cell in reversed([cell for cell in code[:at] if cell.id != f"{exercise}-answer"]):
        bound, used = names(cell.source)
        if bound & wanted:
            found.insert(0, cell.source)
            wanted |= used
    return found


@cache
def before(number: str, exercise: str, also: str) -> dict[str, Any]:
    """The names that are there when an exercise of a lesson is checked."""
    namespace = {"__name__": "__main__"}
    with redirect_stdout(io.StringIO()), own_default_dtype():
        for cell in needed(lesson(number), exercise, also):
            exec(compile(cell, "<earlier cell>", "exec"), namespace)
        namespace[DTYPE] = torch.get_default_dtype()
    return namespace


@contextmanager
def own_default_dtype() -> Iterator[None]:
    """A lesson may compute in double precision; what runs after it does not."""
    before = torch.get_default_dtype()
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def run(number: str, exercise: str, answer: str, solution: str) -> str:
    """What the self-check prints about an answer; `solution` says which names of the lesson an answer may need."""
    namespace, file = dict(before(number, exercise, solution)), f"<answer to {exercise}>"
    linecache.cache[file] = (len(answer), None, answer.splitlines(keepends=True), file)
    said = io.StringIO()
    with redirect_stdout(said), own_default_dtype():
        torch.set_default_dtype(namespace[DTYPE])
        exec(compile(answer, file, "exec"), namespace)
        exec(compile(source(number, f"{exercise}-check"), "<check>", "exec"), namespace)
    return said.getvalue().strip()
