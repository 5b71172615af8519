"""What nbgrader would punish without a word, found before hand-in.

`python -m course_utils.assignment.submission FILE_OR_FOLDER` ends with status 0 where nothing would cost points.
"""

import ast
import json
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from course_utils.assignment.answers import CheckFailed
from course_utils.assignment.plan import (
    ASSIGNMENT,
    CELLS,
    COMPARISON,
    MAX_MEGABYTES,
    NOTEBOOK,
    RUNS,
    earlier_runs,
    planned,
)
from course_utils.assignment.run_checks import check_different, check_own, check_whole
from course_utils.assignment.runs import read_run
from course_utils.checkpoints import CheckpointError, read_facts
from course_utils.runtime import course_root

FORMAT = 4  # of notebooks
MAX_FILES = 20_000  # somebody's home folder is not walked to its end
STUB = re.compile(r"^[ \t]*raise Unanswered\(\)", re.MULTILINE)
TEXT_STUB = "Your answer here."
RETURN = re.compile(r"^[ \t]*return\b", re.MULTILINE)
FLAGS = {"answer": (False, True), "test": (True, False), "locked": (False, False)}  # kind -> grade, solution
MANY_EDITED = "These cells are not as they were given: {}; marking restores them"
KEYS = {"code": "Y", "markdown": "M"}  # in JupyterLab
FRESH = f"Fetch a fresh {NOTEBOOK}, put your answers into its cells, and hand in that one."

MARKING = "This is checked before handing in, not while marking."
Json = dict[str, Any]  # a notebook or a cell

FATAL, COSTLY, NOTE = "fatal", "costly", "note"
COSTS = "This would cost you points:"
GOOD = "Good to know:"
FINE = "Nothing was found that would cost you points for no good reason."


class Finding(NamedTuple):
    """One sentence or two: what was found, and the cure. A costly one takes points away."""

    weight: str  # FATAL: nbgrader gives up marking the notebook; COSTLY, or only a NOTE
    sentence: str

    @property
    def costly(self) -> bool:
        return self.weight != NOTE


def report(path: str | Path) -> str:
    """One line per finding with its cure, those that cost points first.  Never raises.

    `path` is the notebook as it was last saved, or its folder. While nbgrader marks, there is nothing left to check.
    """
    if os.environ.get("NBGRADER_EXECUTION") == "autograde":
        return MARKING
    return _page(findings(path))


def _page(found: Sequence[Finding]) -> str:
    costly, rest = ([finding for finding in found if finding.costly is which] for which in (True, False))
    return "\n".join([*_listed(COSTS, costly), *_listed(GOOD, rest)])


def _listed(title: str, found: Sequence[Finding]) -> list[str]:
    if not found:
        return [FINE] if title == COSTS else []
    return [title, *(f"- {finding.sentence}" for finding in found)]


def findings(path: str | Path) -> list[Finding]:
    """What is wrong with the submission at `path`, in the notebook's order.  Never raises."""
    try:
        notebook, found = _find_notebook(Path(path))
        return found if notebook is None else [*found, *_of_submission(notebook)]
    except Exception as error:
        sentence = f"{path} could not be checked to the end ({type(error).__name__}: {error}). {FRESH}"
        return [Finding(FATAL, sentence)]


def _of_submission(path: Path) -> list[Finding]:
    nb, found = _read(path)
    reference = _reference(path.parent)
    if reference is None:
        why = (
            f"Nothing says which cells belong here: {CELLS} is missing. Put the one you were given beside {path.name}."
        )
        return [*found, Finding(NOTE, why), *_about_folder(path.parent, {})]
    if nb is None:
        return [*found, *_about_folder(path.parent, reference)]
    about_cells = [*_about_kernel(nb), *_about_cells(nb, reference)]
    return [*found, *about_cells, *_about_folder(path.parent, reference, _returned_number(nb))]


# The file


def _find_notebook(path: Path) -> tuple[Path | None, list[Finding]]:
    """The notebook that `path` means, if any, and what is wrong with its name and its neighbours."""
    if not path.exists():
        return None, [Finding(FATAL, f"There is no {path}. Save your notebook as {NOTEBOOK} and check that file.")]
    if path.is_dir():
        others = sorted(other for other in path.glob("*.ipynb") if other.name != NOTEBOOK)
        if not (path / NOTEBOOK).exists() and len(others) != 1:
            sentence = (
                f"{path} holds {len(others)} notebooks and none is called {NOTEBOOK}, the only one that is marked."
            )
            return None, [Finding(FATAL, f"{sentence} Rename yours to {NOTEBOOK}.")]
        path = path / NOTEBOOK if (path / NOTEBOOK).exists() else others[0]
    if path.name != NOTEBOOK:
        sentence = f"The notebook is called {path.name}; only {NOTEBOOK} is marked. Rename it to {NOTEBOOK}."
        return path, [Finding(FATAL, sentence)]
    others = sorted(other.name for other in path.parent.glob("*.ipynb") if other.name != NOTEBOOK)
    extra = f"Besides {NOTEBOOK} there is {', '.join(others)}, which is not marked. Keep your answers in {NOTEBOOK}."
    return path, [Finding(NOTE, extra)] if others else []


def _read(path: Path) -> tuple[Json | None, list[Finding]]:
    """The notebook, or nothing and the reason; a byte order mark is a finding and does not stop the reading."""
    if not path.is_file():
        return None, [Finding(FATAL, f"{path.name} is not a file. {FRESH}")]
    if path.stat().st_size > MAX_MEGABYTES * 10**6:
        size = path.stat().st_size / 1e6
        cure = "Choose Edit → Clear Outputs of All Cells, and save."
        return None, [
            Finding(COSTLY, f"{path.name} has {size:.0f} MB; a submission may have {MAX_MEGABYTES} in all. {cure}")
        ]
    data = path.read_bytes()
    found = []
    if data.startswith(b"\xef\xbb\xbf"):
        mark = f"{path.name} begins with a byte order mark, which an editor put there; nbgrader cannot read it."
        found = [Finding(FATAL, f"{mark} Open it in JupyterLab, change a cell, and save.")]
        data = data[3:]
    try:
        return _parsed(data), found
    except ValueError as error:
        return None, [*found, Finding(FATAL, f"{path.name} cannot be read: {error} {FRESH}")]


def _parsed(data: bytes) -> Json:
    """The notebook in these bytes.  ValueError with a sentence for anything else."""
    try:
        content = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not encoded in UTF-8 (byte {error.start}).") from error
    except ValueError as error:
        conflict = " It holds the marks of a git conflict." if b"<<<<<<<" in data else ""
        raise ValueError(f"it is not valid JSON ({error}).{conflict}") from error
    if not isinstance(content, dict) or content.get("nbformat") != FORMAT:
        raise ValueError(f"it is no notebook of format {FORMAT}.")
    cells = content.get("cells")
    if not isinstance(cells, list) or not all(_is_cell(cell) for cell in cells):
        raise ValueError("its list of cells is missing or damaged.")
    for cell in cells:
        cell["source"] = "".join(cell["source"])
    return content


def _is_cell(cell: object) -> bool:
    """Whether this is a cell as far as the checks read it."""
    if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
        return False
    source, meta = cell.get("source"), cell.get("metadata")
    lines = isinstance(source, str) or isinstance(source, list) and all(isinstance(line, str) for line in source)
    return lines and isinstance(meta, dict) and isinstance(meta.get("nbgrader", {}), dict)


def _reference(folder: Path) -> dict[str, Json] | None:
    """The released cells: cells.json beside the notebook, or else the checkout's; None if neither can be read."""
    for place in (folder, course_root() / "assignments" / ASSIGNMENT):
        try:
            listed = json.loads((place / CELLS).read_text(encoding="utf-8"))
            if listed and all(
                cell["kind"] in FLAGS and cell["points"] >= 0 and cell["type"] for cell in listed.values()
            ):
                return listed
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None


# The cells


def _about_kernel(nb: Json) -> Iterator[Finding]:
    meta = nb.get("metadata")
    spec = meta.get("kernelspec") if isinstance(meta, dict) else None
    spec = spec if isinstance(spec, dict) else {}
    name, language = spec.get("name"), spec.get("language", "python")
    cure = "Choose Kernel → Change Kernel → Python 3, and save."
    if language != "python":
        sentence = f"The notebook asks for {language}; it is marked with Python, and Validate fails."
        yield Finding(NOTE, f"{sentence} {cure}")
    elif name != "python3":
        called = f"is called {name!r}" if name else "has no name"
        sentence = f"The notebook's kernel {called}; marking uses python3, and Validate may fail with yours."
        yield Finding(NOTE, f"{sentence} {cure}")


def _about_cells(nb: Json, reference: dict[str, Json]) -> Iterator[Finding]:
    found = _by_name(nb)
    if not set(found) & set(reference):
        total = sum(cell["points"] for cell in reference.values())
        yield Finding(
            FATAL,
            "No cell carries the marks by which nbgrader knows it, so nothing can be marked "
            f"({_points(total)}): another editor dropped them, or this is another notebook. {FRESH}",
        )
        return
    for name, released in reference.items():
        cells, worth = found.get(name, []), _worth(name, reference)
        if not cells:
            yield _missing(name, released, worth)
        elif len(cells) > 1:
            yield _doubled(name, len(cells))
        else:
            yield from _about_cell(name, cells[0], released, worth)
    yield from _about_edited(found, reference)
    yield from _about_strangers(nb, reference)


def _by_name(nb: Json) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {}
    for cell in nb["cells"]:
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if isinstance(grade_id, str):
            found.setdefault(grade_id, []).append(cell)
    return found


def _missing(name: str, released: Json, worth: float) -> Finding:
    what = {"answer": "The answer cell", "test": "The test cell", "locked": "The given cell"}[released["kind"]]
    gone = f"{what} {name} {_lost(worth)} is missing or lost its nbgrader metadata"
    return Finding(COSTLY, f"{gone}, and other questions may be lost with it. {FRESH}")


def _doubled(name: str, count: int) -> Finding:
    sentence = f"{count} cells carry the name {name}: a cell was copied, and nbgrader gives up marking the notebook."
    return Finding(FATAL, f"{sentence} Delete the copies and keep one; for notes of your own insert a new cell.")


def _about_cell(name: str, cell: Json, released: Json, worth: float) -> Iterator[Finding]:
    meta = cell["metadata"]["nbgrader"]
    grade, solution = FLAGS[released["kind"]]
    if not _is_valid(_turned_back(cell, released)):
        yield Finding(FATAL, f"The nbgrader metadata of the cell {name} are damaged or of another version. {FRESH}")
    elif (meta["grade"], meta["solution"]) != (grade or solution and released["points"] > 0, solution):
        yield Finding(COSTLY, f"The nbgrader metadata of the cell {name} {_lost(worth)} were changed. {FRESH}")
    elif cell["cell_type"] != released["type"]:
        sentence = f"The cell {name} is a {cell['cell_type']} cell now; marking turns it back into {released['type']}."
        cure = f"Do the same: click left of it, press {KEYS[released['type']]}, run all cells, and save."
        yield Finding(NOTE, f"{sentence} {cure}")
        yield from _unanswered(name, cell, released, worth) if solution else ()
    elif solution:
        yield from _unanswered(name, cell, released, worth)


def _turned_back(cell: Json, released: Json) -> Json:
    """The cell with the type it was given with, as marking sees it."""
    return cell | {"cell_type": released["type"]}


def _about_edited(found: dict[str, list[Json]], reference: dict[str, Json]) -> Iterator[Finding]:
    """Given cells and tests whose text or metadata are not those of the release."""
    import nbformat  # it and nbgrader take seconds to import; a kernel that only marks need not wait for them
    from nbgrader.utils import compute_checksum

    sums = {name: released["checksum"] for name, released in reference.items() if "checksum" in released}
    single = {name: _turned_back(found[name][0], reference[name]) for name in sums if len(found.get(name, [])) == 1}
    edited = [
        name
        for name, cell in single.items()
        if _is_valid(cell) and compute_checksum(nbformat.from_dict(cell)) != sums[name]
    ]
    if edited:
        cells = "The cell {} is not as it was given; marking restores it" if len(edited) == 1 else MANY_EDITED
        cure = "Write answers into the answer cells, and try things out in cells of your own."
        yield Finding(NOTE, f"{cells.format(', '.join(edited))}, so changes do not count. {cure}")


def _unanswered(name: str, cell: Json, released: Json, worth: float) -> Iterator[Finding]:
    source, is_code = cell["source"].strip(), released["type"] == "code"
    called = f"{name} {_lost(worth)}"
    if not source:
        cure = FRESH if is_code else "Write your answer into it."
        yield Finding(COSTLY, f"{called} is empty. {cure}")
    elif is_code:
        yield from _about_code(name, called, cell["source"])
    elif source == TEXT_STUB:
        yield Finding(COSTLY, f"{called} is not answered yet: write your answer in place of its text.")


def _about_code(name: str, called: str, source: str) -> Iterator[Finding]:
    stub = STUB.search(source)
    if stub and not RETURN.search(source, 0, stub.start()):
        yield Finding(COSTLY, f"{called} is not answered yet: put your code in place of `raise Unanswered()`.")
        return
    if stub:
        yield Finding(NOTE, f"{name} still has the line `raise Unanswered()` below a return. Delete that line.")
    try:
        if _is_bare(_python(source)):
            yield Finding(COSTLY, f"{called} is not answered yet: its function is empty. Put your code into it.")
    except SyntaxError as error:
        where = f" in line {error.lineno}" if error.lineno else ""
        yield Finding(COSTLY, f"{called} is not valid Python{where}: {error.msg}. Correct it, run the cell, and save.")


def _python(source: str) -> ast.Module:
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


def _is_bare(tree: ast.Module) -> bool:
    """Whether the cell, or a function in it, holds nothing but `pass`, `...` and texts."""
    bodies = [tree.body, *(part.body for part in tree.body if isinstance(part, ast.FunctionDef))]
    return any(all(_says_nothing(statement) for statement in body) for body in bodies)


def _says_nothing(statement: ast.stmt) -> bool:
    is_constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.Pass) or is_constant


def _returned_number(nb: Json) -> int | None:
    """The student number, if its cell returns just one number that can be read without running it."""
    cells = _by_name(nb).get("student-number", [])
    try:
        nodes = [node for cell in cells for node in ast.walk(_python(cell["source"]))]
    except SyntaxError:
        return None
    returned = [node.value for node in nodes if isinstance(node, ast.Return)]
    is_plain = len(returned) == 1 and isinstance(returned[0], ast.Constant) and type(returned[0].value) is int
    return returned[0].value if is_plain else None


def _about_strangers(nb: Json, reference: dict[str, Any]) -> Iterator[Finding]:
    """Cells with nbgrader metadata that the release does not have: nbgrader then marks nothing at all."""
    for cell in nb["cells"]:
        meta = cell["metadata"].get("nbgrader")
        if meta is None or meta.get("grade_id") in [*reference]:  # a list: a damaged grade_id may be no string
            continue
        flagged = any(meta.get(flag) for flag in ("grade", "solution", "locked", "task"))
        if flagged or not _is_valid(cell):
            begins = cell["source"].strip().split("\n")[0][:40]
            sentence = f"The cell that begins with {begins!r} has nbgrader metadata that do not belong here"
            yield Finding(
                FATAL, f"{sentence}; nbgrader gives up at it. Copy its text into a new cell, and delete the old one."
            )


def _is_valid(cell: Json) -> bool:
    """Whether nbgrader itself accepts the cell's metadata."""
    import nbformat
    from nbgrader.nbgraderformat import MetadataValidator

    try:
        MetadataValidator().validate_cell(nbformat.from_dict(cell))
    except Exception:
        return False
    return True


def _worth(name: str, reference: dict[str, Json]) -> float:
    """The points of a cell: its own, or for an answer in code those of the tests between it and the next answer."""
    released = reference[name]
    if released["points"] or released["kind"] != "answer":
        return released["points"]
    names, total = list(reference), 0
    for later in names[names.index(name) + 1 :]:
        if reference[later]["kind"] == "answer":
            break
        if not later.startswith(tuple(run.tests for run in RUNS.values())):
            total += reference[later]["points"]
    return total


def _lost(worth: float) -> str:
    return f"({_points(worth)})" if worth else "(other cells need it)"


def _points(points: float) -> str:
    return "1 point" if points == 1 else f"{points:g} points"


# The folder


def _about_folder(folder: Path, reference: dict[str, Json], own: int | None = None) -> Iterator[Finding]:
    """What is wrong with the runs, compared with the student number `own` if it is known, and with their size."""
    for name in RUNS:
        yield from _about_run(folder, name, reference, own)
    if own is None:
        yield from _about_numbers(folder)
    sizes = _sizes(folder)
    total = sum(sizes.values()) / 1e6
    if total > MAX_MEGABYTES:
        largest = ", ".join(f"{name} ({size / 1e6:.1f} MB)" for name, size in sizes.most_common(3))
        sentence = f"The folder has {total:.0f} MB; {MAX_MEGABYTES} are allowed. The largest: {largest}."
        yield Finding(COSTLY, f"{sentence} Delete or move what does not belong to the submission.")


def _about_run(folder: Path, name: str, reference: dict[str, Json], own: int | None) -> Iterator[Finding]:
    path = folder / "runs" / f"{name}.safetensors"
    shown, again = f"runs/{path.name}", "Run its training cell to the end, then save."
    worth, gone = _worth_of_run(name, reference)
    if path.is_symlink():
        yield Finding(COSTLY, f"{shown}{gone} is a link, and links are not handed in. Put the file itself there.")
    elif not path.exists() and any((folder / "runs" / "unfinished").glob(f"{name}-*.safetensors")):
        yield Finding(COSTLY, f"The run {shown}{gone} is unfinished. {again} It goes on where it stopped.")
    elif not path.exists():
        yield Finding(COSTLY, f"The run {shown}{gone} is missing. {again}")
    else:
        try:
            read_run(path)
            _check_contents(path, own)
        except CheckpointError as error:
            reason = str(error).replace(str(path), shown)
            yield Finding(COSTLY, f"The run {shown}{gone} is damaged: {reason} Delete the file first.")
        except CheckFailed as error:
            reason = str(error).replace(f"{path.parent}{os.sep}", "runs/")
            cure = "" if "delete" in reason.lower() else f" Delete {shown}. {again}"
            yield Finding(COSTLY, f"The run {shown}{worth} will lose points: {reason}{cure}")
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            yield Finding(COSTLY, f"The run {shown}{gone} cannot be read ({reason}). Delete the file. {again}")


def _worth_of_run(name: str, reference: dict[str, Json]) -> tuple[str, str]:
    """The points of a run in brackets, alone and with those of the comparison that needs it."""
    worth = sum(cell["points"] for test, cell in reference.items() if test.startswith(RUNS[name].tests))
    if not worth:
        return "", ""
    compared = reference.get(COMPARISON, {}).get("points", 0) if RUNS[name].data_set == "mnist" else 0
    also = f", and {_points(compared)} of `comparison`" if compared else ""
    return f" ({_points(worth)})", f" ({_points(worth)}{also})"


def _check_contents(path: Path, own: int | None) -> None:
    """CheckFailed where marking will say so too, as far as that needs none of the images."""
    check_whole(path, planned(path).epochs)
    if own is not None:
        check_own(path, own)
    check_different(path, earlier_runs(path))


def _about_numbers(folder: Path) -> Iterator[Finding]:
    found: dict[int, list[str]] = {}
    for name in RUNS:
        with suppress(CheckpointError, TypeError):  # said already
            found.setdefault(read_facts(folder / "runs" / f"{name}.safetensors").get("student"), []).append(name)
    if len(found) > 1:
        told = "; ".join(f"{number} in {', '.join(names)}" for number, names in found.items())
        cure = "Delete those that do not carry yours, and run their training cells."
        yield Finding(COSTLY, f"The runs carry different student numbers: {told}. {cure}")


def _sizes(folder: Path) -> Counter[str]:
    """Bytes of each file that is handed in, by its path in the folder; hidden and unfinished ones stay behind."""
    sizes: Counter[str] = Counter()
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__")) and name != "unfinished"]
        for name in files:
            path = Path(place, name)
            if not name.startswith(".") and path.is_file():
                sizes[str(path.relative_to(folder))] = path.stat().st_size
        if len(sizes) > MAX_FILES:
            break
    return sizes


def main(argv: Sequence[str] | None = None) -> int:
    """Print the report on one notebook or folder."""
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1 or arguments[0] in ("-h", "--help"):
        print("usage: python -m course_utils.assignment.submission FILE_OR_FOLDER", file=sys.stderr)
        return 2
    found = findings(arguments[0])
    print(_page(found))
    return int(any(finding.costly for finding in found))


if __name__ == "__main__":
    sys.exit(main())
