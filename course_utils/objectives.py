"""The mathematics of the VAE objective; every loss is in nats per image."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class NegativeElbo(NamedTuple):
    """-ELBO and its two parts per image, in nats: three tensors of shape (batch,)."""

    loss: Tensor
    nll: Tensor
    kl: Tensor


def reparameterize(mu: Tensor, logvar: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """z = mu + exp(logvar / 2) * eps with eps ~ N(0, I), differentiable in both: (batch, d), (batch, d) -> (batch, d).

    `eps` is drawn on the generator's device, so a CPU generator gives the same noise on a GPU.  [Kingma & Welling 2014,
    2.4]
    """
    where = mu.device if generator is None else generator.device
    eps = torch.randn(mu.shape, generator=generator, device=where, dtype=mu.dtype).to(mu.device)
    return mu + (0.5 * logvar).exp() * eps


def gaussian_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, I)) per image, in nats: (batch, d) twice -> (batch,).  [Kingma & Welling 2014, B]

    Written with expm1, which keeps its digits near logvar = 0, where exp(logvar) - 1 loses them.
    """
    _same_shape("mu", mu, "logvar", logvar)
    return 0.5 * (mu**2 + torch.expm1(logvar) - logvar).sum(dim=1)


def bernoulli_nll(x_logits: Tensor, x: Tensor) -> Tensor:
    """-log p(x | z) for Bernoulli pixels, in nats per image: (batch, ...), (batch, ...) -> (batch,).

    Binary cross-entropy from logits; for grey pixels 0 < x < 1 its floor is the pixels' own entropy, which is not zero.
    """
    _same_shape("x_logits", x_logits, "x", x)
    return F.binary_cross_entropy_with_logits(x_logits, x, reduction="none").flatten(1).sum(dim=1)


def gaussian_nll(x_hat: Tensor, x: Tensor, sigma2: float) -> Tensor:
    """-log N(x; x_hat, sigma2 I), in nats per image: (batch, ...), (batch, ...) -> (batch,).

    Half the squared error over sigma2, plus (pixels / 2) log(2 pi sigma2); a density, so it may be negative.
    """
    _same_shape("x_hat", x_hat, "x", x)
    if not sigma2 > 0:
        raise ValueError(f"sigma2 is a variance and must be positive, got {sigma2}.")
    squared_error = (x_hat - x).square().flatten(1).sum(dim=1)
    return 0.5 * (squared_error / sigma2 + x[0].numel() * math.log(2 * math.pi * sigma2))


def negative_elbo(
    x: Tensor, x_logits: Tensor, mu: Tensor, logvar: Tensor, *, beta: float = 1.0, sigma2: float | None = None
) -> NegativeElbo:
    """-log p(x | z) + beta KL(q(z | x) || N(0, I)) per image, in nats; the negative of the ELBO at beta = 1.

    Shapes (batch, c, h, w) twice, then (batch, d) twice. Pixels are Bernoulli with these logits or, where `sigma2` is
    given, Gaussian around sigmoid(x_logits) with that variance.
    """
    nll = bernoulli_nll(x_logits, x) if sigma2 is None else gaussian_nll(x_logits.sigmoid(), x, sigma2)
    kl = gaussian_kl(mu, logvar)
    return NegativeElbo(nll + beta * kl, nll, kl)


def implied_variance(weight: float, beta: float = 1.0) -> float:
    """The sigma2 that makes weight * (sum of squared errors) + beta * KL a Gaussian -ELBO, up to scale and a constant.

    weight 1/2 -> 1, weight 1 -> 1/2, and a mean over n pixels (weight 1/n) -> n/2.
    """
    if not (weight > 0 and beta > 0):
        raise ValueError(f"weight and beta must be positive, got weight={weight}, beta={beta}.")
    return beta / (2 * weight)


def _same_shape(name_a: str, a: Tensor, name_b: str, b: Tensor) -> None:
    if a.shape != b.shape:
        raise ValueError(
            f"{name_a} and {name_b} must have the same shape, got {tuple(a.shape)} and {tuple(b.shape)}: "
            "broadcasting them would sum the wrong terms. Reshape one of the two."
        )
