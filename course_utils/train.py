"""Lesson 04 without a notebook: `python -m course_utils.train --data mnist --model conv --epochs 5 --out FILE`.

Progress goes to stderr; the last line of stdout is one JSON object with the metrics.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import torch

from course_utils.checkpoints import CheckpointError, save_checkpoint
from course_utils.data import DRAWN, SETS, load
from course_utils.files import require_writable
from course_utils.models import MODELS, ConvAutoencoder, build
from course_utils.objectives import negative_elbo
from course_utils.runtime import device, seed_everything
from course_utils.sources.source import DataUnavailable
from course_utils.training import SCHEDULES, TrainingDiverged, evaluate, fit


def main(argv: Sequence[str] | None = None) -> int:
    """Train, save, evaluate and print; 1 and one sentence on stderr for a foreseeable fault, 130 after Ctrl-C."""
    arguments = parse(argv)
    try:
        metrics = train(arguments)
    except (ValueError, DataUnavailable, TrainingDiverged, CheckpointError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if metrics["stopped"]:
        _say_how_to_go_on(arguments.resume)
    print(json.dumps(metrics), flush=True)
    return 130 if metrics["stopped"] else 0


def train(arguments: argparse.Namespace) -> dict[str, Any]:
    """One run as described by the parsed arguments; its metrics (nats per image), also stored in the checkpoint."""
    for path in filter(None, (arguments.out, arguments.resume)):
        require_writable(path)
    _say_where_it_starts(arguments.resume)
    generator = seed_everything(arguments.seed)
    with redirect_stdout(sys.stderr):
        train_set, test_set = load(arguments.data, "train"), load(arguments.data, "test")
    images = torch.cat([train_set.images, train_set.images.flip(-1)]) if arguments.mirror else train_set.images
    size = {
        "image_shape": tuple(images.shape[1:]),
        **_given(latent_dim=arguments.latent_dim, channels=arguments.channels),
    }
    model = build(arguments.model, **size).to(device())
    objective = partial(negative_elbo, sigma2=arguments.sigma2, beta=arguments.beta)
    history = fit(
        model,
        images,
        objective,
        epochs=arguments.epochs,
        generator=generator,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        schedule=arguments.schedule,
        checkpoint=arguments.resume,
    )
    elbo = evaluate(model, test_set.images, partial(negative_elbo, sigma2=arguments.sigma2))
    metrics = {
        "test_negative_elbo": elbo["loss"],
        "test_nll": elbo["nll"],
        "test_kl": elbo["kl"],
        "unit": "nats per image",
        "epochs": len(history.train),
        "seconds": round(history.seconds, 1),
        "stopped": history.stopped,
        "data": train_set.source,
        "seed": arguments.seed,
    }
    if arguments.out:
        save_checkpoint(arguments.out, model, **metrics, recipe=recipe_of(arguments), history=history.train)
    return metrics


def _say_where_it_starts(resume: Path | None) -> None:
    if resume is not None:
        start = "going on from" if resume.exists() else "starting anew, with the run kept in"
        print(f"{start} {resume}", file=sys.stderr)


def _say_how_to_go_on(resume: Path | None) -> None:
    how = "Call the same command again" if resume else "Add --resume FILE next time"
    print(f"Interrupted; unfinished epochs are not in the losses. {how} to go on.", file=sys.stderr)


def recipe_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that, with data, model, epochs and seed, decide a run."""
    decisive = ("mirror", "batch_size", "learning_rate", "schedule", "sigma2", "beta")
    return {name: getattr(arguments, name) for name in decisive}


def _given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments of one run; exits with argparse's own message where they are wrong."""
    models = [name for name in MODELS if name != ConvAutoencoder.name]
    parser = argparse.ArgumentParser(prog="python -m course_utils.train", description="Train one VAE and save it.")
    parser.add_argument("--data", choices=[*SETS, *DRAWN], default="mnist")
    parser.add_argument("--mirror", action="store_true", help="add the mirror image of each training image")
    parser.add_argument("--model", choices=models, default="conv")
    parser.add_argument("--latent-dim", type=int, help="default: the network's own")
    parser.add_argument("--channels", type=int, nargs="+", help="of each block; default: the network's own")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=3e-3, help="peak of the one-cycle schedule, or constant")
    parser.add_argument("--schedule", choices=SCHEDULES, default="one-cycle")
    parser.add_argument("--sigma2", type=float, help="variance of Gaussian pixels; without it pixels are Bernoulli")
    parser.add_argument("--beta", type=float, default=1.0, help="weight of the KL while training; evaluation uses 1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", type=Path, metavar="FILE", help="write the run here every epoch, and go on from it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write FILE.safetensors and FILE.json")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
