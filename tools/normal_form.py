"""The one form in which notebooks are stored: `python -m tools.normal_form [--write] [FILES]`.

`normalise` restores what a program can restore; `problems` names the rest, one sentence each with its cure.
"""

import argparse
import base64
import copy
import re
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

import nbformat
import numpy as np
from nbformat import NotebookNode
from nbformat.validator import iter_validate
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {  # as JupyterLab writes it, so that opening and saving a stored notebook changes nothing
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
    "version": "3.11.7",
}
CELL_KEYS = ("deletable", "editable", "jupyter", "nbgrader", "tags")
WORDS = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
RANDOM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}.*)?")
PYTHON = re.compile(r"3\.\d+\.\d+")
WIDGET = "application/vnd.jupyter.widget-view+json"
MAX_BYTES = 400_000
FILM = "data:image/gif"  # as large as ten figures; its strip is stored
COLOURS, GREYS = 20, 12
MANY_COLOURS = 36  # of a figure whose classes would merge with fewer; its cell is tagged many-colours
GREY = 6  # channels that differ by at most so many of 255 levels, in every pixel, make a grey figure
MEDIAN_LINES, MOST_LINES, MAX_LINES = 5, 15, 25
MAX_RUN = 3
MIN_PROSE = 0.35


def read(path: Path) -> NotebookNode:
    """The notebook as it is stored: neither repaired nor validated on the way in."""
    return nbformat.v4.reads(path.read_text(encoding="utf-8"))


def text(nb: NotebookNode) -> str:
    """The bytes that a stored notebook consists of: indent 1, sorted keys, one final newline."""
    return nbformat.v4.writes(nb).rstrip("\n") + "\n"


def write(nb: NotebookNode, path: Path) -> None:
    """Replace `path` by the notebook in one step, so that no reader ever meets half of it."""
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(text(nb), encoding="utf-8")
    draft.replace(path)


def normalise(nb: NotebookNode) -> NotebookNode:
    """A copy in normal form, as far as that needs no author."""
    nb = copy.deepcopy(nb)
    for restore in RESTORERS.values():
        restore(nb)
    return nb


def problems(nb: NotebookNode, path: Path) -> list[str]:
    """What keeps a notebook from its normal form; lessons are also held to the cell budget and must be executed."""
    sentences = list(_invalid(nb)) or [*_deviations(nb), *_bad_ids(nb), *_errors(nb), *_size(nb)]
    if is_lesson(path) and not list(_invalid(nb)):
        sentences += [*_not_executed(nb), *_budget(nb)]
    return [f"{path.name}: {sentence}" for sentence in sentences]


def is_lesson(path: Path) -> bool:
    """Lessons are `notebooks/NN_name.ipynb`; other notebooks are stored without outputs or have their own owner."""
    return path.resolve().parent.name == "notebooks"


def _code(nb: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def _tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags") or []


# What a program can restore


def _notebook_metadata(nb: NotebookNode) -> None:
    language = LANGUAGE | {"version": _version_of_python(nb)}
    nb.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": language})
    nb.nbformat, nb.nbformat_minor = 4, 5


def _version_of_python(nb: NotebookNode) -> str:
    """The version that it was last run with, where it says so: JupyterLab would write it again."""
    said = nb.metadata.get("language_info", {}).get("version")
    return said if isinstance(said, str) and PYTHON.fullmatch(said) else LANGUAGE["version"]


def _cell_metadata(nb: NotebookNode) -> None:
    for cell in nb.cells:
        kept = {key: cell.metadata[key] for key in CELL_KEYS if key in cell.metadata}
        hidden = kept.pop("jupyter", {}).get("source_hidden")
        tags = sorted(set(kept.pop("tags", None) or []))
        kept |= ({"tags": tags} if tags else {}) | ({"jupyter": {"source_hidden": True}} if hidden else {})
        cell.metadata = nbformat.from_dict(kept)


def _folded(nb: NotebookNode) -> None:
    for cell in _code(nb):
        if "hide-input" in _tags(cell):
            cell.metadata.jupyter = {"source_hidden": True}


def _injected_cells(nb: NotebookNode) -> None:
    nb.cells = [cell for cell in nb.cells if not {"injected-parameters", "papermill-error-cell-tag"} & set(_tags(cell))]


def _whitespace(nb: NotebookNode) -> None:
    for cell in nb.cells:
        cell.source = "\n".join(line.rstrip() for line in cell.source.split("\n")).strip("\n")


def _transient_outputs(nb: NotebookNode) -> None:
    for cell in _code(nb):
        cell.outputs = [output for output in cell.outputs if not _is_transient(output)]


def _is_transient(output: NotebookNode) -> bool:
    widget = WIDGET in output.get("data", {}) or "progress-bar" in output.get("metadata", {})
    film = FILM in output.get("data", {}).get("text/html", "")
    return widget or film or output.get("name") == "stderr"


def _streams(nb: NotebookNode) -> None:
    for cell in _code(nb):
        merged: list[NotebookNode] = []
        for output in cell.outputs:
            if merged and output.output_type == "stream" and output.name == merged[-1].get("name"):
                merged[-1].text += output.text
            else:
                merged.append(output)
        cell.outputs = merged


def _output_counts(nb: NotebookNode) -> None:
    for cell in _code(nb):
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count


def _figures(nb: NotebookNode) -> None:
    for cell in _code(nb):
        most = MANY_COLOURS if "many-colours" in _tags(cell) else COLOURS
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = _with_palette(output.data["image/png"], most)


@cache
def _with_palette(png: str, most: int) -> str:
    """A base64 PNG with at most so many colours, or GREYS shades where all is grey: a fraction of the bytes."""
    image = Image.open(BytesIO(base64.b64decode(png)))
    if image.mode == "P":
        return png
    buffer = BytesIO()
    paper = Image.new("RGBA", image.size, "white")
    paper.alpha_composite(image.convert("RGBA"))
    flat = paper.convert("RGB")
    reduced = flat.quantize(palette=_palette(flat, most), dither=Image.Dither.NONE)
    reduced.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _palette(picture: Image.Image, most: int) -> Image.Image:
    """White and a picture's colours; greys and others apart, or a thin line would turn grey beside a photograph."""
    pixels = np.asarray(picture).reshape(-1, 3)
    grey = np.ptp(pixels, axis=1) <= GREY
    shades = GREYS if grey.all() else most * 2 // 5 if grey.any() else 0
    colours = [255, 255, 255]  # the paper stays paper
    for part, number in ((pixels[grey], shades - 1), (pixels[~grey], most - max(1, shades))):
        if len(part):
            row = Image.fromarray(part[None])
            few = row.quantize(number, method=Image.Quantize.MEDIANCUT, kmeans=10, dither=Image.Dither.NONE)
            colours += [channel for _, colour in few.convert("RGB").getcolors() for channel in colour]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours)
    return palette


RESTORERS: dict[str, Callable[[NotebookNode], None]] = {
    "its notebook metadata are not those of JupyterLab with Python 3": _notebook_metadata,
    "a cell carries metadata that is not stored, or its tags are not sorted": _cell_metadata,
    "a cell tagged hide-input is not folded in JupyterLab (jupyter.source_hidden)": _folded,
    "it holds a cell that papermill injected": _injected_cells,
    "a source has trailing whitespace or blank lines at an end": _whitespace,
    "an output is a widget, a film, a progress bar or a stderr stream": _transient_outputs,
    "one stream is split into several outputs": _streams,
    "an output's count differs from its cell's": _output_counts,
    "a figure is stored in full colour instead of with a palette": _figures,
}


def _deviations(nb: NotebookNode) -> Iterator[str]:
    for sentence, restore in RESTORERS.items():
        restored = copy.deepcopy(nb)
        restore(restored)
        if restored != nb:
            yield f"{sentence}; run `make lint`."


# What only an author can mend


def _invalid(nb: NotebookNode) -> Iterator[str]:
    for error in iter_validate(nb, version=4, version_minor=5):
        reason = error.message.splitlines()[0][:120]
        yield f"it is not a valid notebook ({reason}); save it again from JupyterLab."
        return


def _bad_ids(nb: NotebookNode) -> Iterator[str]:
    ids = [cell.get("id", "") for cell in nb.cells]
    for name, count in Counter(ids).items():
        if not WORDS.fullmatch(name) or RANDOM.fullmatch(name):
            yield f"the cell id {name!r} is not made of words; give it a name like kl-by-quadrature."
        if count > 1:
            yield f"{count} cells share the id {name!r}; give each its own."


def _errors(nb: NotebookNode) -> Iterator[str]:
    for cell in _code(nb):
        failed = [output for output in cell.outputs if output.output_type == "error"]
        if failed and "raises-exception" not in _tags(cell):
            yield (
                f"cell {cell.get('id')} ends in {failed[0].ename}; mend it and run `make store`, "
                "or tag it raises-exception."
            )


def _size(nb: NotebookNode) -> Iterator[str]:
    size = len(text(nb).encode())
    if size > MAX_BYTES:
        yield f"it takes {size // 1000} kB of at most {MAX_BYTES // 1000}; draw fewer, smaller or coarser figures."


def _not_executed(nb: NotebookNode) -> Iterator[str]:
    for expected, cell in enumerate(_code(nb), start=1):
        if not cell.source.strip():
            yield f"code cell {cell.get('id')} is empty; delete it."
            return
        if cell.execution_count != expected:
            yield (
                f"cell {cell.get('id')} has execution count {cell.execution_count}, not {expected}: it was not "
                "executed in order from a fresh kernel; run `make store`."
            )
            return


def _budget(nb: NotebookNode) -> Iterator[str]:
    lengths = {cell.get("id"): sum(1 for line in cell.source.split("\n") if line.strip()) for cell in _code(nb)}
    if lengths and statistics.median(lengths.values()) > MEDIAN_LINES:
        yield f"its median code cell is longer than {MEDIAN_LINES} lines; split cells so that each shows one idea."
    long = [name for name, lines in lengths.items() if lines > MOST_LINES]
    if len(long) > 0.1 * len(lengths):
        yield f"more than a tenth of its code cells exceed {MOST_LINES} lines ({', '.join(long)}); split some."
    for name in (name for name, lines in lengths.items() if lines > MAX_LINES):
        yield f"cell {name} has {lengths[name]} lines of at most {MAX_LINES}; split it."
    yield from _too_little_prose(nb)


def _too_little_prose(nb: NotebookNode) -> Iterator[str]:
    run = 0
    for cell in nb.cells:
        run = run + 1 if cell.cell_type == "code" else 0
        if run == MAX_RUN + 1:
            yield f"cell {cell.get('id')} is the fourth code cell in a row; say in between what comes and why."
    if nb.cells and len(nb.cells) - len(_code(nb)) < MIN_PROSE * len(nb.cells):
        yield f"fewer than {MIN_PROSE:.0%} of its cells are prose; say what the code shows."


def check_file(path: Path, *, mend: bool) -> list[str]:
    """The problems of one stored notebook, after restoring its form where `mend` is set."""
    try:
        nb = read(path)
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        return [f"{path.name}: it cannot be read as a notebook ({type(error).__name__}); restore the last commit's."]
    if mend and not list(_invalid(nb)) and text(normalise(nb)) != path.read_text(encoding="utf-8"):
        nb = normalise(nb)
        write(nb, path)
    found = problems(nb, path)
    if not found and text(nb) != path.read_text(encoding="utf-8"):
        found = [f"{path.name}: its keys, indent or final newline are not those that nbformat writes; run `make lint`."]
    return found


def stored_notebooks() -> list[Path]:
    """The notebooks that the course stores: the lessons, and assignments where there are any."""
    return sorted([*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("solutions/*/*.ipynb")])


def main(argv: Sequence[str] | None = None) -> int:
    """Print every problem; the exit code is 1 where there is one."""
    parser = argparse.ArgumentParser(prog="python -m tools.normal_form", description="Check notebooks' stored form.")
    parser.add_argument("--write", action="store_true", help="restore what can be restored")
    parser.add_argument("files", nargs="*", type=Path, help="notebooks (default: all that the course stores)")
    args = parser.parse_args(argv)
    found = [sentence for path in args.files or stored_notebooks() for sentence in check_file(path, mend=args.write)]
    print("\n".join(found) if found else "Every notebook is in normal form.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
