"""What an answer's code says without being run: is it Python, is anything in it, and whose work is it?"""

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from course_utils.assignment.notebook_file import Json, by_grade_id

STUB = re.compile(r"^[ \t]*raise Unanswered\(\)", re.MULTILINE)
RETURN = re.compile(r"^[ \t]*return\b", re.MULTILINE)
COURSE = "course_utils"
GIVEN = (  # what an answer may use of the course: none of it answers a question
    *("course_utils.objectives.NegativeElbo", "course_utils.models", "course_utils.data", "course_utils.runtime"),
    *("course_utils.assignment.plan", "course_utils.assignment.outputs", "course_utils.assignment.answers.Unanswered"),
    *("course_utils.assignment.runs.read_run", "course_utils.batching.to_unit", "course_utils.plotting"),
    *("course_utils.latent.encode", "course_utils.latent.posterior", "course_utils.latent.decode"),
)
ASKED_FOR = {"to-model-input": "course_utils.batching.to_unit"}  # but not there


def python(source: str) -> ast.Module:
    """A cell's code, its % and ! lines translated as IPython does.  SyntaxError with the line in the cell."""
    from IPython.core.inputtransformer2 import TransformerManager

    blank = source[: len(source) - len(source.lstrip())].count("\n")  # lines that IPython drops
    try:
        code = "\n" * blank + TransformerManager().transform_cell(source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a stray backslash costs nothing
            compile(code, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            return ast.parse(code)
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(f"it cannot be read ({error})") from error


def is_bare(tree: ast.Module) -> bool:
    """Whether the cell, or a function in it, holds nothing but `pass`, `...` and texts."""
    bodies = [tree.body, *(part.body for part in tree.body if isinstance(part, ast.FunctionDef))]
    return any(all(_says_nothing(statement) for statement in body) for body in bodies)


def _says_nothing(statement: ast.stmt) -> bool:
    is_constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.Pass) or is_constant


def returned_number(source: str) -> int | None:
    """The whole number that this code returns, if that is all it returns and can be read without running it."""
    try:
        returned = [node.value for node in ast.walk(python(source)) if isinstance(node, ast.Return)]
    except SyntaxError:
        return None
    is_plain = len(returned) == 1 and isinstance(returned[0], ast.Constant) and type(returned[0].value) is int
    return returned[0].value if is_plain else None


# Whose work is it?


def borrowed(notebook: Mapping[str, Any]) -> dict[str, list[str]]:
    """grade_id -> the course's functions to which this answer leaves its work, itself or through a helper."""
    answers = by_grade_id(notebook)
    known = {name: path for name, path in _known_names(notebook).items() if name.replace("_", "-") not in answers}
    found = {}
    for name, cells in answers.items():
        if cells[0]["cell_type"] == "code" and cells[0]["metadata"]["nbgrader"].get("solution"):
            used = _used(_tree(cells[0]), known)
            found[name] = sorted(path for path in used if path == ASKED_FOR.get(name) or not _is_given(path))
    return {name: paths for name, paths in found.items() if paths}


def _known_names(notebook: Mapping[str, Any]) -> dict[str, str]:
    """What names of the notebook stand for in the course: imported anywhere, or helpers in the student's own cells."""
    known: dict[str, str] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            tree = _tree(cell)
            known |= _imported(tree)
            if "nbgrader" not in cell["metadata"]:
                known |= _helpers(tree, known)
    return known


def _tree(cell: Json) -> ast.Module:
    return _parsed(cell["source"])


@lru_cache(maxsize=512)  # a whole class has the same given cells; nobody changes a tree
def _parsed(source: str) -> ast.Module:
    try:
        return python(source)
    except Exception:  # whatever is in that cell: other findings say so, and this is about the others
        return ast.Module([], [])


def _imported(tree: ast.AST) -> dict[str, str]:
    """Name -> what it stands for in the course, for every import in this code."""
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == COURSE:
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            ours = (alias for alias in node.names if alias.name.split(".")[0] == COURSE)
            known |= {alias.asname or COURSE: alias.name if alias.asname else COURSE for alias in ours}
    return known


def _helpers(tree: ast.Module, known: Mapping[str, str]) -> dict[str, str]:
    """Functions and variables of a student's own cell that use something of the course which is not given."""
    found = {}
    for statement in tree.body:
        names = [node.id for node in ast.walk(statement) if _is_name(node, ast.Store)]
        names = [statement.name] if isinstance(statement, ast.FunctionDef | ast.ClassDef) else names
        used = sorted(path for path in _used(statement, {**known, **found}) if not _is_given(path))
        found |= dict.fromkeys(names, used[0]) if used else {}
    return found


def _used(tree: ast.AST, known: Mapping[str, str]) -> set[str]:
    """Whole names of the course that this code uses; a name that it gives another meaning is not the course's."""
    imported = _imported(tree)
    own = {node.id for node in ast.walk(tree) if _is_name(node, ast.Store)}
    own |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    meant = {name: path for name, path in known.items() if name not in own} | imported
    paths = set(_paths(tree, meant)) | {path for path in imported.values() if path != COURSE}
    return {path for path in paths if not any(other.startswith(f"{path}.") for other in paths)}


def _paths(tree: ast.AST, meant: Mapping[str, str]) -> Iterator[str]:
    for node in ast.walk(tree):
        root, _, rest = _dotted(node).partition(".")
        if root in meant:
            yield f"{meant[root]}.{rest}".rstrip(".")


def _dotted(node: ast.AST) -> str:
    """a.b.c of an expression that is one, else nothing."""
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(attributes)]) if _is_name(node, ast.Load) else ""


def _is_name(node: ast.AST, context: type[ast.expr_context]) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, context)


def _is_given(path: str) -> bool:
    return any(f"{path}.".startswith(f"{given}.") for given in GIVEN)
