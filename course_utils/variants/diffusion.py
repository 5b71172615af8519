"""Denoising diffusion with its variational bound: pictures or codes out of Gaussian noise, step by step."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Denoising(NamedTuple):
    """What `fit` minimises for diffusion and for flow matching: squared error of the prediction per datum, (batch,)."""

    loss: Tensor


def squared_error(x: Tensor, predicted: Tensor, wanted: Tensor) -> Denoising:
    """sum (predicted - wanted)² per datum: (batch, ...) twice -> (batch,); `x` is what `fit` hands along."""
    return Denoising((predicted.float() - wanted).square().flatten(1).sum(dim=1))


class Diffusion(nn.Module):
    """x_t = cos(phi_t) x_0 + sin(phi_t) eps for t = 1..steps, and a network that tells v = cos(phi) eps - sin(phi) x_0.

    The angle phi_t goes evenly from `first` to `last`, so abar_t = cos² phi_t.  x_0 is (x - centre) / scale. From v
    follow the noise and x_0 without a division.  [Ho et al. 2020; Salimans & Ho 2022, for v]
    """

    def __init__(
        self,
        network: nn.Module,
        steps: int = 1000,
        *,
        first: float = 0.01,
        last: float = 1.55,
        centre: float = 0.0,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.network, self.steps, self.first, self.last = network, steps, first, last
        self.centre, self.scale = centre, scale

    def angle(self, t: Tensor) -> Tensor:
        """phi_t in radians, float64, zero at t = 0: whole numbers (n,) -> (n,)."""
        even = self.first + (self.last - self.first) * (t.double() - 1) / max(self.steps - 1, 1)
        return even * (t > 0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted and true v at a time and with noise of its own drawing: (n, ...) -> twice (n, ...)."""
        x0 = self.scaled(x)
        t = torch.randint(1, self.steps + 1, (len(x0),), device=x0.device)
        eps = torch.randn_like(x0)
        cos, sin = self._turn(t, x0)
        return self.network(self.noised(x0, t, eps), t / self.steps), cos * eps - sin * x0

    def scaled(self, x: Tensor) -> Tensor:
        """x_0 of data: (n, ...) -> (n, ...)."""
        return (x - self.centre) / self.scale

    def noised(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """The draw of q(x_t | x_0) that eps makes: (n, ...), (n,), (n, ...) -> (n, ...)."""
        cos, sin = self._turn(t, x0)
        return cos * x0 + sin * eps

    def predicted(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """What the network takes for x_0 and for the noise in x_t: (n, ...), (n,) -> twice (n, ...)."""
        v = self.network(x_t, t / self.steps).to(x_t.dtype)
        cos, sin = self._turn(t, x_t)
        return cos * x_t - sin * v, sin * x_t + cos * v

    def posterior(self, x0: Tensor, x_t: Tensor, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (n, ...) and variance (n, 1, ...) of q(x_s | x_t, x_0), s < t. [Ho et al. 2020, eq. 7, for s = t - 1]"""
        (cos_t, sin_t), (cos_s, sin_s) = self._turn(t, x0), self._turn(s, x0)
        alpha = cos_t / cos_s  # x_t = alpha x_s + noise
        fresh = sin_t**2 - alpha**2 * sin_s**2
        return (alpha * sin_s**2 * x_t + cos_s * fresh * x0) / sin_t**2, fresh * sin_s**2 / sin_t**2

    def _turn(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        phi = self.angle(t).view(-1, *[1] * (x.dim() - 1))
        return phi.cos().to(x.dtype), phi.sin().to(x.dtype)


@torch.no_grad()
def sample(model: Diffusion, noise: Tensor, *, steps: int = 20, generator: torch.Generator | None = None) -> Tensor:
    """What becomes of noise (n, ...) in `steps` calls of the network: data (n, ...).

    At each step x_0 and noise are predicted and put together anew at a smaller angle (DDIM). With a CPU `generator`,
    each step draws from the posterior at the predicted x_0 instead (DDPM, for steps = model.steps).
    [Song et al. 2021; Ho et al. 2020]
    """
    model.eval()
    x, times = noise, torch.linspace(model.steps, 0, steps + 1).round().long()
    for t, s in zip(times[:-1], times[1:]):
        t, s = t.expand(len(x)), s.expand(len(x))
        x0, eps = model.predicted(x, t)
        if generator is None:
            x = model.noised(x0, s, eps)
        else:
            mean, variance = model.posterior(x0, x, t, s)
            x = mean + variance.sqrt() * torch.randn(x.shape, generator=generator)
    return x * model.scale + model.centre
