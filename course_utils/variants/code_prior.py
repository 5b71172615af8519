"""A prior over grids of codes: masked convolutions, which see only what comes before, row by row."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KINDS = ("A", "B")


class CodeCost(NamedTuple):
    """-log p(codes) in nats per image, (batch,)."""

    nats: Tensor


def code_cost(codes: Tensor, logits: Tensor) -> CodeCost:
    """-sum log p(code | earlier codes) per image, in nats: codes (n, h, w), logits (n, K, h, w) -> (n,)."""
    return CodeCost(F.cross_entropy(logits.float(), codes, reduction="none").flatten(1).sum(dim=1))


class MaskedConv2d(nn.Conv2d):
    """A convolution that sees earlier positions (kind "A"), or also its own (kind "B").  [van den Oord et al. 2016]"""

    def __init__(self, inputs: int, outputs: int, side: int, kind: str) -> None:
        if kind not in KINDS or side % 2 == 0:
            raise ValueError(f"Expected kind A or B and an odd side, got {kind!r} and {side}.")
        super().__init__(inputs, outputs, side, padding=side // 2)
        place = torch.arange(side * side).view(side, side)
        own = side * side // 2
        self.register_buffer("mask", (place < own + (kind == "B")).float())

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class CodePrior(nn.Module):
    """p(codes) as a product over positions, each given the earlier ones: (n, h, w) -> logits (n, size, h, w).

    `first` is the kind of the first layer's mask: with "B" every position sees its own code and the product is no
    distribution. Rows may be missing at the end, which spares work while sampling.
    """

    def __init__(
        self, size: int = 64, grid: tuple[int, int] = (7, 7), width: int = 64, blocks: int = 4, first: str = "A"
    ) -> None:
        super().__init__()
        self.size, self.grid = size, tuple(grid)
        self.embedding = nn.Embedding(size, width)
        self.place = nn.Parameter(torch.zeros(width, *grid))
        self.first = MaskedConv2d(width, width, 5, first)
        self.blocks = nn.ModuleList(self._block(width) for _ in range(blocks))
        self.last = nn.Sequential(nn.ReLU(), nn.Conv2d(width, size, 1))

    @staticmethod
    def _block(width: int) -> nn.Sequential:
        return nn.Sequential(nn.ReLU(), MaskedConv2d(width, width, 3, "B"), nn.ReLU(), nn.Conv2d(width, width, 1))

    def forward(self, codes: Tensor) -> tuple[Tensor]:
        h = self.first(self.embedding(codes).movedim(-1, 1)) + self.place[:, : codes.shape[1]]
        for block in self.blocks:
            h = h + block(h)
        return (self.last(h),)


@torch.no_grad()
def sample_codes(prior: CodePrior, n: int, generator: torch.Generator) -> Tensor:
    """n grids drawn position by position from the CPU `generator`: (n, h, w) on the CPU."""
    prior.eval()
    height, width = prior.grid
    codes = torch.zeros(n, height, width, dtype=torch.long)
    for row in range(height):
        for column in range(width):
            (logits,) = prior(codes[:, : row + 1].to(prior.place.device))
            shares = logits[:, :, row, column].float().softmax(dim=1).cpu()
            codes[:, row, column] = torch.multinomial(shares, 1, generator=generator)[:, 0]
    return codes
