"""Weights of the variants and of their judge: who trains them, and what their cards say. `tools.weights` calls it."""

from collections.abc import Callable, Mapping
from functools import partial
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
from course_utils.training import evaluate, fit
from course_utils.variants.judge import Judge, judged, load_judge
from course_utils.variants.measures import frechet_distance
from course_utils.variants.outlines import UNIT, outline_elbo, outlines
from course_utils.variants.recurrent import RecurrentVAE

BUILD = course_root() / "build" / "weights"
MNIST_LICENCE = (
    "MNIST (LeCun, Cortes, Burges) is distributed for research and teaching, commonly under CC BY-SA 3.0; no image is "
    "contained in the weights as such."
)
DIGITS_LICENCE = (
    "MNIST (LeCun, Cortes, Burges) is distributed for research and teaching, commonly under CC BY-SA 3.0; "
    "scikit-learn's digits (Alpaydin, Kaynak) come under CC BY 4.0. No image is contained in the weights as such."
)

OUTLINES, OUTLINE_HIDDEN, OUTLINE_EPOCHS = "mnist-outlines", 128, 25


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


def outlines_vae() -> Path:
    """Train (or take up) the recurrent VAE that draws; an interrupted run goes on in build/weights."""
    model = _trained_on_outlines(OUTLINE_EPOCHS).half().float().eval()
    model.name = OUTLINES
    unseen = {choice: outlines(load("mnist", "test", choice).images[:2_000]) for choice in ("real", "bundled")}
    bound = {choice: round(evaluate(model, x, outline_elbo)["loss"], 1) for choice, x in unseen.items()}
    error = {choice: _pixels_apart(model, x) for choice, x in unseen.items()}
    facts = {"data": "MNIST and scikit-learn's digits", "seed": 0, "epochs": OUTLINE_EPOCHS, "licence": DIGITS_LICENCE}
    facts |= {"test_loss": bound, "pixels_apart": error}
    rows = {
        "architecture": f"a GRU of {OUTLINE_HIDDEN} units that reads, another that draws, 16 latent dimensions",
        "training": f"{OUTLINE_EPOCHS} epochs; half the points dropped, 20 nats of KL free, points within half a pixel",
        "test −ELBO": "{real} nats per outline on MNIST, {bundled} on the bundled digits".format(**bound),
        "free-running error": "{real:.2f} pixels on MNIST, {bundled:.2f} on the bundled digits".format(**error),
        "limits": "Outer edges only: a 0 has no hole. Thirty-two points cut corners. For teaching, nothing else.",
    }
    return store(model, "Reads the outline of a digit, and draws one from sixteen numbers.", facts, rows)


def _trained_on_outlines(epochs: int) -> RecurrentVAE:
    """On outlines of 24,000 digits of MNIST and, so that each counts, four times over of the bundled ones."""
    generator = seed_everything(0)
    real, bundled = (load("mnist", choice=choice).images for choice in ("real", "bundled"))
    seen = torch.cat([outlines(real[:24_000]), outlines(bundled).repeat(4, 1, 1)])
    model = RecurrentVAE(dropout=0.5, hidden=OUTLINE_HIDDEN)
    settings = {"epochs": epochs, "generator": generator, "learning_rate": 6e-3, "precision": "float32"}
    resumable = BUILD / f"{OUTLINES}.run"
    fit(model, seen, partial(outline_elbo, budget=20.0), checkpoint=resumable, **settings)
    return model


def _pixels_apart(model: RecurrentVAE, x: Tensor) -> float:
    """Root mean square distance per coordinate between outlines and what is drawn from their mean codes, in pixels."""
    with torch.no_grad():
        drawn = model.draw(model.encode(x)[0])
    return round(UNIT * float((drawn - x).square().mean().sqrt()), 2)


def test_distance(images: Tensor) -> float:
    """Fréchet distance of pictures to MNIST's test images, in the judge's features."""
    judge = load_judge()
    real = judged(judge, load("mnist", "test", "real").images).features
    return round(frechet_distance(judged(judge, images).features, real), 1)


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


MAKERS: dict[str, Callable[[], Path]] = {Judge.name: digit_judge, OUTLINES: outlines_vae}
