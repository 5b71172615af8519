"""Assignment 4 in one place: its four runs, their losses and budgets, and the limits by which they are judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ASSIGNMENT = "assignment4"
NOTEBOOK = f"{ASSIGNMENT}.ipynb"
CELLS = "cells.json"  # beside the notebook: the released cells
COMPARISON = "test-comparison"  # needs the three runs on digits
MAX_MEGABYTES = 25  # of a submission

UNVERIFIED, HISTORY = "UNVERIFIED: ", "HISTORY: "  # how what is said about a run begins

SIGMA2 = 0.05  # of a digit's pixel around its reconstruction
CIFAR_SIGMA2 = 0.02
WEIGHT = 0.5  # of the binary cross-entropy in the mixture

REMEMBERED = 0.1  # correlation with the first weights; honest runs had 0.2 to 0.8, foreign ones under 0.002
COPIED = 0.95  # correlation of two runs' weights; a student's own runs had up to 0.7
TRAIN_IMAGES = 1_000  # of the training set, to compare a history's end with the weights
MOSTLY_MEAN = 0.5  # a run with more of the mean image's error has hardly learned anything
TELLING_T = 1  # below it, test images are reconstructed as well as training images
FULL_POINTS, HALF_POINTS = 0.8, 0.4  # of the way from the mean image to the reference


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One of the assignment's runs: `weight` of the BCE against the Gaussian -log-likelihood, and its pixels' sigma2.

    `bundled` and `real` are the test loss, as `loss` gives it, that the solution's own run reached on either images.
    """

    name: str
    data_set: str
    image_shape: tuple[int, int, int]
    epochs: int
    weight: float
    sigma2: float
    bundled: float
    real: float
    tests: str  # what the names of the cells that mark it begin with

    @property
    def file(self) -> str:
        """Where the run lies in the assignment's folder."""
        return f"runs/{self.name}.safetensors"

    def loss(self, measures: Mapping[str, float]) -> float:
        """What the run minimises, in nats per image without the Gaussian's constant, from its bce, sse and kl."""
        squared_error = measures["sse"] / (2 * self.sigma2)
        return self.weight * measures["bce"] + (1 - self.weight) * squared_error + measures["kl"]


_DIGITS = {"data_set": "mnist", "image_shape": (1, 28, 28), "epochs": 100, "sigma2": SIGMA2}
_COLOUR = {"data_set": "cifar10", "image_shape": (3, 32, 32), "epochs": 20, "sigma2": CIFAR_SIGMA2}
RUNS = {
    run.name: run
    for run in (
        PlannedRun(name="bce", weight=1.0, bundled=133.7, real=94.7, tests="test-run-bce", **_DIGITS),
        PlannedRun(name="mse", weight=0.0, bundled=47.4, real=89.3, tests="test-run-mse", **_DIGITS),
        PlannedRun(name="combined", weight=WEIGHT, bundled=91.3, real=94.3, tests="test-run-combined", **_DIGITS),
        PlannedRun(name="cifar10", weight=0.0, bundled=1131.9, real=1422.3, tests="test-run-cifar", **_COLOUR),
    )
}


def planned(path: str | Path) -> PlannedRun:
    """The run that a file is named after."""
    return RUNS[Path(path).stem]


def earlier_runs(path: str | Path) -> list[Path]:
    """The runs on the same images that come before this one: of two equal runs, the later one is the copy."""
    own, before = planned(path), []
    for run in RUNS.values():
        if run is own:
            break
        before += [Path(path).with_stem(run.name)] * (run.data_set == own.data_set)
    return before
