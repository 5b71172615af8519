"""What a kept run is worth: is it whole, whose is it, does it say the truth, is it good? Nothing is trained here."""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from course_utils.assignment.answers import CheckFailed
from course_utils.assignment.plan import (
    COPIED,
    FULL_POINTS,
    HALF_POINTS,
    MOSTLY_MEAN,
    REMEMBERED,
    TELLING_T,
    TRAIN_IMAGES,
    UNVERIFIED,
    earlier_runs,
    planned,
)
from course_utils.assignment.runs import (
    CommonMeasures,
    Run,
    RunUnfinished,
    common,
    mean_image_errors,
    read_run,
    seed_correlation,
    seed_of,
    weights_correlation,
)
from course_utils.batching import to_unit
from course_utils.checkpoints import CheckpointError
from course_utils.data import data_dir, load
from course_utils.latent import decode, encode
from course_utils.models import ConvVAE
from course_utils.sources.source import DataUnavailable
from course_utils.training import evaluate


class Quality(NamedTuple):
    """The share of the points, 0 to 1, and one sentence that says why."""

    share: float
    sentence: str


class Images(NamedTuple):
    """What runs on a data set are measured with: uint8 images (n, c, h, w), and what the mean image says about them."""

    train: Tensor  # TRAIN_IMAGES of them, evenly spread: sets may be ordered
    test: Tensor
    mean: Tensor  # (1, c, h, w), of all training images
    lazy: dict[str, float]  # losses per test image of the laziest model, which gives the mean image to everybody


class Measured(NamedTuple):
    """What a run's weights give, in the common measures."""

    train: dict[str, float]
    test: dict[str, float]


def check_whole(path: str | Path, epochs: int) -> None:
    """CheckFailed unless a finished run for the task's images lies at `path`, with one history entry per epoch."""
    run, plan = _run(path), planned(path)
    facts, shape = run.facts, run.model.image_shape
    if not isinstance(run.model, ConvVAE) or shape != plan.image_shape:
        raise CheckFailed(f"{path} holds a {facts['model']} for images {shape}; expected conv, {plan.image_shape}.")
    if facts["data_set"] != plan.data_set:
        raise CheckFailed(f"{path} was trained on {facts['data_set']}, not on {plan.data_set}.")
    history = facts["history"]
    if facts["epochs"] != epochs or len(history) != epochs:
        raise CheckFailed(
            f"{path} says {facts['epochs']} epochs and its history has {len(history)}; the task asks for {epochs}. "
            "Delete the file and run the training cell to its end."
        )
    if len({tuple(entry[part] for part in CommonMeasures._fields) for entry in history}) < len(history):
        raise CheckFailed(f"{path}: epochs in the history repeat each other to the last digit; no training does that.")
    first, last = (plan.loss(entry) for entry in (history[0], history[-1]))
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
    run, plan = _run(path), planned(path)
    try:
        check_different(path, earlier_runs(path))
    except CheckFailed as error:
        return Quality(0.0, str(error))
    try:
        loss = plan.loss(_measured_once(str(path), run.path.stat().st_mtime_ns).test)
        lazy = plan.loss(images_of(run).lazy)
    except DataUnavailable as error:
        return Quality(1.0, _unverified(run, error))
    reference = plan.bundled if run.facts["bundled"] else plan.real
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


def forget() -> None:
    """Forget what was read and measured, before another student's runs lie under the same names."""
    _read.cache_clear()
    _measured_once.cache_clear()


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
    images = images_of(run)
    return Measured(*(evaluate(run.model, part, common) for part in (images.train, images.test)))


def images_of(run: Run) -> Images:
    """The images to measure a run with.  DataUnavailable if they are not here."""
    return images_for(run.facts["data_set"], "bundled" if run.facts["bundled"] else "real", data_dir())


@cache
def images_for(data_set: str, choice: str, folder: Path) -> Images:
    """Of a set as it lies in that folder: read once, for however many runs are measured."""
    train, test = (load(data_set, split, choice).images for split in ("train", "test"))
    bce, sse = mean_image_errors(train, test)
    mean = to_unit(train).mean(dim=0, keepdim=True)
    some = torch.linspace(0, len(train) - 1, min(TRAIN_IMAGES, len(train))).long()
    return Images(train[some], test, mean, {"bce": bce, "sse": sse, "kl": 0.0})


def _learned_the_test_images(run: Run) -> bool:
    """Whether a run that reconstructs well does so no worse for test images than for training images.

    Only the small stand-ins can tell: of a large set, test images come back as well as training images anyway (an
    honest run on CIFAR-10 has t = 0), and training on them gains nothing. The errors are taken relative to those of the
    mean image and compared in logarithms, with Welch's t: honest runs on the stand-ins had t from 4 to 11, a run that
    was also trained on the test images had -0.1.
    """
    if not run.facts["bundled"]:
        return False
    images = images_of(run)
    errors = [_relative_errors(run, part, images.mean) for part in (images.train, images.test)]
    if errors[0].mean() > MOSTLY_MEAN:
        return False  # too little was learned to tell
    a, b = (error.log() for error in errors)
    t = (b.mean() - a.mean()) / (a.var() / len(a) + b.var() / len(b)).sqrt()
    return bool(t < TELLING_T)


def _relative_errors(run: Run, images: Tensor, mean: Tensor) -> Tensor:
    """Squared error of each reconstruction, as a share of the mean image's: (n, c, h, w) -> (n,)."""
    x, x_hat = to_unit(images), decode(run.model, encode(run.model, images))
    return ((x_hat - x).square().sum(dim=(1, 2, 3)) / (mean - x).square().sum(dim=(1, 2, 3))).double()
