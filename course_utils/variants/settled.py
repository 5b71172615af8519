"""The models whose weights come with lesson 11: `load_pretrained(name, settled)`."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from course_utils.variants.code_prior import CodePrior
from course_utils.variants.denoisers import CodeNetwork, UNet
from course_utils.variants.diffusion import Diffusion
from course_utils.variants.flow_matching import Flow
from course_utils.variants.players import VAEGAN, Generator
from course_utils.variants.quantized import VQVAE


class PixelDiffusion(Diffusion):
    """Diffusion on digits in [0, 1], which it handles as x_0 in [-1, 1]."""

    name = "mnist-diffusion"

    def __init__(self) -> None:
        super().__init__(UNet(), centre=0.5, scale=0.5)
        self.arguments: dict[str, Any] = {}


class LatentDiffusion(Diffusion):
    """Diffusion on codes of dimension `dim`."""

    name = "mnist-latent-diffusion"

    def __init__(self, dim: int = 20) -> None:
        super().__init__(CodeNetwork(dim))
        self.arguments: dict[str, Any] = {"dim": dim}


class LatentFlow(Flow):
    """Flow matching on codes of dimension `dim`."""

    name = "mnist-latent-flow"

    def __init__(self, dim: int = 20) -> None:
        super().__init__(CodeNetwork(dim))
        self.arguments: dict[str, Any] = {"dim": dim}


class SettledVQ(VQVAE):
    """The VQ-VAE of lesson 09 with 64 codes on a grid of 7 x 7."""

    name = "mnist-vq"

    def __init__(self) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {}


class SettledPrior(CodePrior):
    """The prior over its grids."""

    name = "mnist-vq-prior"

    def __init__(self) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {}


class Mixture(nn.Module):
    """A mixture of Gaussians over codes, as lesson 08 fits it, by the roots of its covariances."""

    name = "mnist-mixture"
    means: Tensor
    roots: Tensor
    log_shares: Tensor

    def __init__(self, components: int = 50, dim: int = 20) -> None:
        super().__init__()
        self.arguments = {"components": components, "dim": dim}
        shapes = {"means": (components, dim), "roots": (components, dim, dim), "log_shares": (components,)}
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats: (n, d) -> (n,)."""
        parts = MultivariateNormal(self.means, scale_tril=self.roots)
        return MixtureSameFamily(Categorical(logits=self.log_shares), parts).log_prob(z)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """n codes (n, d)."""
        picked = torch.multinomial(self.log_shares.exp(), n, replacement=True, generator=generator)
        eps = torch.randn(n, self.means.shape[1], generator=generator)
        return self.means[picked] + (self.roots[picked] @ eps[..., None]).squeeze(-1)


KINDS = (PixelDiffusion, LatentDiffusion, LatentFlow, SettledVQ, SettledPrior, Mixture)
SETTLED = {kind.name: kind for kind in KINDS} | {"mnist-gan": Generator, "mnist-vae-gan": VAEGAN}


def settled(name: str, **arguments: Any) -> nn.Module:
    """The network that belongs to weights of this name."""
    return SETTLED[name](**arguments)
