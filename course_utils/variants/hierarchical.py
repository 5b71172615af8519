"""Two layers of latents, z_top -> z -> x: the upper one is a learned prior of the lower one."""

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from course_utils.models import MNIST_SHAPE, check_images, check_latents
from course_utils.objectives import reparameterize
from course_utils.variants.layered_loss import LayeredOutput, combine, kl_between


class Flat(nn.Module):
    """A VAE with one hidden layer each way and the prior N(0, I): what the hierarchies are measured against."""

    name = "flat"

    def __init__(self, hidden: int = 184, latent_dim: int = 20) -> None:
        super().__init__()
        self.arguments = {"hidden": hidden, "latent_dim": latent_dim}
        self.latent_dim = latent_dim
        self.trunk = nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), nn.LeakyReLU(0.1))
        self.heads = nn.Linear(hidden, 2 * latent_dim)
        body = nn.Linear(latent_dim, hidden), nn.LeakyReLU(0.1), nn.Linear(hidden, 784)
        self.decoder = nn.Sequential(*body, nn.Unflatten(1, MNIST_SHAPE))

    def features(self, x: Tensor) -> Tensor:
        """(n, 1, 28, 28) in [0, 1] -> (n, hidden).  ValueError for anything else."""
        check_images(x, MNIST_SHAPE)
        return self.trunk(x)

    def decode(self, z: Tensor) -> Tensor:
        """Logits of p(x | z): (n, d) -> (n, 1, 28, 28)."""
        check_latents(z, self.latent_dim)
        return self.decoder(z).float()

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """n codes from the model's own prior: (n, d)."""
        return torch.randn(n, self.latent_dim, generator=generator)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> LayeredOutput:
        mu, logvar = halves(self.heads(self.features(x)))
        x_logits = self.decode(reparameterize(mu, logvar, generator))
        return LayeredOutput(x_logits, kl_between(mu, logvar), mu[:, :0])


class BottomUp(Flat):
    """Inference climbs: q(z | x), then q(z_top | z); one draw estimates the KL of z.  [Rezende et al. 2014]"""

    name = "bottom-up"
    top_sees_images = False

    def __init__(self, hidden: int = 180, latent_dim: int = 20, top_dim: int = 10, inner: int = 64) -> None:
        super().__init__(hidden, latent_dim)
        self.arguments |= {"top_dim": top_dim, "inner": inner}
        self.top_dim = top_dim
        self.up = _small(hidden if self.top_sees_images else latent_dim, inner, top_dim)
        self.down = _small(top_dim, inner, latent_dim)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """n codes from above: z_top from N(0, I), then z from p(z | z_top): (n, d)."""
        with torch.no_grad():
            return reparameterize(*halves(self.down(torch.randn(n, self.top_dim, generator=generator))), generator)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> LayeredOutput:
        mu, logvar = halves(self.heads(self.features(x)))
        z = reparameterize(mu, logvar, generator)
        mu_top, logvar_top = halves(self.up(z))
        z_top = reparameterize(mu_top, logvar_top, generator)
        mu_p, logvar_p = halves(self.down(z_top))
        kl = Normal(mu, (logvar / 2).exp()).log_prob(z) - Normal(mu_p, (logvar_p / 2).exp()).log_prob(z)
        return LayeredOutput(self.decode(z), kl, kl_between(mu_top, logvar_top))


class Ladder(BottomUp):
    """Inference climbs to q(z_top | x), then comes down: q(z | x, z_top).  [Sønderby et al. 2016]"""

    name = "ladder"
    top_sees_images = True

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> LayeredOutput:
        h = self.features(x)
        mu_top, logvar_top = halves(self.up(h))
        from_above = halves(self.down(reparameterize(mu_top, logvar_top, generator)))
        mu, logvar = combine(*halves(self.heads(h)), *from_above)
        x_logits = self.decode(reparameterize(mu, logvar, generator))
        return LayeredOutput(x_logits, kl_between(mu, logvar, *from_above), kl_between(mu_top, logvar_top))


def halves(both: Tensor) -> tuple[Tensor, Tensor]:
    """The two halves mu and logvar in float32: (n, 2d) -> (n, d), (n, d)."""
    mu, logvar = both.float().chunk(2, dim=1)
    return mu, logvar


def _small(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.LeakyReLU(0.1), nn.Linear(hidden, 2 * outputs))
