"""Weights of lesson 10's players: a generator of digits and a VAE-GAN. `tools.weights` calls it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from course_utils.batching import batches
from course_utils.data import load
from course_utils.latent import decode
from course_utils.runtime import seed_everything
from course_utils.variants.adversarial import Player, fit_players
from course_utils.variants.averaging import Averaged, with_statistics
from course_utils.variants.games import gan, vae_gan
from course_utils.variants.players import VAEGAN, Critic, Generator
from tools.variant_weights import BUILD, MNIST_LICENCE, store, test_distance

GAN_EPOCHS, VAE_GAN_EPOCHS = 13, 4
DRAWS = 10_000


def mnist_gan() -> Path:
    """Train a DCGAN on MNIST; what is stored is the generator with a running mean of its weights."""
    generator, images = seed_everything(0), load("mnist", choice="real").images
    drawn = Averaged(Generator())
    facts = _play(gan(drawn, Critic()), images, "mnist-gan", epochs=GAN_EPOCHS, generator=generator)
    noise = torch.randn(5 * DRAWS // 2, drawn.live.latent_dim, generator=generator)
    model = with_statistics(drawn.average, noise.split(250)).half().float()
    model.name = "mnist-gan"
    facts["fd"] = test_distance(decode(model, torch.randn(DRAWS, model.latent_dim, generator=generator)))
    rows = {
        "architecture": "DCGAN: a linear layer, two transposed convolutions; its critic is not kept",
        "Fréchet distance": f"{facts['fd']} of {DRAWS:,} samples from MNIST's test images, in the judge's features",
        "cost": _cost(facts),
        "limits": "One run: another seed gives another generator. Not every sample is a digit. For teaching.",
    }
    return store(model, "Generates digits from 64 numbers of noise; lesson 10 judges it.", facts, rows)


def mnist_vae_gan() -> Path:
    """Train a VAE on MNIST whose reconstruction is measured in a critic's features, and which has to fool it too."""
    generator, images = seed_everything(0), load("mnist", choice="real").images
    model = Averaged(VAEGAN())
    facts = _play(vae_gan(model, Critic()), images, "mnist-vae-gan", epochs=VAE_GAN_EPOCHS, generator=generator)
    settled = with_statistics(model.average, batches(images[:10_000], 250)).half().float()
    settled.name = "mnist-vae-gan"
    rows = {
        "architecture": "the lecture's encoder with 128 hidden units, 20 latent dimensions, a DCGAN's decoder",
        "cost": _cost(facts),
        "limits": "No likelihood is maximised, so its bound means nothing. Samples of N(0, I) are poor. For teaching.",
    }
    purpose = "Encodes and decodes digits; trained for likeness in a critic's features and to fool that critic."
    return store(settled, purpose, facts, rows)


def _play(players: Mapping[str, Player], images: Tensor, name: str, **settings: Any) -> dict[str, Any]:
    BUILD.mkdir(parents=True, exist_ok=True)
    run = BUILD / f"{name}.run.safetensors"
    history = fit_players(players, images, batch_size=64, checkpoint=run, **settings)
    if history.stopped:
        raise KeyboardInterrupt(history.stopped)
    losses = {name: [round(value, 4) for value in history.column(name)] for name in players}
    facts = {"data": "MNIST", "seed": 0, "epochs": settings["epochs"], "licence": MNIST_LICENCE, "losses": losses}
    return facts | {"minutes": round(history.seconds / 60, 1)}


def _cost(facts: Mapping[str, Any]) -> str:
    return f"{facts['epochs']} epochs in batches of 64, {facts['minutes']} minutes on one core of a busy machine"


MAKERS: dict[str, Callable[[], Path]] = {"mnist-gan": mnist_gan, "mnist-vae-gan": mnist_vae_gan}
