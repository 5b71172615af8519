"""A student's training run as one file: trained once, kept with its history, and measured by anyone later."""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from course_utils.batching import to_unit
from course_utils.checkpoints import load_checkpoint, save_checkpoint
from course_utils.data import ImageSet, load
from course_utils.files import require_writable
from course_utils.latent import active_units, encode
from course_utils.models import VAE, build
from course_utils.objectives import bernoulli_nll, gaussian_kl
from course_utils.runtime import device
from course_utils.training import History, Objective, evaluate, fit

SMALL_SET = 10_000  # below it, batches of 128 leave enough steps in an epoch; above it, 512 are faster per image


class RunUnfinished(RuntimeError):
    """A run is not there, or was interrupted; the message says how to go on."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class CommonMeasures(NamedTuple):
    """What every VAE can be measured by, whatever it was trained with: per image, (batch,) each."""

    bce: Tensor  # nats, binary cross-entropy summed over the pixels
    sse: Tensor  # squared error summed over the pixels
    kl: Tensor  # nats


class Recorded(NamedTuple):
    """A student's loss, which is minimised, and the common measures beside it, which every history then has."""

    loss: Tensor
    bce: Tensor
    sse: Tensor
    kl: Tensor


@dataclass(frozen=True)
class Run:
    """A trained model, the facts in its file, and where that lies."""

    model: VAE
    facts: dict[str, Any]
    path: Path

    def __str__(self) -> str:
        measured = ", ".join(f"{name} {value:.1f}" for name, value in self.facts["test"].items())
        return f"{self.path}: {self.facts['epochs']} epochs on {self.facts['data']}. Test images: {measured}."


def seed_of(student_number: int) -> int:
    """The seed of every run of this student: the same for all of them, another for everybody else."""
    return int.from_bytes(hashlib.sha256(f"student {student_number}".encode()).digest()[:4], "big")


def common(x: Tensor, x_logits: Tensor, mu: Tensor, logvar: Tensor) -> CommonMeasures:
    """The measures of a batch: (batch, c, h, w) twice, (batch, d) twice -> three tensors (batch,)."""
    sse = (x_logits.sigmoid() - x).square().flatten(1).sum(dim=1)
    return CommonMeasures(bernoulli_nll(x_logits, x), sse, gaussian_kl(mu, logvar))


def measure(model: nn.Module, images: Tensor) -> dict[str, float]:
    """Means over an image set: bce, sse and kl per image, and the number of active units."""
    return {**evaluate(model, images, common), "active_units": active_units(encode(model, images))}


def train_run(
    path: str | Path,
    make: Callable[[], VAE],
    objective: Objective,
    data_set: str,
    *,
    student_number: int,
    epochs: int,
) -> Run:
    """Train `make()` on a named data set for so many epochs and keep it at `path`; a finished run is only read.

    The student's number decides the initial weights, the order of the images and the noise. An interrupted run goes on
    where it stopped, unless number, network or loss have changed since: then it starts afresh and says so. When
    nbgrader validates or marks, nothing is trained: RunUnfinished if there is no finished run. ValueError where `path`
    holds a run with other settings.
    """
    path, seed = Path(path), seed_of(student_number)
    if os.environ.get("NBGRADER_EXECUTION"):
        return read_run(path)
    if path.exists():
        return _finished(path, make, objective, student_number, epochs)
    require_writable(path)
    train, test = load(data_set, "train"), load(data_set, "test")
    model = _started(make, seed)
    origin = _origin(model, objective, seed)
    history = fit(
        model.to(device()),
        train.images,
        lambda x, *output: Recorded(objective(x, *output)[0], *common(x, *output)),
        epochs=epochs,
        generator=torch.Generator().manual_seed(seed),
        batch_size=batch_size(len(train)),
        checkpoint=_unfinished(path, origin),
    )
    if history.stopped:
        raise RunUnfinished(f"{history.stopped.capitalize()}. Run this cell again to go on from there.")
    facts = {"data_set": data_set, "student": student_number, "seed": seed, "origin": origin}
    run = keep_run(path, model, history, train, test, **facts)
    for unfinished in _all_unfinished(path):
        unfinished.unlink()
    return run


def batch_size(images: int) -> int:
    """How many of so many training images a step takes."""
    return 128 if images < SMALL_SET else 512


def keep_run(path: Path, model: VAE, history: History, train: ImageSet, test: ImageSet, **facts: Any) -> Run:
    """Write a trained model in half precision with its history, and its measures on the test images as it is stored."""
    stored = build(model.name, **model.arguments)  # the course's own class, whatever the student's overrides
    stored.load_state_dict(model.half().float().state_dict())
    save_checkpoint(
        path,
        stored,
        half=True,
        epochs=len(history.train),
        data=train.source,
        bundled=train.bundled,
        history=history.train,
        seconds=round(history.seconds, 1),
        test=measure(stored.eval(), test.images),
        **facts,
    )
    return read_run(path)


def read_run(path: str | Path) -> Run:
    """A kept run, its model in eval mode.  RunUnfinished if there is none, CheckpointError if it is not a run."""
    path = Path(path)
    if not path.exists():
        raise RunUnfinished(
            f"There is no finished run at {path}. Run the training cell in JupyterLab until it is done, then validate "
            "or submit again: nbgrader trains nothing."
        )
    return Run(*load_checkpoint(path, build), path)


def seed_correlation(run: Run) -> float:
    """Correlation of the weights with those that the run's seed starts from; near 0 for any other start.

    Training moves weights, but even after a hundred epochs not far enough to forget where they began.
    """
    return _correlation(started(run), run.model)


def started(run: Run) -> VAE:
    """The network as a run's seed starts it."""
    return _started(partial(build, run.facts["model"], **run.facts["arguments"]), run.facts["seed"])


def weights_correlation(a: Run, b: Run) -> float:
    """Correlation of two runs' weights, 0 for networks of different sizes: 1 for a copy, whatever its facts say."""
    return _correlation(a.model, b.model)


def flat_weights(model: nn.Module) -> Tensor:
    """All weights in one row, without biases and norms, which start alike in every network."""
    return torch.cat([weights.detach().flatten().double() for weights in model.parameters() if weights.dim() > 1])


def mean_image_errors(train: Tensor, test: Tensor) -> tuple[float, float]:
    """bce and sse per test image of the laziest model: the training set's mean image for everybody."""
    x, x_hat = to_unit(test), to_unit(train).mean(dim=0, keepdim=True).clamp(1e-6, 1 - 1e-6)
    bce = bernoulli_nll(x_hat.logit().expand_as(x), x).mean().item()
    return bce, (x - x_hat).square().flatten(1).sum(dim=1).mean().item()


def _finished(path: Path, make: Callable[[], VAE], objective: Objective, student_number: int, epochs: int) -> Run:
    run = read_run(path)
    found, asked = (run.facts.get("student"), run.facts.get("epochs")), (student_number, epochs)
    if found != asked:
        raise ValueError(
            f"{path} holds a run of student {found[0]} with {found[1]} epochs; this one is for student {asked[0]} with "
            f"{asked[1]}. Move that file away, or delete it, to train anew."
        )
    with suppress(Exception):  # whatever is wrong with network or loss by now: nothing is trained here
        seed = seed_of(student_number)
        if run.facts.get("origin") != _origin(_started(make, seed), objective, seed):
            print(f"{path} was trained with another network or loss than yours is now. Delete it to train again.")
    return run


def _started(make: Callable[[], VAE], seed: int) -> VAE:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def _origin(model: VAE, objective: Objective, seed: int) -> str:
    """Names what a run is made of: the seed, the network's arguments, and the loss by its value for fixed numbers."""
    source = torch.Generator().manual_seed(0)
    x = torch.rand(4, *model.image_shape, generator=source)
    x_logits, *code = (torch.randn(4, *shape, generator=source) for shape in (x.shape[1:], *2 * [(model.latent_dim,)]))
    loss = torch.as_tensor(objective(x, x_logits, *code)[0]).double().mean().item()
    return hashlib.sha256(f"{seed} {model.arguments} {loss:.4g}".encode()).hexdigest()[:8]


def _unfinished(path: Path, origin: str) -> Path:
    """Where the run is kept until it is finished. Says so if only runs of another origin wait there; they stay."""
    own = path.parent / "unfinished" / f"{path.stem}-{origin}{path.suffix}"
    if not own.exists() and any(_all_unfinished(path)):
        print(f"Your number, network or loss has changed since {path.stem} was interrupted: it starts afresh.")
    return own


def _all_unfinished(path: Path) -> list[Path]:
    return list((path.parent / "unfinished").glob(f"{path.stem}-*{path.suffix}"))


def _correlation(a: nn.Module, b: nn.Module) -> float:
    one, other = flat_weights(a), flat_weights(b)
    return torch.corrcoef(torch.stack([one, other]))[0, 1].item() if one.shape == other.shape else 0.0
