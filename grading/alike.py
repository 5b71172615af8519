"""What the runs of two students have in common, whatever the files are called."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from course_utils.assignment.plan import ASSIGNMENT
from course_utils.assignment.runs import CommonMeasures, Run, flat_weights, read_run
from course_utils.batching import to_unit
from course_utils.checkpoints import MAX_BYTES, read_facts
from course_utils.data import load
from course_utils.files import atomic_path
from course_utils.latent import decode, encode
from course_utils.models import VAE
from grading.course import CHECKOUT, students

SKETCH = 4096  # weights of a run that are compared with those of all others; a correlation is then sure to 0.02
ALIKE = 0.5  # correlation of weights: at most 0.1 between honest students, 1 for a copy, less with one's own mixed in
SAME_EPOCHS = 0.5  # the share of a history that is equal to the last digit

WEIGHTS, COURSE = CHECKOUT / "weights", "the course"
PROBES, PIXELS = 200, 64  # images that networks are compared by, and pixels of each that stand for all
SAME_FUNCTION = 0.17  # of the error: honest runs of two students differ by 0.28 at least, a blend by 0.14 at most
SAME_OF_ONE = 0.12  # one student's own honest runs differ by 0.19 at least
MOSTLY_MEAN = 0.5  # of the mean image's error: networks that learned less all draw the same

Pair = tuple[int, int]  # of runs of two students, by their places in one list


class Sketch(NamedTuple):
    """What of a run is compared with the runs of everybody else."""

    student: str
    name: str
    digest: str  # of all weights
    shapes: str
    weights: Tensor  # about SKETCH of them, evenly spread
    epochs: frozenset[int]  # by their hashes
    pictures: Tensor  # pixels of what it makes of the probes
    error: float  # of these, squared and added up; infinite for one that has hardly learned anything


def shared(root: Path) -> list[str]:
    """All that students share: one sentence for each thing."""
    return [*same_runs(root), *same_numbers(root)]


def same_runs(root: Path) -> list[str]:
    """One sentence for each set of weights, functions or histories that students share, whatever the files are called.

    The course's own weights are compared like a student's.
    """
    files = [*_run_files(root), *((COURSE, path) for path in sorted(WEIGHTS.glob("*.safetensors")))]
    runs = [sketch for student, path in files if (sketch := _kept_sketch(root, student, path))]
    exact, alike, epochs, close = _same_weights(runs), _alike(runs), _same_epochs(runs), _same_functions(runs)
    near = {pair: alike[pair] for pair in alike.keys() - exact}
    told = [f"Identical weights: {_of(runs, found)}." for found in _joined(exact)]
    for found in _joined(near):
        lowest = min(correlation for (one, _), correlation in near.items() if one in found)
        told.append(f"Nearly identical weights (correlation {lowest:.4f}): {_of(runs, found)}.")
    for found in _joined(close.keys() - alike.keys() - exact):
        nearest = min(share for (one, _), share in close.items() if one in found)
        told.append(f"Nearly the same pictures (they differ by {nearest:.2f} of the error): {_of(runs, found)}.")
    return [
        *told,
        *(f"Histories with equal epochs: {_of(runs, found)}." for found in _joined(epochs - alike.keys() - exact)),
    ]


def keep_sketches(root: Path, student: str) -> None:
    """Look at a student's runs now, so that comparing them with others need not."""
    for path in _runs_of(root, student):
        _kept_sketch(root, student, path)


def _kept_sketch(root: Path, student: str, path: Path) -> Sketch | None:
    """The sketch of a run, made once for a file as it is; nothing for a file that holds none."""
    kept = root / "marking" / (".course-weights" if student == COURSE else student) / f"{path.stem}.sketch"
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        return None
    made_from = f"{hashlib.sha256(path.read_bytes()).hexdigest()} {_version()}"
    with suppress(OSError, ValueError, KeyError, SafetensorError):
        facts, tensors = _read_sketch(kept)
        if facts["made_from"] == made_from:
            return _unpacked(student, path.name, facts, tensors)
    try:
        facts, tensors = _sketched(path)
    except Exception:  # whatever is in that file: marking says so, and this is about the others
        return None
    kept.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(kept) as scratch:
        save_file(tensors, scratch, {"facts": json.dumps(facts | {"made_from": made_from})})
    return _unpacked(student, path.name, facts, tensors)


@cache
def _version() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]


def _read_sketch(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["facts"]), {name: file.get_tensor(name) for name in file.keys()}


def _sketched(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A run's sketch as it is kept: texts and numbers, and tensors."""
    run = read_run(path)
    weights, (pictures, error) = flat_weights(run.model), _pictures(run.model)
    facts = {
        "digest": hashlib.sha256(_bytes(run)).hexdigest(),
        "shapes": [list(part.shape) for part in run.model.parameters()],
        "error": error,
    }
    some = weights[:: max(1, len(weights) // SKETCH)].float().contiguous()
    return facts, {"weights": some, "epochs": _epochs(run), "pictures": pictures.half()}


def _unpacked(student: str, name: str, facts: dict[str, Any], tensors: dict[str, Tensor]) -> Sketch:
    epochs, shapes = frozenset(map(hash, map(tuple, tensors["epochs"].tolist()))), str(facts["shapes"])
    return Sketch(
        student, name, facts["digest"], shapes, tensors["weights"], epochs, tensors["pictures"], facts["error"]
    )


def _pictures(model: VAE) -> tuple[Tensor, float]:
    """Some pixels of what a network makes of the probes, and their squared error."""
    images = _probes(model.image_shape[0])
    some = slice(None, None, images[0].numel() // PIXELS)
    x, x_hat = (pictures.flatten(1)[:, some] for pictures in (to_unit(images), decode(model, encode(model, images))))
    error, of_mean = ((other - x).square().sum().item() for other in (x_hat, x.mean(dim=0, keepdim=True)))
    return x_hat.flatten(), error if error < MOSTLY_MEAN * of_mean else math.inf


@cache
def _probes(channels: int) -> Tensor:
    """Test images that come with the course: digits, or patches of photographs."""
    images = load("mnist" if channels == 1 else "cifar10", "test", "bundled").images
    return images[:: len(images) // PROBES][:PROBES]


def _epochs(run: Run) -> Tensor:
    """A row of measures for each epoch of the history; no rows if it is not one."""
    try:
        rows = [[float(entry[part]) for part in CommonMeasures._fields] for entry in run.facts["history"]]
    except (KeyError, OverflowError, TypeError, ValueError):
        rows = []
    return torch.tensor(rows, dtype=torch.float64)


def _same_weights(runs: Sequence[Sketch]) -> set[Pair]:
    groups: dict[str, list[int]] = {}
    for i, run in enumerate(runs):
        groups.setdefault(run.digest, []).append(i)
    return {pair for found in groups.values() for pair in _pairs(runs, found)}


def _alike(runs: Sequence[Sketch]) -> dict[Pair, float]:
    """Pairs whose weights correlate, with the correlation: one matrix for all networks of one shape."""
    groups: dict[str, list[int]] = {}
    for i, run in enumerate(runs):
        groups.setdefault(run.shapes, []).append(i)
    found = {}
    for members in (members for members in groups.values() if len(members) > 1):
        correlation = torch.corrcoef(torch.stack([runs[i].weights for i in members]))
        for row, column in (correlation > ALIKE).triu(1).nonzero().tolist():
            for pair in _pairs(runs, (members[row], members[column])):
                found[pair] = correlation[row, column].item()
    return found


def _same_functions(runs: Sequence[Sketch]) -> dict[Pair, float]:
    """Pairs that make nearly the same pictures of the probes, with their distance as a share of the error.

    Whatever was done to the weights, permuted, rescaled or trained a little further, the pictures stay.
    """
    groups: dict[int, list[int]] = {}
    for i, run in enumerate(runs):
        if math.isfinite(run.error):
            groups.setdefault(len(run.pictures), []).append(i)
    found = {}
    for members in groups.values():
        distance = torch.cdist(*2 * [torch.stack([runs[i].pictures for i in members]).float()]).square()
        error = torch.tensor([runs[i].error for i in members])
        share = 2 * distance / (error[:, None] + error)
        for row, column in (share < SAME_FUNCTION).triu(1).nonzero().tolist():
            i, j = members[row], members[column]
            if runs[i].student != runs[j].student or share[row, column] < SAME_OF_ONE and runs[i].name != runs[j].name:
                found[i, j] = share[row, column].item()
    return found


def _same_epochs(runs: Sequence[Sketch]) -> set[Pair]:
    having: dict[int, list[int]] = {}
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
    return ((student, path) for student in students(root) for path in _runs_of(root, student))


def _runs_of(root: Path, student: str) -> list[Path]:
    runs = root / "submitted" / student / ASSIGNMENT / "runs"
    found = sorted(runs.glob("*.safetensors")) if not runs.is_symlink() else []
    return [path for path in found if not path.is_symlink()]


def _bytes(run: Run) -> bytes:
    state = run.model.state_dict()
    return b"".join(state[name].detach().float().contiguous().numpy().tobytes() for name in sorted(state))
