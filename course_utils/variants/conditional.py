"""A conditional VAE: what is known about an image enters the encoder, the decoder, or both, in one of several ways."""

import math

import torch
from torch import Tensor, nn

from course_utils.models import MNIST_SHAPE, VAE, ImageShape, TwoHeads, VAEOutput, check_images, check_latents
from course_utils.objectives import negative_elbo, reparameterize

WAYS = ("nowhere", "encoder only", "concatenated", "layer per class")


class ConditionalVAE(VAE):
    """A fully connected VAE, pixels - hidden - d and back, that is told a condition c, float (n, k), beside each image.

    `way` says where c, `loudness` times as large, enters: "nowhere"; beside x only; beside x and z; or beside x and as
    the choice of the decoder's first layer, of which there is one for every entry of c.  [Sohn et al. 2015]
    """

    name = "conditional"

    def __init__(
        self,
        way: str = "layer per class",
        image_shape: ImageShape = MNIST_SHAPE,
        latent_dim: int = 20,
        conditions: int = 10,
        hidden: int = 400,
        loudness: float = 1.0,
    ) -> None:
        super().__init__(image_shape, latent_dim, conditions=conditions, hidden=hidden)
        if way not in WAYS or not loudness > 0:
            raise ValueError(f"way must be one of {', '.join(WAYS)} and loudness positive, got {way!r} and {loudness}.")
        self.arguments |= {"way": way, "loudness": float(loudness)}
        self.way, self.conditions, self.loudness = way, conditions, loudness
        pixels, beside_x = math.prod(self.image_shape), 0 if way == "nowhere" else conditions
        trunk = [nn.Linear(pixels + beside_x, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent_dim)]
        self.encoder = TwoHeads(nn.Sequential(*trunk))
        first_in = latent_dim + (conditions if way == "concatenated" else 0)
        self.first = nn.Linear(first_in, hidden * (conditions if way == "layer per class" else 1))
        self.decoder = nn.Sequential(nn.ReLU(), nn.Linear(hidden, pixels), nn.Unflatten(1, self.image_shape))

    def encode(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Parameters of q(z | x, c): (n, ...) in [0, 1], (n, k) -> mu, logvar, each (n, d)."""
        check_images(x, self.image_shape)
        self._check(c, len(x))
        pixels = x.flatten(1)
        beside = () if self.way == "nowhere" else (self.loudness * c,)
        mu, logvar = self.encoder(torch.cat([pixels, *beside], dim=1))
        return mu.float(), logvar.float()

    def decode(self, z: Tensor, c: Tensor) -> Tensor:
        """Logits of p(x | z, c): (n, d), (n, k) -> (n, ...)."""
        check_latents(z, self.latent_dim)
        self._check(c, len(z))
        return self.decoder(self._first(z, c)).float()

    def forward(self, x: Tensor, c: Tensor, generator: torch.Generator | None = None) -> VAEOutput:
        mu, logvar = self.encode(x, c)
        return VAEOutput(self.decode(reparameterize(mu, logvar, generator), c), mu, logvar)

    def _first(self, z: Tensor, c: Tensor) -> Tensor:
        if self.way == "concatenated":
            return self.first(torch.cat([z, self.loudness * c], dim=1))
        if self.way == "layer per class":
            layers = self.first(z).unflatten(1, (self.conditions, -1))
            return torch.einsum("nk,nkh->nh", c.to(layers.dtype), layers)
        return self.first(z)

    def _check(self, c: Tensor, n: int) -> None:
        if tuple(c.shape) != (n, self.conditions) or not c.is_floating_point():
            raise ValueError(
                f"Expected conditions as a float tensor ({n}, {self.conditions}), one row for each image, got "
                f"{c.dtype} of shape {tuple(c.shape)}. Labels become such rows by torch.nn.functional.one_hot(labels, "
                f"{self.conditions}).float()."
            )


@torch.no_grad()
def class_bounds(model: ConditionalVAE, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """A bound on log p(x | c) for every class c, in nats, one draw of z each: (n, ...) in [0, 1] -> (n, classes)."""
    rows = torch.eye(model.conditions)
    elbos = [-negative_elbo(x, *model(x, row.expand(len(x), -1), generator)).loss for row in rows]
    return torch.stack(elbos, dim=1)
