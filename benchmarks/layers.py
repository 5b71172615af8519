"""Whether two layers of latents beat one: `python -m benchmarks.layers`, the table that lesson 08 quotes.

One row per run, printed when the run ends: test -ELBO in nats per image, the KL of either layer, and how many upper
dimensions are at work. Nine runs of about two minutes each.
"""

import argparse
import itertools
from collections.abc import Sequence

import torch
from torch import nn

from course_utils.batching import to_unit
from course_utils.data import load
from course_utils.runtime import seed_everything
from course_utils.training import evaluate, fit
from course_utils.variants.hierarchical import BottomUp, Flat, Ladder
from course_utils.variants.layered_loss import layered_elbo

MODELS = {"flat": (Flat, 184), "bottom-up": (BottomUp, 180), "ladder": (Ladder, 174)}  # hidden units: equal parameters
AT_WORK = 0.05  # nats


@torch.no_grad()
def at_work(model: nn.Module, x: torch.Tensor) -> int:
    """Upper dimensions whose KL exceeds AT_WORK, of pictures (n, 1, 28, 28)."""
    return int((model(x).kl_top.mean(dim=0) > AT_WORK).sum())


def main(argv: Sequence[str] | None = None) -> None:
    """Train every model from every seed and print the rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layers", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=30)
    arguments = parser.parse_args(argv)
    train, test = load("mnist", "train"), load("mnist", "test")
    for name, seed in itertools.product(arguments.models, arguments.seeds):
        generator = seed_everything(seed)
        kind, hidden = MODELS[name]
        model = kind(hidden=hidden)
        plan = {"epochs": arguments.epochs, "generator": generator, "progress": False}
        fit(model, train.images[: arguments.images], layered_elbo, **plan)
        losses = {part: round(value, 2) for part, value in evaluate(model, test.images, layered_elbo).items()}
        row = {"seed": seed, **losses, "at work": at_work(model, to_unit(test.images[:2_000]))}
        print(f"{name:<10}", *(f"{part} {value}" for part, value in row.items()), sep="  ", flush=True)


if __name__ == "__main__":
    main()
