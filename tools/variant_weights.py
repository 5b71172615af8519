"""Weights of the variants and of their judge: who trains them, and what their cards say. `tools.weights` calls it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from course_utils.batching import batches
from course_utils.checkpoints import save_checkpoint
from course_utils.data import load
from course_utils.files import atomic_path
from course_utils.pretrained import weights_dir
from course_utils.runtime import course_root, seed_everything
from course_utils.training import trains_in
from course_utils.variants.adversarial import Player, fit_players
from course_utils.variants.judge import Judge, judged
from course_utils.variants.players import Averaged, Critic, Generator, critic_loss, generator_loss

BUILD = course_root() / "build" / "weights"
GAN_EPOCHS = 20
DIGITS_LICENCE = (
    "MNIST (LeCun, Cortes, Burges) is distributed for research and teaching, commonly under CC BY-SA 3.0; "
    "scikit-learn's digits (Alpaydin, Kaynak) come under CC BY 4.0. No image is contained in the weights as such."
)


def digit_judge() -> Path:
    """Train the judge on MNIST and, so that each counts, eight times over the bundled digits."""
    generator = seed_everything(0)
    real, bundled = load("mnist", choice="real"), load("mnist", choice="bundled")
    images = torch.cat([real.images, bundled.images.repeat(8, 1, 1, 1)])
    labels = torch.cat([real.labels, bundled.labels.repeat(8)])
    judge = Judge()
    _classify(judge, images, labels, epochs=6, generator=generator)
    judge = judge.half().float().eval()
    facts = {"data": "MNIST and scikit-learn's digits", "seed": 0, "epochs": 6, "licence": DIGITS_LICENCE}
    facts["test_accuracy"] = {choice: _accuracy(judge, choice) for choice in ("real", "bundled")}
    rows = {
        "architecture": "two convolutions (32, 64), a layer of 64 features, ten logits; dropout ¼",
        "test accuracy": "{real:.2%} on MNIST, {bundled:.2%} on the bundled digits".format(**facts["test_accuracy"]),
        "limits": "It was shown digits only, so it is sure of many things that are none. For teaching, nothing else.",
    }
    purpose = "Judges pictures of digits: distances between pictures are taken in its 64 features."
    return store(judge, purpose, facts, rows)


def _classify(judge: Judge, images: Tensor, labels: Tensor, *, epochs: int, generator: torch.Generator) -> None:
    steps = epochs * -(-len(images) // 128)
    adam = torch.optim.Adam(judge.parameters(), lr=2e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=2e-3, total_steps=steps)
    with tqdm(total=steps, desc=judge.name, unit="step") as bar:
        for _ in range(epochs):
            for x, y in batches(images, 128, conditions=labels, generator=generator):
                adam.zero_grad()
                F.cross_entropy(judge(x), y).backward()
                adam.step()
                rate.step()
                bar.update()


def _accuracy(judge: Judge, choice: str) -> float:
    test = load("mnist", "test", choice)
    return round(float((judged(judge, test.images).digit == test.labels).double().mean()), 4)


def store(
    model: nn.Module, purpose: str, facts: Mapping[str, Any], rows: Mapping[str, str], *, half: bool = True
) -> Path:
    """Write weights, in half precision unless told otherwise, their facts and their card; `model` has a name."""
    path = save_checkpoint(weights_dir() / model.name, model, half=half, **facts)
    recipe = f"`make weights NAMES={model.name}`" + ", stored in half precision" * half
    table = {"data": facts["data"], "licence note": facts["licence"], "recipe": recipe, "seed": facts["seed"], **rows}
    table["size"] = f"{path.stat().st_size / 1e6:.1f} MB"
    lines = "".join(f"| {name} | {value} |\n" for name, value in table.items())
    with atomic_path(path.with_suffix(".md")) as scratch:
        scratch.write_text(f"# {model.name}\n\n{purpose}\n\n| | |\n|---|---|\n{lines}", encoding="utf-8")
    return path


def mnist_gan() -> Path:
    """Train a DCGAN on MNIST; what is stored is the generator with a running mean of its weights."""
    generator, images = seed_everything(0), load("mnist", choice="real").images
    drawn, critic = Averaged(Generator()), Critic()
    dtype = getattr(torch, trains_in(critic))

    def of_critic(x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            with torch.no_grad():
                x_hat = drawn(torch.randn(len(x), 64)).sigmoid().float()
            return critic_loss(critic(x).float(), critic(x_hat).float())

    def of_generator(x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            x_hat = drawn(torch.randn(len(x), 64)).sigmoid().float()
            return generator_loss(critic(x_hat).float())

    players = {"critic": Player(critic, of_critic), "generator": Player(drawn, of_generator)}
    settings = {"epochs": GAN_EPOCHS, "batch_size": 64, "generator": generator}
    fit_players(players, images, **settings, checkpoint=BUILD / "mnist-gan.run.safetensors")


MAKERS: dict[str, Callable[[], Path]] = {Judge.name: digit_judge}
