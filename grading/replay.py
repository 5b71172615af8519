"""Whether a run's history begins as training from its seed does: the first steps are trained once more, and compared.

A history is one line for each epoch. Where the first epochs are short (the images that come with the course), they are
trained again whole. Where one is long, its first steps are, and the rest of it must lie between what these end with and
what the second epoch has.
"""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from course_utils.assignment.plan import HISTORY, RUNS, planned
from course_utils.assignment.runs import CommonMeasures, Recorded, Run, batch_size, common, read_run, started
from course_utils.data import ImageSet, data_dir, load
from course_utils.models import halved_sizes
from course_utils.sources.source import DataUnavailable
from course_utils.training import fit

STEPS, LONG_STEPS = 12, 8  # that are trained again, of short epochs and of long ones
SLACK, LEAST = 0.03, 0.5  # relative, and nats: honest runs differed by 0.007 at most
SAME_LOSS = 0.01  # of the loss's range over the history
MAX_SECONDS = 60.0
MAX_NUMBERS = 2 * 10**8  # in the activations of one step; the lecture's network has 5 million in a batch of 512
LAST = 4  # steps that say where the replayed ones end
FUNCTIONS = {  # the tests of what a run is trained with; where one fails, an honest history is another one
    "bce": ("test-sample", "test-bce-objective"),
    "mse": ("test-sample", "test-gaussian-objective"),
    "combined": ("test-sample", "test-combined"),
    "cifar10": ("test-sample", "test-gaussian-objective"),
}
CURE = "Written by hand, or trained with earlier functions than those in the notebook: look at it."


class Step(NamedTuple):
    """A batch's number of images, and its mean measures in nats and squared errors per image."""

    images: int
    measures: dict[str, float]


class _Enough(Exception):
    """So many steps were asked for."""


def doubts(folder: Path, failed: Collection[str]) -> list[str]:
    """One sentence for each run in `folder` whose history does not begin as training from its seed does.

    `failed` are the tests that failed. A run that lost points of its own is not looked at, nor one whose functions did.
    """
    found = []
    for name, run in RUNS.items():
        if not any(test.startswith((run.tests, *FUNCTIONS[name])) for test in failed):
            told = doubt(read_run(folder / run.file))
            found += [f"{HISTORY}{run.file} {told} {CURE}"] if told else []
    return found


def doubt(run: Run) -> str:
    """What speaks against a run's history, or an empty string. Where its images are not here, nothing does."""
    if not _has_the_loss(run):
        return "was trained with another loss than the notebook has: its history's loss does not follow from the rest."
    if _numbers(run) > MAX_NUMBERS:
        return "holds a network too large to be trained again for a few steps."
    try:
        images = _images(run.facts["data_set"], "bundled" if run.facts["bundled"] else "real", data_dir())
    except DataUnavailable:
        return ""
    if images.source != run.facts["data"]:  # another part of CIFAR-10
        return ""
    steps, per_epoch = replayed(run, images.images), _steps_per_epoch(images.images)
    return _about_epochs(run, steps, per_epoch) or _about_beginning(run, steps, per_epoch)


@lru_cache(maxsize=2)
def _images(data_set: str, choice: str, folder: Path) -> ImageSet:
    """The training images as they lie in that folder, read once for a student's runs."""
    return load(data_set, "train", choice)


def _has_the_loss(run: Run) -> bool:
    """Whether the loss is what it should be of the other measures, up to a constant, in every epoch."""
    plan, history = planned(run.path), run.facts["history"]
    told = [entry.get("loss") for entry in history]
    if not all(type(loss) in (int, float) for loss in told):
        return False
    losses = [plan.loss(entry) for entry in history]
    gaps = [loss - right for loss, right in zip(told, losses, strict=True)]
    return max(gaps) - min(gaps) <= LEAST + SAME_LOSS * (max(losses) - min(losses))


def _numbers(run: Run) -> int:
    """Activations of the convolutions in one step."""
    channels = run.model.arguments["channels"]
    sizes = halved_sizes(run.model.image_shape, len(channels))[1:]
    return 512 * sum(width * math.prod(size) for width, size in zip(channels, sizes, strict=True))


def _steps_per_epoch(images: Tensor) -> int:
    return math.ceil(len(images) / batch_size(len(images)))


def replayed(run: Run, images: Tensor) -> list[Step]:
    """The first steps of a run's training: from its seed, on these images, with its planned loss."""
    plan, seed, steps = planned(run.path), run.facts["seed"], []
    per_epoch, until = _steps_per_epoch(images), time.monotonic() + MAX_SECONDS
    wanted = STEPS // per_epoch * per_epoch or LONG_STEPS

    def recorded(x: Tensor, *output: Tensor) -> Recorded:
        parts = common(x, *output)
        steps.append(Step(len(x), {name: part.mean().item() for name, part in parts._asdict().items()}))
        if len(steps) >= wanted or time.monotonic() > until:
            raise _Enough
        return Recorded(plan.loss(parts._asdict()), *parts)

    settings = {"epochs": plan.epochs, "batch_size": batch_size(len(images)), "progress": False}
    with suppress(_Enough):
        fit(started(run), images, recorded, generator=torch.Generator().manual_seed(seed), **settings)
    return steps


def _about_epochs(run: Run, steps: Sequence[Step], per_epoch: int) -> str:
    """The first measure of a whole epoch in which the history says something else."""
    for epoch in range(len(steps) // per_epoch):
        of_epoch = steps[epoch * per_epoch : (epoch + 1) * per_epoch]
        for name in CommonMeasures._fields:
            told, found = run.facts["history"][epoch][name], _mean(of_epoch, itemgetter(name))
            if not math.isclose(told, found, rel_tol=SLACK, abs_tol=LEAST):
                return f"says {name} {told:.1f} in epoch {epoch + 1}; trained again from its seed it is {found:.1f}."
    return ""


def _about_beginning(run: Run, steps: Sequence[Step], per_epoch: int) -> str:
    """What is left of the first epoch, where its other steps cannot have had it."""
    left = per_epoch - len(steps)
    if not LONG_STEPS <= len(steps) < per_epoch:
        return ""
    loss, history = planned(run.path).loss, run.facts["history"]
    first, second = (loss(entry) for entry in history[:2])
    rest = (first * per_epoch - _mean(steps, loss) * len(steps)) / left
    end = _mean(steps[-LAST:], loss)
    if second * (1 - SLACK) - LEAST <= rest <= end * (1 + SLACK) + LEAST:
        return ""
    told = f"says a loss of {first:.1f} in epoch 1; trained again from its seed it begins so high or low that"
    return f"{told} {left} steps with {rest:.1f} would have to follow, between {end:.1f} and {second:.1f}."


def _mean(steps: Sequence[Step], of: Callable[[Mapping[str, float]], float]) -> float:
    """Mean over all images."""
    return sum(step.images * of(step.measures) for step in steps) / sum(step.images for step in steps)
