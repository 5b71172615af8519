"""Weights of the models that lesson 11 compares: who trains them, and what their cards say."""

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from course_utils.batching import to_unit
from course_utils.data import load
from course_utils.latent import decode, encode, posterior
from course_utils.objectives import negative_elbo, reparameterize
from course_utils.pretrained import load_pretrained
from course_utils.runtime import seed_everything
from course_utils.training import evaluate, fit
from course_utils.variants.averaging import Averaged
from course_utils.variants.code_prior import code_cost, sample_codes
from course_utils.variants.diffusion import Diffusion, sample, squared_error
from course_utils.variants.diffusion_bound import bound
from course_utils.variants.flow_matching import Flow, carry
from course_utils.variants.judge import load_judge
from course_utils.variants.quantized import vq_loss
from course_utils.variants.reference import Reference, reference_of
from course_utils.variants.settled import (
    LatentDiffusion,
    LatentFlow,
    Mixture,
    PixelDiffusion,
    SettledPrior,
    SettledVQ,
    settled,
)
from tools.variant_weights import BUILD, MNIST_LICENCE, store, test_distance

LIMITS = "Twenty-eight pixels, centred digits, American writers of the 1980s and 1990s. For teaching, nothing else."
PIXEL_EPOCHS, LATENT_EPOCHS, VQ_EPOCHS, PRIOR_EPOCHS = 12, 30, 3, 10
DRAWS = 10_000


def mnist_reference() -> Path:
    """What the judge sees in MNIST's test images."""
    reference = reference_of(load_judge(), _images("test"), seed_everything(0))
    facts = {"data": "MNIST, test images", "seed": 0, "licence": MNIST_LICENCE}
    rows = {
        "contents": "64 features of 1,000 test images each, mean and covariance over all 10,000, their fine power",
        "limits": "Features, no images; they belong to this `digit-judge` and are worthless for another.",
    }
    purpose = "What the course's judge sees in MNIST's test images, so that samples can be measured without them."
    return store(reference, purpose, facts, rows, half=False)


def mnist_diffusion() -> Path:
    """Diffusion on the pixels."""
    generator, images = seed_everything(0), _images("train")
    model, facts = _averaged(PixelDiffusion(), images, PIXEL_EPOCHS, generator, batch_size=128, learning_rate=1e-3)
    facts["sigma"] = decoder_sigma(model, images[:2_000])
    parts = bound(model, to_unit(_images("test")[:2_000]), generator, sigma=facts["sigma"], levels=256)
    facts["test_bound"] = round(parts.bound.mean().item(), 1)
    facts["fd"] = test_distance(sample(model, torch.randn(DRAWS, 1, 28, 28, generator=generator)).clamp(0, 1))
    test = (
        f"FD {facts['fd']} for 10,000 draws in 20 steps; bound {facts['test_bound']} nats per image (256 grey levels)"
    )
    return _store(model, "Draws digits out of noise, pixel by pixel, step by step.", facts, test)


def mnist_mixture() -> Path:
    """Fifty Gaussians on the same codes as those of latent diffusion."""
    start, generator = time.process_time(), seed_everything(0)
    vae, z = _codes(generator)
    fitted = GaussianMixture(50, random_state=0).fit(z[:20_000].double().numpy())
    model, values = Mixture(), {"means": fitted.means_, "log_shares": np.log(fitted.weights_)}
    values["roots"] = np.linalg.cholesky(fitted.covariances_)
    model.load_state_dict({name: torch.from_numpy(value).half().float() for name, value in values.items()})
    facts = {"data": "MNIST", "seed": 0, "epochs": 1, "licence": MNIST_LICENCE}
    facts["cpu_seconds"] = round(time.process_time() - start)
    facts["test_bound"] = code_bound(vae, lambda z: -model.log_prob(z), generator)
    facts["fd"] = test_distance(decode(vae, model.draw(DRAWS, generator)))
    test = f"FD {facts['fd']}; bound {facts['test_bound']} nats per image"
    return _store(model, "A prior for the VAE mnist-20d, fitted to 20,000 codes of training images.", facts, test)


def mnist_latent_diffusion() -> Path:
    """Diffusion on codes that the VAE `mnist-20d` draws for the training images."""
    generator = seed_everything(0)
    vae, z = _codes(generator)
    model, facts = _averaged(LatentDiffusion(), z, LATENT_EPOCHS, generator, batch_size=256, learning_rate=2e-3)
    facts["sigma"] = decoder_sigma(model, z[:2_000])
    price = partial(bound, model, generator=generator, sigma=facts["sigma"])
    facts["test_bound"] = code_bound(vae, lambda z: price(z).bound, generator)
    facts["fd"] = test_distance(decode(vae, sample(model, torch.randn(DRAWS, 20, generator=generator))))
    test = f"FD {facts['fd']} for 10,000 draws in 20 steps; bound {facts['test_bound']} nats per image"
    return _store(model, "Draws codes for the VAE mnist-20d to decode.", facts, test)


def mnist_latent_flow() -> Path:
    """Flow matching on the same codes."""
    generator = seed_everything(0)
    vae, z = _codes(generator)
    model, facts = _averaged(LatentFlow(), z, LATENT_EPOCHS, generator, batch_size=256, learning_rate=2e-3)
    facts["fd"] = test_distance(decode(vae, carry(model, torch.randn(DRAWS, 20, generator=generator))))
    return _store(model, "Carries noise to codes for the VAE mnist-20d.", facts, f"FD {facts['fd']}, 10 steps of Heun")


def mnist_vq() -> Path:
    """The VQ-VAE of lesson 09, for longer."""
    generator, model = seed_everything(0), SettledVQ()
    facts = _fit(model, _images("train"), vq_loss, epochs=VQ_EPOCHS, generator=generator)
    facts["test_nll"] = round(evaluate(model, _images("test"), vq_loss)["nll"], 2)
    return _store(
        model, "Digits as 7 x 7 codes out of 64.", facts, f"reconstruction {facts['test_nll']} nats per image"
    )


def mnist_vq_prior() -> Path:
    """The prior over the grids of `mnist-vq`, which is trained first."""
    vq, _ = load_pretrained(SettledVQ.name, settled)
    generator, model = seed_everything(0), SettledPrior()
    plan = {"epochs": PRIOR_EPOCHS, "generator": generator, "batch_size": 64, "learning_rate": 4e-3}
    facts = _fit(model, encode(vq, _images("train")), code_cost, **plan)
    facts["test_nats"] = round(evaluate(model, encode(vq, _images("test")), code_cost)["nats"], 2)
    facts["fd"] = test_distance(decode(vq, sample_codes(model, DRAWS // 2, generator)))
    test = f"{facts['test_nats']} nats per grid; FD {facts['fd']} for {DRAWS // 2:,} draws"
    return _store(model, "Writes grids of codes for mnist-vq, place by place.", facts, test)


def _images(split: str) -> Tensor:
    return load("mnist", split, "real").images


def _codes(generator: torch.Generator) -> tuple[nn.Module, Tensor]:
    vae, _ = load_pretrained("mnist-20d")
    return vae, reparameterize(*posterior(vae, _images("train")), generator)


def code_bound(vae: nn.Module, price: Callable[[Tensor], Tensor], generator: torch.Generator) -> float:
    """-log p(x | z) - H(q(z | x)) + price of z in nats per test image, `price` at least -log p(z): (n, d) -> (n,)."""
    mu, logvar = posterior(vae, _images("test"))
    entropy = 0.5 * (1 + math.log(2 * math.pi) + logvar).sum(dim=1)
    nll = evaluate(vae, _images("test"), negative_elbo)["nll"]
    return round(nll + (price(reparameterize(mu, logvar, generator)) - entropy).mean().item(), 2)


def _averaged(
    model: Diffusion | Flow, data: Tensor, epochs: int, generator: torch.Generator, **plan: Any
) -> tuple[nn.Module, dict[str, Any]]:
    """The model with the moving average of its network's weights after training, and the facts of the run."""
    averaged = model.network = Averaged(model.network)
    facts = _fit(model, data, squared_error, epochs=epochs, generator=generator, schedule="constant", **plan)
    model.network = averaged.average
    return model.half().float().eval(), facts


def _fit(model: nn.Module, data: Tensor, objective: Callable, *, epochs: int, **plan: Any) -> dict[str, Any]:
    """Train, or go on with an interrupted training; the facts of the run."""
    start, run = time.process_time(), BUILD / f"{model.name}.run"
    history, cost = fit(model, data, objective, epochs=epochs, checkpoint=run, **plan), run.with_suffix(".cost")
    before = int(cost.read_text()) if cost.is_file() else 0
    cost.write_text(str(before + round(time.process_time() - start)))
    if history.stopped:
        raise KeyboardInterrupt(history.stopped)
    facts = {"data": "MNIST", "seed": 0, "epochs": epochs, "licence": MNIST_LICENCE}
    return facts | {"cpu_seconds": int(cost.read_text())}


def decoder_sigma(model: Diffusion, data: Tensor) -> float:
    """Root of the mean squared error of the prediction from x_1, in units of x_0: the best sigma."""
    x0 = model.scaled(to_unit(data))
    one = torch.ones(len(x0), dtype=torch.long)
    with torch.no_grad():
        x0_hat, _ = model.predicted(model.noised(x0, one, torch.randn_like(x0)), one)
    return round(float((x0 - x0_hat).square().mean().sqrt()), 5)


def _store(model: nn.Module, purpose: str, facts: dict[str, Any], test: str) -> Path:
    weights = sum(weight.numel() for weight in model.parameters())
    cost = f"{facts['epochs']} epochs, {facts['cpu_seconds']:,} seconds of one core"
    rows = {"weights": f"{weights:,}", "test": test, "cost": cost, "limits": LIMITS}
    return store(model.half().float(), purpose, facts, rows)


MAKERS: dict[str, Callable[[], Path]] = {
    Reference.name: mnist_reference,
    PixelDiffusion.name: mnist_diffusion,
    Mixture.name: mnist_mixture,
    LatentDiffusion.name: mnist_latent_diffusion,
    LatentFlow.name: mnist_latent_flow,
    SettledVQ.name: mnist_vq,
    SettledPrior.name: mnist_vq_prior,
}
