"""Vector quantization: the nearest entry of a codebook, a gradient past it, and a codebook that stays alive."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

UPDATES = ("gradient", "averages", "revival")


def nearest_code(z: Tensor, entries: Tensor) -> Tensor:
    """Number of the entry (K, d) nearest to each vector: (m, d) -> (m,)."""
    return torch.cdist(z, entries).argmin(dim=1)


def straight_through(z_e: Tensor, z_q: Tensor) -> Tensor:
    """The value of z_q, the gradient of z_e: same shapes.  [Bengio et al. 2013]"""
    return z_e + (z_q - z_e).detach()


def perplexity(codes: Tensor, size: int) -> float:
    """exp(entropy) of how often each of `size` codes occurs: 1 for a single one, `size` where all are equally often."""
    share = codes.flatten().bincount(minlength=size) / codes.numel()
    return math.exp(torch.special.entr(share).sum())


class Codebook(nn.Module):
    """`size` entries of `dim` numbers from U(-1/size, 1/size), which learn by `update`; computes in float32.

    "gradient" leaves them to the loss, "averages" moves each to an average of the vectors that chose it, "revival" also
    puts every entry that hardly any vector chose (at first: all) onto a vector of the batch.
    """

    def __init__(self, size: int, dim: int, update: str = "revival", decay: float = 0.97) -> None:
        super().__init__()
        if update not in UPDATES:
            raise ValueError(f"update must be one of {', '.join(UPDATES)}, got {update!r}.")
        self.update, self.decay = update, decay
        start = torch.empty(size, dim).uniform_(-1 / size, 1 / size)
        self.entries = nn.Parameter(start, requires_grad=update == "gradient")
        self.register_buffer("counts", torch.full((size,), float(update == "averages")))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers and entries nearest to the vectors of a grid: (n, dim, h, w) -> (n, h, w), (n, dim, h, w)."""
        with torch.autocast(z.device.type, enabled=False):
            vectors = z.detach().float().movedim(1, -1).flatten(0, -2)
            codes = nearest_code(vectors, self.entries.detach())
            grid = codes.view(len(z), *z.shape[2:])
            z_q = self.look_up(grid)
            if self.training and self.update != "gradient":
                self.follow(vectors, codes)
        return grid, z_q

    def look_up(self, codes: Tensor) -> Tensor:
        """(n, h, w) -> (n, dim, h, w)."""
        return F.embedding(codes, self.entries).movedim(-1, 1)

    @torch.no_grad()
    def follow(self, vectors: Tensor, codes: Tensor) -> None:
        """Move the entries towards the vectors (m, dim) that chose them, (m,)."""
        chose = F.one_hot(codes, len(self.entries)).float()
        kept, fair = self.decay * self.counts, len(vectors) / len(self.entries)
        self.counts.copy_(kept + (1 - self.decay) * chose.sum(dim=0))
        sums = kept[:, None] * self.entries + (1 - self.decay) * chose.T @ vectors
        self.entries.copy_(sums / self.counts.clamp_min(1e-9)[:, None])
        dead = (self.counts < 0.1 * fair).nonzero()[:, 0] if self.update == "revival" else []
        self.entries[dead] = vectors[torch.randint(len(vectors), (len(dead),), device=vectors.device)]
        self.counts[dead] = fair
