"""The lecture's training recipe and the course's, side by side in one run: `make bench`.

Machines differ and are shared, so the figures worth quoting are the ratios: each round times one epoch of both, one
after the other, and the median over the rounds is printed. With --to-loss N both recipes are also trained to the end
(the lecture's for N epochs, ours for half as many) and compared by test -ELBO.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.transforms import ToPILImage, ToTensor

from course_utils.data import ImageSet, load
from course_utils.models import ConvVAE
from course_utils.objectives import gaussian_kl, negative_elbo
from course_utils.training import evaluate, fit


class PerImage(torch.utils.data.Dataset):
    """Images as the lecture's loader meets them: one PIL image at a time, turned into a tensor one at a time."""

    def __init__(self, images: Tensor) -> None:
        self.images, self.to_pil, self.to_tensor = images, ToPILImage(), ToTensor()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> Tensor:
        return self.to_tensor(self.to_pil(self.images[i]))


def pytorch_start(model: nn.Module) -> None:
    """Draw all weights anew as PyTorch does by default, which is where the lecture's network starts."""
    for layer in model.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()


def lecture_recipe(images: Tensor, epochs: int) -> ConvVAE:
    """L0's loop: PyTorch's start, DataLoader, float32, cross-entropy of sigmoids summed over the batch, Adam, 1e-3."""
    torch.manual_seed(0)
    model = ConvVAE()
    pytorch_start(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for x in DataLoader(PerImage(images), batch_size=128, shuffle=True):
            x_logits, mu, logvar = model(x)
            loss = F.binary_cross_entropy(x_logits.sigmoid(), x, reduction="sum") + gaussian_kl(mu, logvar).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


def course_recipe(images: Tensor, epochs: int) -> ConvVAE:
    """`fit` with its defaults."""
    torch.manual_seed(0)
    model = ConvVAE()
    fit(model, images, negative_elbo, epochs=epochs, generator=torch.Generator().manual_seed(0), progress=False)
    return model


def timed(recipe: Callable[[Tensor, int], ConvVAE], images: Tensor, epochs: int) -> tuple[float, ConvVAE]:
    """Seconds of wall clock, and the trained model."""
    start = time.perf_counter()
    model = recipe(images, epochs)
    return time.perf_counter() - start, model


def seconds_per_epoch(train: ImageSet, rounds: int) -> pd.DataFrame:
    """One epoch of each recipe per round, in turn."""
    rows = [[timed(recipe, train.images, 1)[0] for recipe in (lecture_recipe, course_recipe)] for _ in range(rounds)]
    table = pd.DataFrame(rows, columns=["lecture, s", "course, s"])
    return table.assign(ratio=table["lecture, s"] / table["course, s"])


def to_the_end(train: ImageSet, test: ImageSet, lecture_epochs: int) -> pd.DataFrame:
    """Both recipes trained out, the lecture's with twice the epochs."""
    rows = {}
    for name, recipe, epochs in (
        ("lecture", lecture_recipe, lecture_epochs),
        ("course", course_recipe, lecture_epochs // 2),
    ):
        seconds, model = timed(recipe, train.images, epochs)
        rows[name] = (epochs, seconds, evaluate(model, test.images, negative_elbo)["loss"])
    return pd.DataFrame(rows, index=["epochs", "seconds", "test -ELBO, nats per image"]).T


def main() -> None:
    """Time both recipes in turn and print the table and the median ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--to-loss", type=int, default=0, metavar="EPOCHS")
    arguments = parser.parse_args()
    train, test = load("mnist", "train"), load("mnist", "test")
    print(f"{train.source}; {torch.get_num_threads()} threads")
    table = seconds_per_epoch(train, arguments.rounds)
    print(table.round(2).to_string(index=False))
    print(f"median ratio of seconds per epoch, lecture / course: {statistics.median(table['ratio']):.2f}")
    if arguments.to_loss:
        print(to_the_end(train, test, arguments.to_loss).round(1).to_string())


if __name__ == "__main__":
    main()
