"""The VQ-VAE: images as grids of codes, numbers of entries of a codebook that is learned."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.models import MNIST_SHAPE, check_images
from course_utils.objectives import bernoulli_nll

UPDATES = ("gradient", "averages", "revival")


class VQLoss(NamedTuple):
    """What a VQ-VAE minimises, -log p(x | codes) in nats, and the squared distance |z_e - z_q|^2, each (batch,)."""

    loss: Tensor
    nll: Tensor
    distance: Tensor


def nearest_code(z: Tensor, entries: Tensor) -> Tensor:
    """Number of the entry (K, d) nearest to each vector: (m, d) -> (m,)."""
    return torch.cdist(z, entries).argmin(dim=1)


def straight_through(z_e: Tensor, z_q: Tensor) -> Tensor:
    """The value of z_q, the gradient of z_e: same shapes.  [Bengio et al. 2013]"""
    return z_e + (z_q - z_e).detach()


def vq_loss(x: Tensor, x_logits: Tensor, z_e: Tensor, z_q: Tensor, *, beta: float = 0.25) -> VQLoss:
    """-log p(x | z_q) + |sg(z_e) - z_q|^2 + beta |z_e - sg(z_q)|^2 per image, sg: no gradient.  [Oord et al. 2017]"""
    nll = bernoulli_nll(x_logits, x)
    codebook = (z_e.detach() - z_q).square().flatten(1).sum(dim=1)
    commitment = (z_e - z_q.detach()).square().flatten(1).sum(dim=1)
    return VQLoss(nll + codebook + beta * commitment, nll, commitment)


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


class VQVAE(nn.Module):
    """Convolutions down to a quarter of the sides, a codebook, convolutions back; codes are whole numbers."""

    def __init__(self, size: int = 64, dim: int = 16, update: str = "revival") -> None:
        super().__init__()
        self.encoder = nn.Sequential(_halving(1, 32), nn.ReLU(), _halving(32, 64), nn.ReLU(), nn.Conv2d(64, dim, 1))
        self.codebook = Codebook(size, dim, update)
        above = nn.Conv2d(dim, 64, 3, padding=1)
        self.decoder = nn.Sequential(above, nn.ReLU(), _doubling(64, 32), nn.ReLU(), _doubling(32, 1))

    def encode(self, x: Tensor) -> Tensor:
        """Codes of images in [0, 1]: (n, 1, 28, 28) -> (n, 7, 7)."""
        check_images(x, MNIST_SHAPE)
        return self.codebook(self.encoder(x))[0]

    def decode(self, codes: Tensor) -> Tensor:
        """Logits of p(x | codes): (n, 7, 7) -> (n, 1, 28, 28)."""
        return self.decoder(self.codebook.look_up(codes)).float()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x_logits, z_e and z_q, as `vq_loss` takes them."""
        z_e = self.encoder(x).float()
        z_q = self.codebook(z_e)[1]
        return self.decoder(straight_through(z_e, z_q)).float(), z_e, z_q


def _halving(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)


def _doubling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
