"""The VQ-VAE: images as grids of codes, numbers of entries of a codebook that is learned."""

from typing import NamedTuple

from torch import Tensor, nn

from course_utils.models import MNIST_SHAPE, check_images
from course_utils.objectives import bernoulli_nll
from course_utils.variants.codebook import Codebook, straight_through


class VQLoss(NamedTuple):
    """What a VQ-VAE minimises, -log p(x | codes) in nats, and the squared distance |z_e - z_q|^2, each (batch,)."""

    loss: Tensor
    nll: Tensor
    distance: Tensor


def vq_loss(x: Tensor, x_logits: Tensor, z_e: Tensor, z_q: Tensor, *, beta: float = 0.25) -> VQLoss:
    """-log p(x | z_q) + |sg(z_e) - z_q|^2 + beta |z_e - sg(z_q)|^2 per image, sg: no gradient.  [Oord et al. 2017]"""
    nll = bernoulli_nll(x_logits, x)
    codebook = (z_e.detach() - z_q).square().flatten(1).sum(dim=1)
    commitment = (z_e - z_q.detach()).square().flatten(1).sum(dim=1)
    return VQLoss(nll + codebook + beta * commitment, nll, commitment)


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
