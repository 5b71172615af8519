"""What marking would take points for, or has to put right, found before hand-in.

`python -m course_utils.assignment.submission FILE_OR_FOLDER` ends with status 0 where nothing would cost points.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from course_utils.assignment import answer_code
from course_utils.assignment.finding import COSTLY, FATAL, FRESH, NOTE, Finding, points
from course_utils.assignment.notebook_file import (
    FLAGS,
    Json,
    Unreadable,
    by_grade_id,
    checksum,
    defines,
    is_valid,
    read_notebook,
    released_cells,
)
from course_utils.assignment.plan import CELLS, NOTEBOOK, RUNS
from course_utils.assignment.submitted_runs import about_folder

TEXT_STUB = "Your answer here."
MAX_LISTED = 4  # cells that are named in one sentence
MANY_EDITED = "These cells are not as they were given: {}; marking restores them"
KEYS = {"code": "Y", "markdown": "M"}  # in JupyterLab

MARKING = "This is checked before handing in, not while marking."
COSTS = "This would cost you points:"
GOOD = "Good to know:"
FINE = "Nothing was found that would cost you points for no good reason."


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
    reference = released_cells(path.parent)
    if reference is None:
        why = f"Nothing says which cells belong here: {CELLS} is missing or old."
        cure = f"Put the one you were given beside {path.name}."
        return [*found, Finding(NOTE, f"{why} {cure}"), *about_folder(path.parent, {})]
    if nb is None:
        return [*found, *about_folder(path.parent, reference)]
    about_cells = [*_about_kernel(nb), *_about_cells(nb, reference), *_about_borrowed(nb, reference)]
    return [*found, *about_cells, *about_folder(path.parent, reference, _student_number(nb))]


def _student_number(nb: Json) -> int | None:
    """The student number, if its cell returns just one number that can be read without running it."""
    sources = [cell["source"] for cell in by_grade_id(nb).get("student-number", [])]
    return answer_code.returned_number("\n".join(sources))


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
    others = sorted(other.name for other in path.parent.glob("*.ipynb") if other.name != path.name)
    if path.name != NOTEBOOK:
        why = f"beside {', '.join(others)} only {NOTEBOOK} is marked" if others else "it is marked all the same"
        sentence = f"The notebook is called {path.name}; {why}. Rename it to {NOTEBOOK}."
        return path, [Finding(FATAL if others else NOTE, sentence)]
    extra = f"Besides {NOTEBOOK} there is {', '.join(others)}, which is not marked. Keep your answers in {NOTEBOOK}."
    return path, [Finding(NOTE, extra)] if others else []


def _read(path: Path) -> tuple[Json | None, list[Finding]]:
    """The notebook, or nothing and the reason; what only Validate cannot read is good to know and stops nothing."""
    try:
        content, faults = read_notebook(path)
    except Unreadable as error:
        too_large = "MB" in str(error)
        cure = "Choose Edit → Clear Outputs of All Cells, and save." if too_large else FRESH
        return None, [Finding(COSTLY if too_large else FATAL, f"{path.name} {error} {cure}")]
    cure = "Open it in JupyterLab, change a cell, and save."
    return content, [Finding(NOTE, f"{path.name} {fault} {cure}") for fault in faults]


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
    """What is wrong with each cell, as marking finds it: by its name or, without one, by its function or text."""
    found = by_grade_id(nb)
    strays = {name: _stray(nb, name, reference) for name in reference if name not in found}
    if len(strays) == len(reference) and not any(strays.values()):
        total = sum(cell["points"] for cell in reference.values())
        sentence = f"None of the assignment's cells is in this notebook ({points(total)}): it is another one."
        yield Finding(FATAL, f"{sentence} {FRESH}")
        return
    for name, released in reference.items():
        called = _called(name, reference)
        worth = f"{called} {_lost(name, reference)}"
        if len(found.get(name, [])) > 1:
            yield _doubled(called, len(found[name]), released)
        if name in found:
            yield from _about_cell(called, worth, _chosen(found[name], released), released)
        elif strays[name] is not None:
            yield from _unanswered(called, worth, strays[name], released)
        elif released["kind"] == "answer":
            yield Finding(COSTLY, f"{worth} is missing. {FRESH}")
    harmless = [name for name, cell in strays.items() if cell or reference[name]["kind"] != "answer"]
    yield from _about_put_back(harmless, reference)
    yield from _about_edited(found, reference)
    yield from _about_strangers(nb, reference)


def _stray(nb: Json, name: str, reference: Mapping[str, Json]) -> Json | None:
    """The answer that lost its mark: it defines the function, or stands below the heading of its question."""
    released, cells = reference[name], nb["cells"]
    if released["kind"] != "answer":
        return None
    if released["type"] == "code":
        return next((cell for cell in cells if cell["cell_type"] == "code" and defines(cell["source"], name)), None)
    below = [cell for above, cell in pairwise(cells) if f"# {released['heading']}" in above["source"]]
    texts = (cell for cell in below if cell["cell_type"] == "markdown")
    return next((cell for cell in texts if not cell["source"].lstrip().startswith("#")), None)


def _chosen(cells: Sequence[Json], released: Json) -> Json:
    """Of several copies of a cell, the one that marking takes: the last that answers."""
    written = [cell for cell in cells if cell["source"].strip() not in ("", TEXT_STUB)]
    if released["type"] == "code":
        written = [cell for cell in written if not answer_code.STUB.search(cell["source"])]
    return (written or cells)[-1]


def _about_put_back(names: Sequence[str], reference: Mapping[str, Json]) -> Iterator[Finding]:
    """Cells that are not there, or not known by name, and cost nothing."""
    called = list(dict.fromkeys(_called(name, reference) for name in names))
    if not called:
        return
    more = f" and {len(called) - MAX_LISTED} more" if len(called) > MAX_LISTED else ""
    verb, whose = ("is", "its") if len(called) == 1 else ("are", "their")
    what = f"{_capital(', '.join(called[:MAX_LISTED]))}{more} {verb} missing or lost {whose} nbgrader metadata"
    yield Finding(NOTE, f"{what}; marking puts that right, but Validate fails. {FRESH}")


def _called(name: str, reference: Mapping[str, Json]) -> str:
    """What a student knows a cell by: an answer's function, or the heading above it."""
    released, heading = reference[name], f"“{reference[name]['heading']}”"
    if released["kind"] == "answer":
        return _function(name) if released["type"] == "code" else heading
    if released["kind"] == "locked":
        return f"a given cell below {heading}"
    run = next((run.file for run in RUNS.values() if name.startswith(run.tests)), None)
    return f"a test of {run or _function(_answer_above(name, reference))}"


def _answer_above(name: str, reference: Mapping[str, Json]) -> str:
    names = list(reference)
    before = [other for other in names[: names.index(name)] if reference[other]["kind"] == "answer"]
    return before[-1] if before else name


def _function(name: str) -> str:
    return name.replace("-", "_")


def _capital(sentence: str) -> str:
    """With a capital letter, unless it begins with the name of a function."""
    return sentence[0].upper() + sentence[1:] if sentence.startswith("a ") else sentence


def _doubled(called: str, count: int, released: Json) -> Finding:
    counts = "the last that answers counts" if released["kind"] == "answer" else "the one that was given counts"
    sentence = f"There are {count} cells of {called}: one was copied, and {counts}."
    return Finding(NOTE, f"{sentence} Delete the copies; for notes of your own insert a new cell.")


def _about_cell(called: str, worth: str, cell: Json, released: Json) -> Iterator[Finding]:
    meta = cell["metadata"]["nbgrader"]
    grade, solution = FLAGS[released["kind"]]
    flags = (grade or solution and released["points"] > 0, solution)
    if not is_valid(_turned_back(cell, released)) or (meta["grade"], meta["solution"]) != flags:
        what = f"The nbgrader metadata of {called} were changed, or are of another version"
        yield Finding(NOTE, f"{what}; marking goes by those that were given, but Validate fails. {FRESH}")
    elif cell["cell_type"] != released["type"]:
        kinds = f"is a {cell['cell_type']} cell now; marking turns it back into {released['type']}."
        cure = f"Do the same: click left of it, press {KEYS[released['type']]}, run all cells, and save."
        yield Finding(NOTE, f"{_capital(called)} {kinds} {cure}")
    if solution:
        yield from _unanswered(called, worth, cell, released)


def _turned_back(cell: Json, released: Json) -> Json:
    """The cell with the type it was given with, as marking sees it."""
    return cell | {"cell_type": released["type"]}


def _about_edited(found: dict[str, list[Json]], reference: dict[str, Json]) -> Iterator[Finding]:
    """Given cells and tests whose text or metadata are not those of the release."""
    sums = {name: released["checksum"] for name, released in reference.items() if "checksum" in released}
    single = {name: _turned_back(found[name][0], reference[name]) for name in sums if len(found.get(name, [])) == 1}
    edited = [name for name, cell in single.items() if is_valid(cell) and checksum(cell) != sums[name]]
    if edited:
        called = _capital(", ".join(dict.fromkeys(_called(name, reference) for name in edited)))
        sentence = f"{called} is not as it was given; marking restores it"
        sentence = sentence if len(edited) == 1 else MANY_EDITED.format(called)
        cure = "Write answers into the answer cells, and try things out in cells of your own."
        yield Finding(NOTE, f"{sentence}, so changes do not count. {cure}")


def _unanswered(called: str, worth: str, cell: Json, released: Json) -> Iterator[Finding]:
    source, is_code = cell["source"].strip(), released["type"] == "code"
    if not source:
        cure = FRESH if is_code else "Write your answer into it."
        yield Finding(COSTLY, f"{worth} is empty. {cure}")
    elif is_code:
        yield from _about_code(called, worth, cell["source"])
    elif source == TEXT_STUB:
        yield Finding(COSTLY, f"{worth} is not answered yet: write your answer in place of its text.")


def _about_code(called: str, worth: str, source: str) -> Iterator[Finding]:
    stub = answer_code.STUB.search(source)
    if stub and not answer_code.RETURN.search(source, 0, stub.start()):
        yield Finding(COSTLY, f"{worth} is not answered yet: put your code in place of `raise Unanswered()`.")
        return
    if stub:
        yield Finding(NOTE, f"{called} still has the line `raise Unanswered()` below a return. Delete that line.")
    try:
        if answer_code.is_bare(answer_code.python(source)):
            yield Finding(COSTLY, f"{worth} is not answered yet: its function is empty. Put your code into it.")
    except SyntaxError as error:
        where = f" in line {error.lineno}" if error.lineno else ""
        yield Finding(COSTLY, f"{worth} is not valid Python{where}: {error.msg}. Correct it, run the cell, and save.")


def _about_borrowed(nb: Json, reference: dict[str, Json]) -> Iterator[Finding]:
    """Answers that leave the work to a function of the course."""
    for name, paths in answer_code.borrowed(nb).items():
        if name in reference:
            told = f"{_called(name, reference)} {_lost(name, reference)} leaves its work to {', '.join(paths)}."
            yield Finding(COSTLY, f"{told} Write it yourself, with PyTorch or NumPy: whoever marks is told of this.")


def _about_strangers(nb: Json, reference: dict[str, Json]) -> Iterator[Finding]:
    """Cells with nbgrader metadata that the release does not have: notes like any other, but Validate stops at them."""
    for cell in nb["cells"]:
        meta = cell["metadata"].get("nbgrader")
        if meta is None or meta.get("grade_id") in [*reference]:  # a list: a damaged grade_id may be no string
            continue
        flagged = any(meta.get(flag) for flag in ("grade", "solution", "locked", "task"))
        if flagged or not is_valid(cell):
            begins = cell["source"].strip().split("\n")[0][:40]
            sentence = f"The cell that begins with {begins!r} has nbgrader metadata that do not belong here"
            cure = "Copy its text into a new cell, and delete the old one."
            yield Finding(NOTE, f"{sentence}; marking takes it for a note of your own, but Validate fails. {cure}")


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


def _lost(name: str, reference: dict[str, Json]) -> str:
    worth = _worth(name, reference)
    return f"({points(worth)})" if worth else "(other cells need it)"


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
