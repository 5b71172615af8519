"""How dense the code of notebooks is: `python -m tools.cell_weight [FILES]` prints one row for each.

A cell's weight is its number of expression nodes: calls, comprehensions, operators, subscripts and attributes.
"""

import argparse
import ast
import re
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from tools.normal_form import ROOT, read

COUNTED = (
    *(ast.Call, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Subscript, ast.Attribute),
)
MEDIAN, MOST, PER_LINE = 12, 40, 2.2
LINES, WIDTH = 25, 100
MAGIC = re.compile(r"^(\s*)[%!].*$", flags=re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """A code cell: its id, its expression nodes, its non-blank lines and the length of its longest line."""

    id: str
    nodes: int
    lines: int
    width: int


def nodes(source: str) -> int:
    """Expression nodes of a cell's source; lines of magic count nothing."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        tree = ast.parse(MAGIC.sub(r"\1pass", source))
    return sum(isinstance(node, COUNTED) for node in ast.walk(tree))


def cells(nb: NotebookNode) -> list[Cell]:
    """The weighed code cells of a notebook, without the empty ones."""
    return [_weighed(cell) for cell in nb.cells if cell.cell_type == "code" and cell.source.strip()]


def _weighed(cell: NotebookNode) -> Cell:
    lines = [line for line in cell.source.splitlines() if line.strip()]
    return Cell(cell.get("id", "without-id"), nodes(cell.source), len(lines), max(map(len, lines)))


def median(weighed: Iterable[Cell]) -> float:
    """Expression nodes of the middle cell."""
    return statistics.median(cell.nodes for cell in weighed)


def per_line(weighed: Sequence[Cell]) -> float:
    """Expression nodes for each non-blank line of code, over the whole notebook."""
    return sum(cell.nodes for cell in weighed) / sum(cell.lines for cell in weighed)


def over_budget(weighed: Sequence[Cell]) -> list[str]:
    """A sentence for everything that makes a notebook too dense."""
    found = [sentence for cell in weighed for sentence in _too_much(cell)]
    if median(weighed) > MEDIAN:
        found.append(f"the median cell has {median(weighed):g} expression nodes of at most {MEDIAN}.")
    if per_line(weighed) > PER_LINE:
        found.append(f"it has {per_line(weighed):.2f} expression nodes a line of at most {PER_LINE}.")
    return found


def _too_much(cell: Cell) -> Iterable[str]:
    if cell.nodes > MOST:
        yield f"cell {cell.id} has {cell.nodes} expression nodes of at most {MOST}; name a step and show it."
    if cell.lines > LINES:
        yield f"cell {cell.id} has {cell.lines} lines of at most {LINES}; split it."
    if cell.width > WIDTH:
        yield f"cell {cell.id} has a line of {cell.width} characters of at most {WIDTH}; break it."


def table(notebooks: Sequence[Path]) -> str:
    """One row for each notebook: code cells, median and largest weight, nodes a line, longest cell and line."""
    rows = [("notebook", "cells", "median", "max", "nodes/line", "lines", "width", "heaviest cell")]
    rows += [_row(path.stem, cells(read(path))) for path in notebooks]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(part.ljust(width) for part, width in zip(row, widths)).rstrip() for row in rows)


def _row(name: str, weighed: Sequence[Cell]) -> tuple[str, ...]:
    heaviest = max(weighed, key=lambda cell: cell.nodes)
    longest, widest = max(cell.lines for cell in weighed), max(cell.width for cell in weighed)
    numbers = (len(weighed), f"{median(weighed):g}", heaviest.nodes, f"{per_line(weighed):.2f}", longest, widest)
    return (name, *map(str, numbers), heaviest.id)


def weighable() -> list[Path]:
    """The lessons and the released assignments."""
    released = ROOT.glob("assignments/*/*.ipynb")
    return [*sorted(ROOT.glob("notebooks/[0-9][0-9]_*.ipynb")), *sorted(released)]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, then what is over the budget in the notebooks that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tools.cell_weight", description="Weigh the code of notebooks.")
    parser.add_argument("files", nargs="*", type=Path, help="notebooks, held to the budget (default: table of all)")
    named = parser.parse_args(argv).files
    print(table(named or weighable()))
    found = [f"{path.stem}: {sentence}" for path in named for sentence in over_budget(cells(read(path)))]
    print("".join(f"\n{sentence}" for sentence in found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
