"""What the runs of two students have in common, whatever the files are called."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from course_utils.assignment.plan import ASSIGNMENT
from course_utils.assignment.runs import CommonMeasures, Run, flat_weights, read_run
from course_utils.checkpoints import read_facts
from grading.course import students

SKETCH = 4096  # weights of a run that are compared with those of all others; a correlation is then sure to 0.02
ALIKE = 0.5  # correlation of weights: at most 0.1 between honest students, 1 for a copy, less with one's own mixed in
SAME_EPOCHS = 0.5  # the share of a history that is equal to the last digit

Pair = tuple[int, int]  # of runs of two students, by their places in one list


class Sketch(NamedTuple):
    """What of a run is compared with the runs of everybody else."""

    student: str
    name: str
    digest: str  # of all weights
    shapes: tuple[torch.Size, ...]
    weights: Tensor  # about SKETCH of them, evenly spread
    epochs: frozenset[tuple[float, ...]]


def same_runs(root: Path) -> list[str]:
    """One sentence for each set of weights or histories that two students share, whatever the files are called."""
    runs = list(_sketches(root))
    exact, alike, epochs = _same_weights(runs), _alike(runs), _same_epochs(runs)
    near = {pair: alike[pair] for pair in alike.keys() - exact}
    told = [f"Identical weights: {_of(runs, found)}." for found in _joined(exact)]
    for found in _joined(near):
        lowest = min(correlation for (one, _), correlation in near.items() if one in found)
        told.append(f"Nearly identical weights (correlation {lowest:.4f}): {_of(runs, found)}.")
    return [
        *told,
        *(f"Histories with equal epochs: {_of(runs, found)}." for found in _joined(epochs - alike.keys() - exact)),
    ]


def _sketches(root: Path) -> Iterator[Sketch]:
    for student, path in _run_files(root):
        try:
            run = read_run(path)
            weights = flat_weights(run.model)
            some = weights[:: max(1, len(weights) // SKETCH)]
            digest, shapes = hashlib.sha256(_bytes(run)).hexdigest(), tuple(w.shape for w in run.model.parameters())
            yield Sketch(student, path.name, digest, shapes, some, _epochs(run))
        except Exception:  # whatever is in that file: marking says so, and this is about the others
            continue


def _epochs(run: Run) -> frozenset[tuple[float, ...]]:
    try:
        return frozenset(tuple(entry[part] for part in CommonMeasures._fields) for entry in run.facts["history"])
    except (KeyError, TypeError):
        return frozenset()


def _same_weights(runs: Sequence[Sketch]) -> set[Pair]:
    groups: dict[str, list[int]] = {}
    for i, run in enumerate(runs):
        groups.setdefault(run.digest, []).append(i)
    return {pair for found in groups.values() for pair in _pairs(runs, found)}


def _alike(runs: Sequence[Sketch]) -> dict[Pair, float]:
    """Pairs whose weights correlate, with the correlation: one matrix for all networks of one shape."""
    groups: dict[tuple[torch.Size, ...], list[int]] = {}
    for i, run in enumerate(runs):
        groups.setdefault(run.shapes, []).append(i)
    found = {}
    for members in (members for members in groups.values() if len(members) > 1):
        correlation = torch.corrcoef(torch.stack([runs[i].weights for i in members]))
        for row, column in (correlation > ALIKE).triu(1).nonzero().tolist():
            for pair in _pairs(runs, (members[row], members[column])):
                found[pair] = correlation[row, column].item()
    return found


def _same_epochs(runs: Sequence[Sketch]) -> set[Pair]:
    having: dict[tuple[float, ...], list[int]] = {}
    for i, run in enumerate(runs):
        for epoch in run.epochs:
            having.setdefault(epoch, []).append(i)
    shared = Counter(pair for found in having.values() for pair in _pairs(runs, found))
    return {(i, j) for (i, j), n in shared.items() if n >= SAME_EPOCHS * min(len(runs[i].epochs), len(runs[j].epochs))}


def _pairs(runs: Sequence[Sketch], found: Iterable[int]) -> Iterator[Pair]:
    return ((i, j) for i, j in combinations(found, 2) if runs[i].student != runs[j].student)


def _joined(pairs: Iterable[Pair]) -> list[set[int]]:
    """Sets of runs that hang together by pairs."""
    groups: list[set[int]] = []
    for pair in sorted(pairs):
        touching = [group for group in groups if group & set(pair)]
        groups = [group for group in groups if group not in touching] + [set(pair).union(*touching)]
    return groups


def _of(runs: Sequence[Sketch], found: Iterable[int]) -> str:
    return ", ".join(sorted(f"{runs[i].student}/{runs[i].name}" for i in found))


def same_numbers(root: Path) -> list[str]:
    """One sentence for each student number that runs of two students carry."""
    having: dict[str, set[str]] = {}
    for student, path in _run_files(root):
        with suppress(Exception):  # a damaged file, as above
            having.setdefault(str(read_facts(path).get("student")), set()).add(student)
    shared = {number: names for number, names in having.items() if len(names) > 1}
    return [
        f"Student number {number} stands in the runs of {', '.join(sorted(names))}." for number, names in shared.items()
    ]


def _run_files(root: Path) -> Iterator[tuple[str, Path]]:
    for student in students(root):
        for path in sorted((root / "submitted" / student / ASSIGNMENT).glob("runs/*.safetensors")):
            yield student, path


def _bytes(run: Run) -> bytes:
    state = run.model.state_dict()
    return b"".join(state[name].detach().float().contiguous().numpy().tobytes() for name in sorted(state))
