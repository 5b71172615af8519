"""What a kept run is worth: is it whole, whose is it, does it say the truth, is it good? Nothing is trained here."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from course_utils.batching import to_unit
from course_utils.checkpoints import CheckpointError
from course_utils.checks import CheckFailed
from course_utils.data import DataUnavailable, ImageSet
from course_utils.latent import encode
from course_utils.models import ConvVAE
from course_utils.runs import (
    CommonMeasures,
    Run,
    RunUnfinished,
    held_out,
    mean_image_errors,
    measure,
    read_run,
    seed_correlation,
    seed_of,
    weights_correlation,
)

SIGMA2 = 0.05  # of a digit's pixel around its reconstruction
WEIGHT = 0.5  # of the binary cross-entropy in the combination
CIFAR_SIGMA2 = 0.02
# (run, on the stand-in?): its loss on the test images as loss_of gives it, measured once on the solution's own runs
REFERENCE = {
    ("bce", True): 133.7,
    ("mse", True): 47.4,
    ("combined", True): 91.3,
    ("cifar10", True): 1131.9,
    ("bce", False): 94.7,
    ("mse", False): 89.3,
    ("combined", False): 94.3,
    ("cifar10", False): 1422.3,
}
DATA_SETS = {"bce": "mnist", "mse": "mnist", "combined": "mnist", "cifar10": "cifar10"}
SHAPES = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
REMEMBERED = 0.1  # correlation with the first weights; honest runs had 0.2 to 0.8, foreign ones under 0.002
COPIED = 0.95  # correlation of two runs' weights; a student's own runs had up to 0.7
IN_ORDER = ("bce", "mse", "combined")  # of two equal runs, the later one is the copy
TRAIN_IMAGES = 2_000  # of the training set, to compare a history's end with the weights
MOSTLY_MEAN = 0.5  # a run with more of the mean image's error has hardly learned anything
TELLING_T = 1
FULL_POINTS, HALF_POINTS = 0.8, 0.4
UNVERIFIED = "UNVERIFIED: "


class Quality(NamedTuple):
    """The share of the points, 0 to 1, and one sentence that says why."""

    share: float
    sentence: str


class Measured(NamedTuple):
    """What a run's weights give, in the common measures."""

    train: dict[str, float]
    test: dict[str, float]


def loss_of(name: str, measures: Mapping[str, float]) -> float:
    """The loss that run `name` minimises, in nats per image and without the Gaussian's constant, from its measures."""
    sigma2 = CIFAR_SIGMA2 if name == "cifar10" else SIGMA2
    weight = {"bce": 1.0, "combined": WEIGHT}.get(name, 0.0)
    return weight * measures["bce"] + (1 - weight) * measures["sse"] / (2 * sigma2) + measures["kl"]


def check_whole(path: str | Path, epochs: int) -> None:
    """CheckFailed unless a finished run for the task's images lies at `path`, with one history entry per epoch."""
    run, name = _run(path), Path(path).stem
    facts, shape = run.facts, SHAPES[DATA_SETS[name]]
    if not isinstance(run.model, ConvVAE) or run.model.image_shape != shape:
        raise CheckFailed(
            f"{path} holds a {facts['model']} for images {run.model.image_shape}; expected conv, {shape}."
        )
    if facts["data_set"] != DATA_SETS[name]:
        raise CheckFailed(f"{path} was trained on {facts['data_set']}, not on {DATA_SETS[name]}.")
    history = facts["history"]
    if facts["epochs"] != epochs or len(history) != epochs:
        raise CheckFailed(
            f"{path} says {facts['epochs']} epochs and its history has {len(history)}; the task asks for {epochs}. "
            "Delete the file and run the training cell to its end."
        )
    if len({tuple(entry[part] for part in CommonMeasures._fields) for entry in history}) < len(history):
        raise CheckFailed(f"{path}: epochs in the history repeat each other to the last digit; no training does that.")
    first, last = (loss_of(name, entry) for entry in (history[0], history[-1]))
    if not last < first:
        raise CheckFailed(f"{path}: the loss did not fall, from {first:.1f} to {last:.1f} nats per image.")


def check_own(path: str | Path, student_number: int) -> None:
    """CheckFailed unless the run started from the student's own seed."""
    run = _run(path)
    if run.facts["student"] != student_number:
        raise CheckFailed(
            f"{path} belongs to student number {run.facts['student']}, this notebook to {student_number}. "
            "Correct the number, or delete the file and train your own."
        )
    if run.facts["seed"] != seed_of(student_number) or not seed_correlation(run) > REMEMBERED:
        raise CheckFailed(
            f"{path} did not start from the weights that student number {student_number} starts from: these are "
            "somebody else's weights. Train your own with the training cell."
        )


def check_different(path: str | Path, others: Sequence[str | Path]) -> None:
    """CheckFailed if one of the other files, as far as they can be read, holds the same run, noise added or not."""
    run = _run(path)
    for other in filter(_readable, others):
        same_history = run.facts["history"] == _run(other).facts["history"]
        if same_history or weights_correlation(run, _run(other)) > COPIED:
            what = "history" if same_history else "weights"
            raise CheckFailed(f"{path} and {other} hold the same {what}. Each loss needs a run of its own.")


def earlier_runs(path: str | Path) -> list[Path]:
    """The runs on the same images that come before this one in the assignment."""
    name = Path(path).stem
    return [Path(path).with_stem(other) for other in IN_ORDER[: IN_ORDER.index(name)]] if name in IN_ORDER else []


def _readable(path: str | Path) -> bool:
    try:
        _run(path)
    except CheckFailed:
        return False
    return True


def check_honest(path: str | Path) -> str:
    """CheckFailed if it copies an earlier run, its facts contradict its weights, or the test images were learned.

    Returns one line: what was compared, or that the run's images are not on this machine.
    """
    run = _run(path)
    check_different(path, earlier_runs(path))
    try:
        measured = _measured_once(str(path), run.path.stat().st_mtime_ns)
    except DataUnavailable as error:
        return _unverified(run, error)
    for what, told, found, slack in (
        ("the last epoch of its history gives", run.facts["history"][-1], measured.train, 0.05),
        ("its facts about the test images give", run.facts["test"], measured.test, 0.02),
    ):
        for part in CommonMeasures._fields:
            if not math.isclose(told[part], found[part], rel_tol=slack, abs_tol=0.5):
                raise CheckFailed(
                    f"{path}: {what} {part} {told[part]:.1f}, but its weights give {found[part]:.1f}. "
                    "A history is recorded, not written. Delete the file and train again."
                )
    if _learned_the_test_images(run):
        raise CheckFailed(
            f"{path}: the test images are reconstructed as well as the training images, which happens only if they "
            'were trained on. Train on load(..., "train") alone.'
        )
    return f"{path}: history and facts agree with the weights."


def quality(path: str | Path) -> Quality:
    """Full, half or no points for 80 %, 40 % or less of the way from the mean image to the reference run."""
    run, name = _run(path), Path(path).stem
    try:
        check_different(path, earlier_runs(path))
    except CheckFailed as error:
        return Quality(0.0, str(error))
    try:
        loss = loss_of(name, _measured_once(str(path), run.path.stat().st_mtime_ns).test)
        bce, sse = mean_image_errors(*(part.images for part in held_out(run)))
    except DataUnavailable as error:
        return Quality(1.0, _unverified(run, error))
    lazy, reference = loss_of(name, {"bce": bce, "sse": sse, "kl": 0.0}), REFERENCE[name, run.facts["bundled"]]
    way = (lazy - loss) / (lazy - reference)
    sentence = (
        f"{path}: test loss {loss:.1f} nats per image; the mean image has {lazy:.1f}, the reference run "
        f"{reference:.1f}: {way:.0%} of the way."
    )
    return Quality(1.0 if way >= FULL_POINTS else 0.5 if way >= HALF_POINTS else 0.0, sentence)


def _run(path: str | Path) -> Run:
    """The run at `path` with facts of the right kinds.  CheckFailed in words for anything else."""
    try:
        stamp = Path(path).stat().st_mtime_ns if Path(path).exists() else 0
        return _read(str(path), stamp)
    except (RunUnfinished, CheckpointError) as error:
        raise CheckFailed(str(error)) from error


@cache
def _read(path: str, stamp: int) -> Run:
    run = read_run(path)
    kinds = {"student": int, "seed": int, "epochs": int, "bundled": bool, "history": list, "test": dict}
    kinds |= {"data": str, "data_set": str}
    losses = [run.facts.get("test"), *(run.facts.get("history") or [None])]
    for name, kind in kinds.items():
        if type(run.facts.get(name)) is not kind:
            raise CheckpointError(
                f"{path}: the fact {name!r} is missing or damaged. Train again; do not edit the file."
            )
    if not all(weights.isfinite().all() for weights in run.model.state_dict().values()):
        raise CheckpointError(f"{path}: some of its weights are infinite or not numbers. Delete the file, train again.")
    if not all(_are_losses(entry) for entry in losses):
        raise CheckpointError(f"{path}: a loss in its history is missing or not a number. Train again.")
    return run


def _are_losses(entry: object) -> bool:
    return isinstance(entry, dict) and all(
        type(entry.get(part)) in (int, float) and math.isfinite(entry[part]) for part in CommonMeasures._fields
    )


def _unverified(run: Run, error: DataUnavailable) -> str:
    return f"{UNVERIFIED}{run.path} was trained on {run.facts['data']}, which this machine does not have ({error})."


@cache
def _measured_once(path: str, stamp: int) -> Measured:
    run = _read(path, stamp)
    train, test = held_out(run)
    return Measured(measure(run.model, _some(train)), measure(run.model, test.images))


def _some(train: ImageSet) -> Tensor:
    """About TRAIN_IMAGES of the training images, evenly spread: sets may be ordered."""
    return train.images[:: max(1, len(train) // TRAIN_IMAGES)]


def _learned_the_test_images(run: Run) -> bool:
    """Whether a run that reconstructs well does so no worse for test images than for training images.

    Only the small stand-ins can tell: of a large set, test images come back as well as training images anyway (an
    honest run on CIFAR-10 has t = 0), and training on them gains nothing. The errors are taken relative to those of the
    mean image and compared in logarithms, with Welch's t: honest runs on the stand-ins had t from 4 to 15, a run that
    was also trained on the test images had -0.2.
    """
    if not run.facts["bundled"]:
        return False
    train, test = held_out(run)
    mean = to_unit(train.images).mean(dim=0, keepdim=True)
    errors = [_relative_errors(run, images, mean) for images in (_some(train), test.images)]
    if errors[0].mean() > MOSTLY_MEAN:
        return False  # too little was learned to tell
    a, b = (error.log() for error in errors)
    t = (b.mean() - a.mean()) / (a.var() / len(a) + b.var() / len(b)).sqrt()
    return bool(t < TELLING_T)


@torch.no_grad()
def _relative_errors(run: Run, images: Tensor, mean: Tensor) -> Tensor:
    """Squared error of each reconstruction, as a share of the mean image's: (n, c, h, w) -> (n,)."""
    x, z = to_unit(images), encode(run.model, images)
    x_hat = torch.cat([run.model.decode(part).sigmoid() for part in z.split(500)])
    return ((x_hat - x).square().sum(dim=(1, 2, 3)) / (mean - x).square().sum(dim=(1, 2, 3))).double()
