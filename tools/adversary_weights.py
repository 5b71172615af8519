"""Weights of lesson 10's players: a generator of digits and a VAE-GAN. `tools.weights` calls it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.batching import batches
from course_utils.data import load
from course_utils.latent import decode
from course_utils.objectives import gaussian_kl
from course_utils.runtime import course_root, seed_everything
from course_utils.training import trains_in
from course_utils.variants.adversarial import Player, fit_players
from course_utils.variants.averaging import Averaged, with_statistics
from course_utils.variants.judge import judged, load_judge
from course_utils.variants.measures import frechet_distance
from course_utils.variants.players import (
    VAEGAN,
    Critic,
    Generator,
    critic_loss,
    feature_loss,
    generator_loss,
)
from tools.variant_weights import DIGITS_LICENCE, store

BUILD = course_root() / "build" / "weights"
GAN_EPOCHS, VAE_GAN_EPOCHS = 13, 4
FOOLING = 20.0  # nats of likeness that a nat of the critic's doubt is worth


def mnist_gan() -> Path:
    """Train a DCGAN on MNIST; what is stored is the generator with a running mean of its weights."""
    generator, images = seed_everything(0), load("mnist", choice="real").images
    drawn, critic = Averaged(Generator()), Critic()

    def fakes(x: Tensor) -> Tensor:
        return drawn(torch.randn(len(x), drawn.live.latent_dim)).sigmoid().float()

    def of_critic(x: Tensor) -> Tensor:
        with autocast(critic):
            with torch.no_grad():
                x_hat = fakes(x)
            return critic_loss(critic(x).float(), critic(x_hat).float())

    def of_generator(x: Tensor) -> Tensor:
        with autocast(critic):
            return generator_loss(critic(fakes(x)).float())

    players = {"critic": Player(critic, of_critic), "generator": Player(drawn, of_generator)}
    facts = _play(players, images, "mnist-gan", epochs=GAN_EPOCHS, generator=generator)
    noise = torch.randn(100, 250, drawn.live.latent_dim, generator=generator)
    model = with_statistics(drawn.average, noise).half().float()
    model.name = "mnist-gan"
    facts["fd"] = _frechet(decode(model, torch.randn(10_000, model.latent_dim, generator=generator)))
    rows = {
        "architecture": "DCGAN: a linear layer, two transposed convolutions; its critic is not kept",
        "Fréchet distance": f"{facts['fd']} of 10,000 samples from MNIST's test images, in the judge's features",
        "cost": _cost(facts),
        "limits": "One run: another seed gives another generator. Not every sample is a digit. For teaching.",
    }
    return store(model, "Generates digits from 64 numbers of noise; lesson 10 judges it.", facts, rows)


def mnist_vae_gan() -> Path:
    """Train a VAE on MNIST whose reconstruction is measured in a critic's features, and which has to fool it too."""
    generator, images = seed_everything(0), load("mnist", choice="real").images
    model, critic = Averaged(VAEGAN()), Critic()

    def pictures(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        output = model(x)
        drawn = model.live.decode(torch.randn(len(x), model.live.latent_dim))
        x_hat = torch.cat([output.x_logits, drawn]).sigmoid().float()
        return x_hat[: len(x)], x_hat, gaussian_kl(output.mu, output.logvar)

    def of_critic(x: Tensor) -> Tensor:
        with autocast(critic):
            with torch.no_grad():
                _, x_hat, _ = pictures(x)
            return critic_loss(critic(x).float(), critic(x_hat).float())

    def of_model(x: Tensor) -> Tensor:
        with autocast(critic):
            x_hat, fakes, kl = pictures(x)
            likeness = feature_loss(critic.features(x).float(), critic.features(x_hat).float())
            return (likeness + kl).mean() + FOOLING * generator_loss(critic(fakes).float())

    players = {"critic": Player(critic, of_critic), "model": Player(model, of_model)}
    facts = _play(players, images, "mnist-vae-gan", epochs=VAE_GAN_EPOCHS, generator=generator)
    settled = with_statistics(model.average, batches(images[:10_000], 250)).half().float()
    settled.name = "mnist-vae-gan"
    rows = {
        "architecture": "the lecture's encoder with 128 hidden units, 20 latent dimensions, a DCGAN's decoder",
        "cost": _cost(facts),
        "limits": "No likelihood is maximised, so its bound means nothing. Samples of N(0, I) are poor. For teaching.",
    }
    purpose = "Encodes and decodes digits; trained for likeness in a critic's features and to fool that critic."
    return store(settled, purpose, facts, rows)


def autocast(network: nn.Module) -> torch.autocast:
    """What `fit` would compute in."""
    dtype = getattr(torch, trains_in(network))
    return torch.autocast("cpu", dtype, enabled=dtype != torch.float32)


def _play(players: Mapping[str, Player], images: Tensor, name: str, **settings: Any) -> dict[str, Any]:
    BUILD.mkdir(parents=True, exist_ok=True)
    run = BUILD / f"{name}.run.safetensors"
    history = fit_players(players, images, batch_size=64, checkpoint=run, **settings)
    if history.stopped:
        raise KeyboardInterrupt(history.stopped)
    losses = {name: [round(value, 4) for value in history.column(name)] for name in players}
    facts = {"data": "MNIST", "seed": 0, "epochs": settings["epochs"], "licence": DIGITS_LICENCE, "losses": losses}
    return facts | {"minutes": round(history.seconds / 60, 1)}


def _cost(facts: Mapping[str, Any]) -> str:
    return f"{facts['epochs']} epochs in batches of 64, {facts['minutes']} minutes on one core of a busy machine"


def _frechet(pictures: Tensor) -> float:
    judge = load_judge()
    real = judged(judge, load("mnist", "test", "real").images).features
    return round(frechet_distance(judged(judge, pictures).features, real), 1)


ADVERSARIES: dict[str, Callable[[], Path]] = {"mnist-gan": mnist_gan, "mnist-vae-gan": mnist_vae_gan}
