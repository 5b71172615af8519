"""How far the course's recipe depends on the seed and on the precision: `python -m benchmarks.seeds`.

One row per run, printed when the run ends: test -ELBO in nats per image, latent dimensions in use (KL > .05 nats) and
the encoder's hidden units that answer to no test image. With --pytorch-start the networks start as PyTorch starts them.
"""

import argparse
import itertools
from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from benchmarks.recipes import pytorch_start
from course_utils.batching import batches
from course_utils.data import ImageSet, load
from course_utils.models import ConvVAE
from course_utils.objectives import gaussian_kl, negative_elbo
from course_utils.runtime import seed_everything
from course_utils.training import evaluate, fit

IN_USE = 0.05  # nats


def trained(train: ImageSet, arguments: argparse.Namespace, seed: int, precision: str) -> tuple[ConvVAE, float]:
    """One run, and its seconds."""
    generator = seed_everything(seed)
    model = ConvVAE(latent_dim=arguments.latent_dim)
    if arguments.pytorch_start:
        pytorch_start(model)
    plan = {"epochs": arguments.epochs, "learning_rate": arguments.learning_rate, "precision": precision}
    history = fit(model, train.images, negative_elbo, generator=generator, progress=False, **plan)
    return model, history.seconds


@torch.no_grad()
def counts(model: ConvVAE, images: Tensor) -> dict[str, int]:
    """Dimensions in use, and hidden units of the encoder that are zero for every image."""
    codes, features = zip(*((model.encode(x), model.encoder.features(x)) for x in batches(images, 500)), strict=True)
    mu, logvar = (torch.cat(part) for part in zip(*codes, strict=True))
    one_by_one = (gaussian_kl(mu[:, [j]], logvar[:, [j]]).mean().item() for j in range(model.latent_dim))
    silent = torch.cat(features).amax(dim=0) <= 0
    return {"in use": sum(kl > IN_USE for kl in one_by_one), "silent": int(silent.sum())}


def main(argv: Sequence[str] | None = None) -> None:
    """Run every seed in every precision and print the rows, then mean and worst per precision."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seeds", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 11])
    parser.add_argument("--precisions", nargs="+", choices=("float32", "bfloat16"), default=["float32", "bfloat16"])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--latent-dim", type=int, default=20)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--pytorch-start", action="store_true", help="the start that the course's network does without")
    arguments = parser.parse_args(argv)
    train, test = load("mnist", "train"), load("mnist", "test")
    rows = []
    for precision, seed in itertools.product(arguments.precisions, arguments.seeds):
        model, seconds = trained(train, arguments, seed, precision)
        losses = {name: round(value, 2) for name, value in evaluate(model, test.images, negative_elbo).items()}
        rows.append({"precision": precision, "seed": seed, **losses, **counts(model, test.images), "s": round(seconds)})
        print(*(f"{name} {value}" for name, value in rows[-1].items()), sep="  ", flush=True)
    print(pd.DataFrame(rows).groupby("precision")["loss"].agg(["mean", "std", "max"]).round(2).to_string())


if __name__ == "__main__":
    main()
