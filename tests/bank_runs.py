"""Runs for the bank of submissions: honest ones, and some that only look it.

Each is trained once, by whichever test process comes first, and kept in build/bank until the sources change, apart
for each precision, kind of processor and number of threads.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from unittest.mock import patch

import torch
from safetensors import safe_open

from course_utils.assignment.plan import CIFAR_SIGMA2, RUNS, SIGMA2, WEIGHT
from course_utils.assignment.runs import Recorded, common, keep_run, seed_of, train_run
from course_utils.checkpoints import read_facts, write_tensors
from course_utils.data import ImageSet, load
from course_utils.models import ConvVAE, VAEOutput
from course_utils.objectives import NegativeElbo, negative_elbo
from course_utils.runtime import precision
from course_utils.training import fit
from grading.course import CHECKOUT

STUDENT, CLASSMATE = 20261120, 4711
SMALL = {"channels": (16, 32), "hidden": 128}
DECIDING = (
    *("batching", "checkpoints", "latent", "models", "objectives", "training"),
    *("assignment/runs", "sources/stand_ins"),
)
BUILT = CHECKOUT / "build" / "bank"


def _combined(x, x_logits, mu, logvar):
    bernoulli, gauss = (negative_elbo(x, x_logits, mu, logvar, sigma2=sigma2) for sigma2 in (None, SIGMA2))
    nll = WEIGHT * bernoulli.nll + (1 - WEIGHT) * gauss.nll
    return NegativeElbo(nll + bernoulli.kl, nll, bernoulli.kl)


def _objective(name: str) -> Callable:
    sigma2 = {"bce": None, "mse": SIGMA2, "cifar10": CIFAR_SIGMA2}
    return _combined if name == "combined" else partial(negative_elbo, sigma2=sigma2[name])


class _WithoutNoise(ConvVAE):
    """Trained as if it were being evaluated: z is the posterior mean."""

    def forward(self, x, generator=None):
        mu, logvar = self.encode(x)
        return VAEOutput(self.decode(mu), mu, logvar)


def _network(name: str, model: type[ConvVAE] = ConvVAE) -> Callable[[], ConvVAE]:
    """The lecture's network for the BCE, faster ones elsewhere: an honest student may choose."""
    if name == "cifar10":
        return partial(model, (3, 32, 32), 64, (16, 32, 64))
    return model if name == "bce" else partial(model, **SMALL)


def _honest(name: str, student: int) -> Callable[[Path], None]:
    def train(path: Path) -> None:
        run = RUNS[name]
        train_run(path, _network(name), _objective(name), run.data_set, student_number=student, epochs=run.epochs)

    return train


def _cheated(images: Callable[[], torch.Tensor], epochs: int, model: type[ConvVAE] = ConvVAE) -> Callable[[Path], None]:
    """A BCE run that says of itself what an honest one says, trained on other images, shorter, or without noise."""

    def train(path: Path) -> None:
        torch.manual_seed(seed_of(STUDENT))
        network, generator = model(**SMALL), torch.Generator().manual_seed(seed_of(STUDENT))
        history = fit(network, images(), _recorded, epochs=epochs, generator=generator, progress=False)
        sets: list[ImageSet] = [load("mnist", split) for split in ("train", "test")]
        keep_run(path, network, history, *sets, data_set="mnist", student=STUDENT, seed=seed_of(STUDENT))

    return train


def _recorded(x, *output):
    return Recorded(negative_elbo(x, *output).loss, *common(x, *output))


def _digits(*splits: str) -> Callable[[], torch.Tensor]:
    return lambda: torch.cat([load("mnist", split).images for split in splits])


TRAINED = {
    **{name: _honest(name, STUDENT) for name in RUNS},
    "classmate-mse": _honest("mse", CLASSMATE),
    "ten-epochs": _cheated(_digits("train"), 10),
    "saw-the-test-images": _cheated(_digits("train", "test"), 100),
    "without-noise": _cheated(_digits("test"), 100, _WithoutNoise),
}


def run(name: str, wait: bool = True) -> Path:
    """The file of a trained run, made now if need be.  BlockingIOError if another process makes it: `wait` or go on."""
    path = _kept(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not path.exists():
            with patch.dict(os.environ, COURSE_DATA="bundled"):
                TRAINED[name](path)
    return path


def _kept(name: str) -> Path:
    return BUILT / _version() / f"{name}.safetensors"


@cache
def _version() -> str:
    """Names what decides a run's numbers: the sources, and what this processor computes with."""
    sources = [Path(__file__), *(CHECKOUT / "course_utils" / f"{module}.py" for module in DECIDING)]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    isa = torch.backends.cpu.get_cpu_capability().lower()
    return f"{digest}-{precision()}-{isa}-{torch.get_num_threads()}-threads"


def honest_runs(folder: Path) -> Path:
    """A folder with the four honest runs. Two test processes share the work, and none waits while there is some."""
    folder.mkdir(parents=True)
    for name in TRAINED:
        if not all(_kept(honest).exists() for honest in RUNS):
            with suppress(BlockingIOError):
                run(name, wait=False)
    for name in RUNS:
        os.link(run(name), folder / f"{name}.safetensors")
    return folder


def relabelled(path: Path, origin: Path, change: Callable = lambda tensor: tensor, **facts) -> None:
    """Put the weights of `origin`, each changed by `change`, at `path`, with these facts in the place of its own."""
    with safe_open(origin, framework="pt") as file:
        tensors = {name: change(file.get_tensor(name)) for name in file.keys()}
    path.unlink(missing_ok=True)
    write_tensors(path, tensors, read_facts(origin) | facts)
