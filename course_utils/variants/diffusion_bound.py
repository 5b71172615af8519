"""The variational bound of a diffusion model in nats per datum, part by part."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.special import log_ndtr

from course_utils.batching import batches
from course_utils.variants.diffusion import Diffusion


class Bound(NamedTuple):
    """At least -log p(x) in nats, on average over the draws, and the three parts of it, each (n,)."""

    bound: Tensor
    prior: Tensor
    steps: Tensor
    decoder: Tensor


@torch.no_grad()
def bound(
    model: Diffusion, x: Tensor, generator: torch.Generator, *, sigma: float, levels: int = 0, batch_size: int = 500
) -> Bound:
    """Of data (n, ...): KL at t = T, the sum of the steps' KLs from one step drawn per datum, and -log p(x_0 | x_1).

    The decoder is N(prediction, sigma² I) for x_0; with `levels` it is cut into that many grey levels, and what is
    bounded is a probability instead of a density.  [Ho et al. 2020, eq. 5 and 13]
    """
    parts = [_bound(model, some, generator, sigma, levels) for some in batches(x, batch_size)]
    return Bound(*(torch.cat(columns) for columns in zip(*parts)))


def _bound(model: Diffusion, x: Tensor, generator: torch.Generator, sigma: float, levels: int) -> Bound:
    x0 = model.scaled(x)
    prior = prior_nats(model, x0)
    chance = 1 / model.angle(torch.arange(2, model.steps + 1))
    picked = torch.multinomial(chance, len(x), replacement=True, generator=generator)
    steps = step_nats(model, x0, picked + 2, _noise(x0, generator)) * chance.sum() / chance[picked]
    one = torch.ones(len(x), dtype=torch.long)
    x0_hat, _ = model.predicted(model.noised(x0, one, _noise(x0, generator)), one)
    if levels:
        decoder = grey_level_nats(x0, x0_hat, sigma, half=0.5 / (levels - 1) / model.scale)
    else:
        decoder = density_nats(x0, x0_hat, sigma) + x0[0].numel() * math.log(model.scale)
    return Bound(prior + steps + decoder, prior, steps, decoder)


def prior_nats(model: Diffusion, x0: Tensor) -> Tensor:
    """KL(q(x_T | x_0) || N(0, I)) per datum: (n, ...) -> (n,)."""
    phi = model.angle(torch.full(x0.shape[:1], model.steps)).view(-1, *[1] * (x0.dim() - 1))
    variance = phi.sin() ** 2
    return 0.5 * (variance + phi.cos() ** 2 * x0**2 - 1 - variance.log()).flatten(1).sum(dim=1)


def step_nats(model: Diffusion, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """KL(q(x_{t-1} | x_t, x_0) || q(x_{t-1} | x_t, predicted x_0)) for t > 1: (n, ...), (n,), (n, ...) -> (n,)."""
    x_t = model.noised(x0, t, eps)
    x0_hat, _ = model.predicted(x_t, t)
    mean, variance = model.posterior(x0.double(), x_t.double(), t, t - 1)
    mean_hat, _ = model.posterior(x0_hat.double(), x_t.double(), t, t - 1)
    return 0.5 * ((mean - mean_hat) ** 2 / variance).flatten(1).sum(dim=1)


def density_nats(x0: Tensor, x0_hat: Tensor, sigma: float) -> Tensor:
    """-log N(x_0; x0_hat, sigma² I) per datum: (n, ...) twice -> (n,)."""
    squared = ((x0 - x0_hat) / sigma).double() ** 2
    return 0.5 * (squared + math.log(2 * math.pi * sigma**2)).flatten(1).sum(dim=1)


def grey_level_nats(x0: Tensor, x0_hat: Tensor, sigma: float, half: float) -> Tensor:
    """-log probability of the interval of +-half around x_0, open outwards at -1 and 1: (n, ...) twice -> (n,)."""
    above = ((x0 + half - x0_hat) / sigma).double().masked_fill(x0 > 1 - half, math.inf)
    below = ((x0 - half - x0_hat) / sigma).double().masked_fill(x0 < half - 1, -math.inf)
    swap = below > 0  # the lower tail is the accurate one
    high, low = torch.where(swap, -below, above), torch.where(swap, -above, below)
    log_high, log_low = log_ndtr(high), log_ndtr(low)
    return -(log_high + torch.log1p(-(log_low - log_high).exp())).flatten(1).sum(dim=1)


def _noise(x0: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(x0.shape, generator=generator, dtype=x0.dtype)
