"""A recurrent VAE of outlines: one GRU reads the points, another draws them, with or without a look at the last one."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.models import check_latents
from course_utils.objectives import reparameterize


class Drawn(NamedTuple):
    """What a recurrent VAE returns for a batch: means x_hat (n, steps, 2) of the points, mu (n, d), logvar (n, d)."""

    x_hat: Tensor
    mu: Tensor
    logvar: Tensor


class RecurrentVAE(nn.Module):
    """VAE of sequences (n, steps, 2): a GRU reads points, z starts another that draws.  [Fabius & van Amersfoort 2015]

    At every step the drawing GRU hears z and a clock, and with `feedback` the point before: in `forward` the true one
    (teacher forcing), of which in training mode a share `dropout` is replaced by zeros; in `draw` its own.
    """

    name = "recurrent"

    def __init__(
        self, feedback: bool = True, dropout: float = 0.0, latent_dim: int = 16, hidden: int = 64, steps: int = 32
    ) -> None:
        super().__init__()
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout is a share of the points, between 0 and 1, got {dropout}.")
        self.arguments = {"feedback": feedback, "dropout": float(dropout)}
        self.arguments |= {"latent_dim": latent_dim, "hidden": hidden, "steps": steps}
        self.feedback, self.dropout, self.latent_dim, self.steps = feedback, dropout, latent_dim, steps
        angle = torch.arange(steps) * (2 * math.pi / steps)
        self.register_buffer("clock", torch.stack([angle.cos(), angle.sin()], dim=1))
        self.reader = nn.GRU(2 + 2, hidden, batch_first=True)
        self.heads = nn.Linear(2 * hidden, 2 * latent_dim)
        self.start = nn.Linear(latent_dim, hidden)
        self.pen = nn.GRU(2 + 2 + latent_dim, hidden, batch_first=True)
        self.point = nn.Linear(hidden, 2)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Parameters of q(z | x): (n, steps, 2) -> mu, logvar, each (n, d)."""
        self._check(x)
        states, last = self.reader(torch.cat([x, self.clock.expand_as(x)], dim=2))
        summary = torch.cat([last[0], states.mean(dim=1)], dim=1)
        mu, logvar = self.heads(summary).float().chunk(2, dim=1)
        return mu, logvar

    def told(self, z: Tensor, x: Tensor) -> Tensor:
        """The mean of every point given z and, with feedback, the true points before: (n, d), (n, steps, 2) -> same."""
        check_latents(z, self.latent_dim)
        self._check(x)
        states, _ = self.pen(self._heard(self._previous(x), z), self._first_state(z))
        return self.point(states).float()

    def draw(self, z: Tensor) -> Tensor:
        """Free running: every step hears the point that the one before drew: (n, d) -> (n, steps, 2)."""
        check_latents(z, self.latent_dim)
        state, last, points = self._first_state(z), z.new_zeros(len(z), 1, 2), []
        for k in range(self.steps):
            states, state = self.pen(self._heard(last, z, slice(k, k + 1)), state)
            points.append(self.point(states).float())
            last = points[-1] if self.feedback else last
        return torch.cat(points, dim=1)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Drawn:
        mu, logvar = self.encode(x)
        return Drawn(self.told(reparameterize(mu, logvar, generator), x), mu, logvar)

    def _first_state(self, z: Tensor) -> Tensor:
        return self.start(z).tanh()[None]

    def _previous(self, x: Tensor) -> Tensor:
        """What is heard instead of looking: the true points, one step late; zeros for the first and for the dropped."""
        if not self.feedback:
            return torch.zeros_like(x)
        previous = F.pad(x[:, :-1], (0, 0, 1, 0))
        return input_dropout(previous, self.dropout) if self.training else previous

    def _heard(self, previous: Tensor, z: Tensor, steps: slice = slice(None)) -> Tensor:
        clock = self.clock[steps].expand(len(z), -1, -1)
        return torch.cat([previous, clock, z[:, None].expand(-1, clock.shape[1], -1)], dim=2)

    def _check(self, x: Tensor) -> None:
        if x.ndim != 3 or tuple(x.shape[1:]) != (self.steps, 2):
            raise ValueError(f"Expected outlines (n, {self.steps}, 2), got shape {tuple(x.shape)}.")


def input_dropout(previous: Tensor, share: float) -> Tensor:
    """Whole points replaced by zeros, each with probability `share`: (n, steps, 2) -> same.  [Bowman et al. 2016]"""
    kept = torch.rand(previous.shape[:2], device=previous.device) >= share
    return previous * kept[..., None]
