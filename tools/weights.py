"""Train the weights that come with the course: `python -m tools.weights [NAMES]`, all of them without names.

Each is trained from data on disk by `course_utils.train`, stored in half precision, measured as it is stored, and
described by a model card. An interrupted run goes on; one that is finished in build/weights is not trained again. The
variants' weights are made by `tools.variant_weights`, `adversary_weights` and `comparison_weights`.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from sklearn.metrics import roc_auc_score

from course_utils import train
from course_utils.batching import to_unit
from course_utils.checkpoints import load_checkpoint, read_facts, save_checkpoint
from course_utils.data import DRAWN, load
from course_utils.files import atomic_path
from course_utils.latent import attribute_direction, decode, encode
from course_utils.models import VAE, build
from course_utils.objectives import negative_elbo
from course_utils.pretrained import CHECKSUMS, fingerprints, sha256, weights_dir
from course_utils.training import evaluate
from tools import adversary_weights, comparison_weights, variant_weights
from tools.variant_weights import BUILD, MNIST_LICENCE

MAKERS = variant_weights.MAKERS | adversary_weights.MAKERS | comparison_weights.MAKERS


@dataclass(frozen=True)
class Recipe:
    """The command line of `course_utils.train` that makes the weights, and what a run cannot know about them."""

    arguments: str
    purpose: str
    licence: str
    limits: str


MNIST_LIMITS = (
    "Twenty-eight pixels, centred digits, American writers of the 1980s and 1990s. Grey pixels are modelled as "
    "Bernoulli, which puts a floor under the loss (lesson 02). Trained before the encoder got its present start "
    "(lesson 04), so the same command gives other weights now. For teaching, and for nothing else."
)
DRAWN_LICENCE = (
    "The drawings are the course's own, made from random factors by `course_utils.drawn_faces`; nobody is shown."
)
SMILES_LICENCE = (
    "Known: the set is public at github.com/hromi/SMILEsmileD, which holds the images and a README of two lines. "
    "Unknown: that repository states no licence, not where the pictures come from, not who is in them, and nothing "
    "of anybody's consent. We hand on no image: what the lesson stores of them are averages of sixteen faces and draws "
    "of nobody; whether weights trained on them are free of the pictures' rights is "
    "not settled. Ask somebody who knows before you use them outside a class."
)
RECIPES = {
    "mnist-20d": Recipe(
        "--data mnist --model conv --latent-dim 20 --epochs 10 --seed 0",
        "The lecture's network with its 20 latent dimensions, trained with the course's recipe.",
        MNIST_LICENCE,
        MNIST_LIMITS,
    ),
    "mnist-2d": Recipe(
        "--data mnist --model conv --latent-dim 2 --epochs 10 --seed 0",
        "The same network with two latent dimensions, whose latent space can be drawn.",
        MNIST_LICENCE,
        MNIST_LIMITS + " Two numbers cannot hold a digit: many reconstructions change class.",
    ),
    "faces-64": Recipe(
        "--data smiles --model face --mirror --sigma2 0.01 --epochs 18 --batch-size 16 --seed 0",
        "Grey faces with 200 latent dimensions; lesson 06 starts from them.",
        SMILES_LICENCE,
        "Grey, 64 pixels a side, tightly cropped, one label of unknown origin, and nothing said about who is in the "
        "set or left out. The split is not by person, so test figures flatter. The training faces come back soft but "
        "recognizable: do not encode or edit anybody who did not ask. For teaching, and for nothing else.",
    ),
    "drawn-faces-64": Recipe(
        "--data drawn_laboratory --model face --latent-dim 32 --channels 16 32 64 64 --sigma2 0.002 --epochs 16 "
        "--batch-size 16 --seed 0",
        "Drawn faces in colour: what lesson 06 does, without anybody's face, and with the truth at hand.",
        DRAWN_LICENCE,
        "A cartoon world in which seven things vary (mouth, lipstick, glasses, skin, hair colour, and the background's "
        "lightness and hue) and smiles go with lipstick by design. Nothing learned here is true of people. The mouth, "
        "the smallest thing in the picture, is kept less well than the rest.",
    ),
}


def make(name: str, recipe: Recipe) -> Path:
    """Train (or take up) one run, store it in half precision with its card; return the path of the weights."""
    trained = BUILD / f"{name}.safetensors"
    arguments = train.parse([*recipe.arguments.split(), "--out", str(trained), "--resume", str(BUILD / f"{name}.run")])
    if not _is_finished(trained, arguments):
        metrics = train.train(arguments)
        if metrics["stopped"]:
            raise KeyboardInterrupt(metrics["stopped"])
    model, facts = load_checkpoint(trained, build)
    for taken in ("model", "arguments"):
        facts.pop(taken)
    facts |= measured(arguments, model.half().float()) | smile_arithmetic(arguments, model)
    path = save_checkpoint(weights_dir() / name, model, half=True, **facts)
    _write(path.with_suffix(".md"), card(name, recipe, path))
    return path


def _is_finished(trained: Path, arguments: argparse.Namespace) -> bool:
    if not trained.is_file():
        return False
    facts = read_facts(trained)
    return all(facts[key] == getattr(arguments, key) for key in ("epochs", "seed")) and facts["recipe"] == (
        train.recipe_of(arguments)
    )


def measured(arguments: argparse.Namespace, model: VAE) -> dict[str, float]:
    """Test -ELBO and its parts of the weights as they are stored, in nats per image."""
    objective = partial(negative_elbo, sigma2=arguments.sigma2)
    losses = evaluate(model, load(arguments.data, "test").images, objective)
    return {f"test_{name}_in_half_precision": round(value, 3) for name, value in losses.items()}


def smile_arithmetic(arguments: argparse.Namespace, model: VAE) -> dict[str, Any]:
    """For faces: where the average solemn face lies, the way to a smile, and how both do on held-out faces.

    The codes are means over thousands of training faces; no single face's code is stored.
    """
    training, test = load(arguments.data, "train"), load(arguments.data, "test")
    if "Smiling" not in training.attribute_names:
        return {}
    z, z_test, smiling = encode(model, training.images), encode(model, test.images), training.labels.bool()
    if arguments.mirror:  # a smile has no left and right
        z, smiling = torch.cat([z, encode(model, training.images.flip(-1))]), smiling.repeat(2)
    direction = attribute_direction(z, smiling)
    x_hat = decode(model, z_test)
    squared_error = (x_hat - to_unit(test.images)).square().flatten(1).sum(dim=1).mean().item()
    known = {} if arguments.data in DRAWN else {"trained_on": fingerprints(training.images)}
    return known | {
        "test_squared_error": round(squared_error, 3),
        "test_auc_of_smile_direction": round(roc_auc_score(test.labels, z_test @ direction), 4),
        "mean_code_not_smiling": _rounded(z[~smiling].mean(dim=0)),
        "smile_direction": _rounded(direction),
    }


def _rounded(values: torch.Tensor) -> list[float]:
    return [round(value, 5) for value in values.tolist()]


def card(name: str, recipe: Recipe, path: Path) -> str:
    """The model card: data, licence note, recipe, metrics, limits, seed."""
    facts = read_facts(path)
    parts = {part: facts[f"test_{part}_in_half_precision"] for part in ("loss", "nll", "kl")}
    return f"""# {name}

{recipe.purpose}

| | |
|---|---|
| data | {facts["data"]} |
| licence note | {recipe.licence} |
| recipe | `python -m course_utils.train {recipe.arguments}`, stored in half precision by `make weights` |
| architecture | `{facts["model"]}` with {facts["arguments"]} |
| seed | {facts["seed"]} |
| test −ELBO | {parts["loss"]:.2f} nats per image (reconstruction {parts["nll"]:.2f}, KL {parts["kl"]:.2f}) |
{smile_rows(facts)}| size | {path.stat().st_size / 1e6:.1f} MB |
| limits | {recipe.limits} |
"""


def smile_rows(facts: dict[str, Any]) -> str:
    """What the card says about smiles, where the facts know any."""
    if "smile_direction" not in facts:
        return ""
    return f"""| test squared error | {facts["test_squared_error"]:.2f} per face, posterior means, pixels in [0, 1] |
| smile direction | AUC {facts["test_auc_of_smile_direction"]:.3f} on held-out faces |
| codes in the facts | `mean_code_not_smiling` and `smile_direction`: means over all training faces, nobody's own |
{fingerprint_row(facts)}"""


def fingerprint_row(facts: dict[str, Any]) -> str:
    """What the card says about the list of training faces, where the facts hold one."""
    if "trained_on" not in facts:
        return ""
    return "| held out | `trained_on` in the facts lists checksums of the training faces, so a face can be told new |\n"


def write_checksums(folder: Path) -> None:
    """List the SHA-256 of every weights file of the folder, in the format of sha256sum."""
    lines = [f"{sha256(path)}  {path.name}\n" for path in sorted(folder.glob("*.safetensors"))]
    _write(folder / CHECKSUMS, "".join(lines))


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Make the named weights, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m tools.weights", description=__doc__.split("\n")[0])
    known = [*RECIPES, *MAKERS]
    parser.add_argument("names", nargs="*", help=f"of {', '.join(known)}; all of them by default")
    names = parser.parse_args(argv).names or known
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"There is no recipe for {unknown[0]!r}. Choose from: {', '.join(known)}.", file=sys.stderr)
        return 1
    for name in names:
        path = make(name, RECIPES[name]) if name in RECIPES else MAKERS[name]()
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    write_checksums(weights_dir())
    return 0


if __name__ == "__main__":
    sys.exit(main())
