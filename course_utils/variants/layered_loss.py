"""The mathematics of two layers of Gaussian latents; every loss is in nats."""

from typing import NamedTuple

import torch
from torch import Tensor

from course_utils.objectives import bernoulli_nll


class LayeredOutput(NamedTuple):
    """What a model returns: x_logits (batch, c, h, w), KL of every dimension of z (batch, d), of z_top (batch, k).

    A KL that one draw estimates may be negative for a single image.
    """

    x_logits: Tensor
    kl: Tensor
    kl_top: Tensor


class LayeredElbo(NamedTuple):
    """What is minimised, and its parts per image in nats: four tensors of shape (batch,)."""

    loss: Tensor
    nll: Tensor
    kl: Tensor
    kl_top: Tensor


def layered_elbo(
    x: Tensor, x_logits: Tensor, kl: Tensor, kl_top: Tensor, *, beta: float = 1.0, free: float = 0.0
) -> LayeredElbo:
    """-log p(x | z) + beta (KL of both layers) per image, in nats; -ELBO by default. `beta` grows in a warm-up.

    With `free` > 0 a top dimension pays at least so many nats, on average over the batch: less gains it nothing.
    [Sønderby et al. 2016; Kingma et al. 2016, C.8]
    """
    nll, below, top = bernoulli_nll(x_logits, x), kl.sum(dim=1), kl_top.sum(dim=1)
    charged = kl_top.mean(dim=0).clamp_min(free).sum() if free else top
    return LayeredElbo(nll + beta * (below + charged), nll, below, top)


def kl_between(mu: Tensor, logvar: Tensor, mu_p: Tensor | float = 0.0, logvar_p: Tensor | float = 0.0) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(mu_p, exp(logvar_p))) of each dimension, in nats: all (n, d) -> (n, d)."""
    ratio, gap = logvar - logvar_p, mu - mu_p
    return 0.5 * (torch.expm1(ratio) - ratio + gap**2 * (logvar - ratio).neg().exp())


def combine(mu: Tensor, logvar: Tensor, mu_p: Tensor, logvar_p: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of the normalised product of two Gaussians: precisions add, means are weighted by them."""
    logvar_both = -torch.logaddexp(-logvar, -logvar_p)
    return logvar_both.exp() * (mu * (-logvar).exp() + mu_p * (-logvar_p).exp()), logvar_both
