"""One training loop for every lesson: it is given the model and the objective, and knows neither."""

import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR

from course_utils import runtime
from course_utils.batching import batches
from course_utils.checkpoints import CheckpointError, read_facts, read_tensors, write_tensors
from course_utils.learner import Learner
from course_utils.progress import Bar, epochs_bar, in_words

Losses = dict[str, float]
SCHEDULES = ("one-cycle", "constant")


class Objective(Protocol):
    """Called as objective(x, *model(x)); returns a named tuple of per-image losses in nats, the first to minimise."""

    def __call__(self, x: Tensor, *output: Tensor) -> Any: ...


class TrainingDiverged(RuntimeError):
    """The loss became infinite or not a number; the message names the part and the likely cause."""


@dataclass
class History:
    """Mean losses in nats per image: one entry per finished epoch in `train`, and in `test` where it was asked for."""

    train: list[Losses] = field(default_factory=list)
    test: list[Losses] = field(default_factory=list)
    seconds: float = 0.0
    stopped: str = ""

    def column(self, name: str, split: str = "train") -> list[float]:
        """One loss over the epochs, e.g. column("kl", "test")."""
        return [losses[name] for losses in getattr(self, split)]


def fit(
    model: nn.Module,
    images: Tensor,
    objective: Objective,
    *,
    epochs: int,
    generator: torch.Generator,
    batch_size: int = 128,
    learning_rate: float = 3e-3,
    schedule: str = "one-cycle",
    precision: str = "auto",
    conditions: Tensor | None = None,
    test_images: Tensor | None = None,
    test_conditions: Tensor | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> History:
    """Minimise the objective's first part with Adam over uint8 or [0, 1] images (n, c, h, w), in place.

    `learning_rate` is the peak of a one-cycle schedule or a constant rate. `precision` is "float32", "bfloat16" or
    "auto": what COURSE_PRECISION says, and without it bfloat16 where the processor computes in it. With `checkpoint`,
    every epoch is written there and an interrupted call goes on from the last one, to the same result and therefore in
    the same precision. With `conditions` (n, ...), dealt out with the images, the model is called with both. Ctrl-C
    returns early with `stopped` set.  ValueError for bad arguments, CheckpointError for a checkpoint of other settings,
    TrainingDiverged where the loss is lost.
    """
    settings = {
        "epochs": epochs,
        "images": len(images),
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "schedule": schedule,
        "precision": precision,
    }
    _check_settings(settings)
    settings["precision"] = _resolved(precision, _device_of(model))
    run = _Run(model, objective, generator, settings)
    if checkpoint is not None and Path(checkpoint).exists():
        run.resume(checkpoint)
    with epochs_bar(epochs, run.steps_per_epoch, done=len(run.history.train), enabled=progress) as bar:
        try:
            while len(run.history.train) < epochs:
                run.epoch(images, conditions, bar)
                if test_images is not None:
                    run.test(test_images, test_conditions)
                if checkpoint is not None:
                    run.save(checkpoint)
        except KeyboardInterrupt:
            run.history.stopped = f"interrupted in epoch {len(run.history.train) + 1} of {epochs}"
    model.eval()
    return run.history


def evaluate(
    model: nn.Module,
    images: Tensor,
    objective: Objective,
    *,
    conditions: Tensor | None = None,
    batch_size: int = 500,
    seed: int = 0,
) -> Losses:
    """Mean of each part of the objective in nats per image, in eval mode and float32, with noise fixed by `seed`.

    `conditions` as in `fit`. The model's mode and the global random state are left as they were.
    """
    if not len(images):
        raise ValueError("There are no images to evaluate: expected at least one, got an empty tensor.")
    was_training, totals = model.training, {}
    model.eval()
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed)
        for batch in batches(images, batch_size, conditions=conditions, device=_device_of(model)):
            inputs = _inputs(batch)
            for name, value in objective(inputs[0], *model(*inputs))._asdict().items():
                totals[name] = totals.get(name, 0.0) + value.double().sum().item()
    model.train(was_training)
    return {name: total / len(images) for name, total in totals.items()}


class _Run:
    """A training run that can be written down after any epoch and taken up again."""

    def __init__(
        self, model: nn.Module, objective: Objective, generator: torch.Generator, settings: dict[str, Any]
    ) -> None:
        self.model, self.objective, self.generator, self.settings = model, objective, generator, settings
        self.history = History()
        self.device = _device_of(model)
        self.dtype = getattr(torch, settings["precision"])
        self.steps_per_epoch = math.ceil(settings["images"] / settings["batch_size"])
        model.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=settings["learning_rate"], fused=True)
        self.learner = Learner(model, self.optimizer)
        self.scheduler = self._scheduler()

    def _scheduler(self) -> LRScheduler:
        if self.settings["schedule"] == "constant":
            return ConstantLR(self.optimizer, factor=1.0)
        steps = self.settings["epochs"] * self.steps_per_epoch
        rate = self.settings["learning_rate"]
        return OneCycleLR(self.optimizer, max_lr=rate, total_steps=steps, pct_start=0.15, cycle_momentum=False)

    def epoch(self, images: Tensor, conditions: Tensor | None, bar: Bar) -> None:
        """One pass over the images; its noise depends on the generator alone, so a resumed run repeats it exactly."""
        start, totals = time.perf_counter(), {}
        self.model.train()
        with torch.random.fork_rng():
            torch.manual_seed(int(torch.randint(2**62, (), generator=self.generator)))
            dealt = {"conditions": conditions, "generator": self.generator, "device": self.device}
            for batch in batches(images, self.settings["batch_size"], **dealt):
                inputs = _inputs(batch)
                losses = self.step(*inputs)
                totals = {name: totals.get(name, 0.0) + value * len(inputs[0]) for name, value in losses.items()}
                bar.set_postfix_str(in_words(losses), refresh=False)
                bar.update()
        self.history.train.append({name: total / len(images) for name, total in totals.items()})
        self.history.seconds += time.perf_counter() - start

    def test(self, images: Tensor, conditions: Tensor | None) -> None:
        """Add the mean losses of these images to the history, and the time it took."""
        start = time.perf_counter()
        self.history.test.append(evaluate(self.model, images, self.objective, conditions=conditions))
        self.history.seconds += time.perf_counter() - start

    def step(self, x: Tensor, *condition: Tensor) -> Losses:
        """One update; returns the batch's mean losses in nats per image."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            output = self.model(x, *condition)
        parts = {name: value.mean() for name, value in self.objective(x, *output)._asdict().items()}
        losses = {name: value.item() for name, value in parts.items()}
        if not all(map(math.isfinite, losses.values())):
            raise TrainingDiverged(_diagnosis(losses, len(self.history.train) + 1, self.settings["learning_rate"]))
        self.optimizer.zero_grad()
        next(iter(parts.values())).backward()
        self.optimizer.step()
        self.scheduler.step()
        return losses

    def save(self, path: str | Path) -> None:
        """Write weights, optimizer, schedule, random state and history to one file, atomically."""
        facts = {
            "settings": self.settings,
            "history": asdict(self.history),
            "scheduler": self.scheduler.state_dict(),
        }
        tensors = self.learner.tensors() | {"generator": self.generator.get_state()}
        write_tensors(path, tensors, facts | self.learner.facts())

    def resume(self, path: str | Path) -> None:
        """Continue from `path`.  CheckpointError if it is damaged, or of a run with other settings."""
        facts = read_facts(path)
        if facts.get("settings") != self.settings:
            raise CheckpointError(
                f"{path} belongs to another run: made with {facts.get('settings')}, this one has {self.settings}. "
                "Delete the file to start afresh, or call fit with the same settings (COURSE_PRECISION among them)."
            )
        tensors = read_tensors(path, self.learner.expected(facts) | {"generator": self.generator.get_state()})
        self.learner.restore(tensors, facts)
        self.scheduler.load_state_dict(facts["scheduler"])
        self.generator.set_state(tensors["generator"])
        self.history = History(**facts["history"])


def _inputs(batch: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What the model is called with: the images, and their conditions where there are any."""
    return batch if isinstance(batch, tuple) else (batch,)


def _device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def trains_in(model: nn.Module) -> str:
    """What `fit` computes in unless told otherwise, "bfloat16" or "float32": by COURSE_PRECISION and the device."""
    return _resolved("auto", _device_of(model))


def _resolved(precision: str, device: torch.device) -> str:
    """What the argument asks for, or else COURSE_PRECISION, or else whichever is faster on this device."""
    asked = runtime.precision() if precision == "auto" else precision
    return ("bfloat16" if _computes_in_bfloat16(device) else "float32") if asked == "auto" else asked


def _computes_in_bfloat16(device: torch.device) -> bool:
    """Whether the processor has instructions for it; emulated, a step takes some six times as long as in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    in_use = torch.backends.cpu.get_cpu_capability().startswith("AVX512")  # ATEN_CPU_CAPABILITY may forbid it
    return device.type == "cpu" and in_use and torch.cpu.get_capabilities().get("avx512_bf16", False)


def _check_settings(settings: dict[str, Any]) -> None:
    for name in ("epochs", "images", "batch_size", "learning_rate"):
        if not settings[name] > 0:
            raise ValueError(f"{name} must be positive, got {settings[name]}.")
    for name, choices in (("schedule", SCHEDULES), ("precision", runtime.PRECISIONS)):
        if settings[name] not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {settings[name]!r}.")


def _diagnosis(losses: Losses, epoch: int, learning_rate: float) -> str:
    bad = next(name for name, value in reversed(losses.items()) if not math.isfinite(value))
    causes = {
        "kl": "a log-variance grew until exp(logvar) overflowed",
        "nll": "the reconstruction overflowed: a variance too close to zero, or images that are not in [0, 1]",
    }
    cause = causes.get(bad, "too large a step")
    return (
        f"Training diverged in epoch {epoch}: {bad} is {losses[bad]}. Likely cause: {cause}. Build the model afresh "
        f"and try a learning rate below {learning_rate:g}, or look for a division or log in your loss."
    )
