"""Networks that recognise the noise in pictures and in codes, told the time."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class UNet(nn.Module):
    """Noisy digits and their times in [0, 1] -> a number per pixel: (n, 1, 28, 28), (n,) -> (n, 1, 28, 28).

    Squares of 2 x 2 pixels become four channels, which spares three quarters of the work.  [Ronneberger et al. 2015]
    """

    def __init__(self, width: int = 32, inner: int = 96, blocks: int = 2) -> None:
        super().__init__()
        self.clock = nn.Sequential(nn.Linear(16, 64), nn.SiLU())
        self.first = nn.Conv2d(4, width, 3, padding=1)
        self.down, self.halve = _Block(width), nn.Conv2d(width, inner, 2, stride=2)
        self.inside = nn.ModuleList(_Block(inner) for _ in range(blocks))
        self.enlarge, self.up = nn.ConvTranspose2d(inner, width, 2, stride=2), _Block(width)
        self.last = nn.Conv2d(width, 4, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        time = self.clock(waves(t))
        wide = self.down(self.first(F.pixel_unshuffle(x, 2)), time)
        h = self.halve(wide)
        for block in self.inside:
            h = block(h, time)
        h = self.up(wide + self.enlarge(h), time)
        return F.pixel_shuffle(self.last(F.silu(h)), 2).float()


def waves(t: Tensor) -> Tensor:
    """Sines and cosines of eight frequencies of a time: (n,) -> (n, 16)."""
    turns = t.float()[:, None] * math.pi * torch.arange(1, 9, device=t.device)
    return torch.cat([turns.sin(), turns.cos()], dim=1)


class _Block(nn.Module):
    """Two convolutions beside a way past them, told the time in between; at the start only the way past."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before, self.after = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.time = nn.Linear(64, width)
        nn.init.zeros_(self.after.weight)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.before(F.silu(x)) + self.time(time)[:, :, None, None]
        return x + self.after(F.silu(h))


class CodeNetwork(nn.Module):
    """Noisy codes and their times in [0, 1] -> a number per dimension: (n, d), (n,) -> (n, d)."""

    def __init__(self, dim: int, width: int = 160, blocks: int = 3) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(dim, width), nn.Linear(width, dim)
        self.clock = nn.Sequential(nn.Linear(16, 64), nn.SiLU())
        self.blocks = nn.ModuleList(_Dense(width) for _ in range(blocks))

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        h, time = self.first(z), self.clock(waves(t))
        for block in self.blocks:
            h = block(h, time)
        return self.last(F.silu(h)).float()


class _Dense(nn.Module):
    """Two layers beside a way past them, told the time in between; at the start only the way past."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before, self.after, self.time = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(64, width)
        nn.init.zeros_(self.after.weight)

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        return h + self.after(F.silu(self.before(F.silu(h)) + self.time(time)))
