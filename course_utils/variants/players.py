"""Networks of adversarial games over digits, and what their players minimise."""

import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.models import MNIST_SHAPE, VAE, Encoder, check_images, check_latents


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-E log D(x) - E log(1 - D(x̂)) from logits (n,), (m,), in nats.  [Goodfellow et al. 2014, eq. 1]"""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def saturating_loss(fake: Tensor) -> Tensor:
    """E log(1 - D(x̂)) from logits (n,), in nats: what eq. 1 there leaves to the generator."""
    return -F.softplus(fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """-E log D(x̂) from logits (n,), in nats: steep where the critic is sure.  [ibid., section 3]"""
    return F.softplus(-fake).mean()


def feature_loss(features: Tensor, features_hat: Tensor) -> Tensor:
    """½ ||f(x) - f(x̂)||² per picture: (n, f), (n, f) -> (n,).  [Larsen et al. 2016, eq. 7, up to a constant]"""
    return (features - features_hat).square().sum(dim=1) / 2


class Generator(nn.Module):
    """A small DCGAN: noise or codes (n, d) -> logits of pictures (n, 1, 28, 28).  [Radford et al. 2016]"""

    name = "generator"

    def __init__(self, latent_dim: int = 64, channels: int = 48) -> None:
        super().__init__()
        self.arguments = {"latent_dim": latent_dim, "channels": channels}
        self.latent_dim, wide = latent_dim, 2 * channels
        self.body = nn.Sequential(
            *(nn.Linear(latent_dim, wide * 49, bias=False), nn.Unflatten(1, (wide, 7, 7)), _norm(wide), nn.ReLU()),
            *(nn.ConvTranspose2d(wide, channels, 4, stride=2, padding=1, bias=False), _norm(channels), nn.ReLU()),
            nn.ConvTranspose2d(channels, 1, 4, stride=2, padding=1),
        )

    def decode(self, z: Tensor) -> Tensor:
        """Logits of pictures: (n, d) -> (n, 1, 28, 28).  ValueError for another latent size."""
        check_latents(z, self.latent_dim)
        return self.body(z)

    def forward(self, z: Tensor) -> Tensor:
        return self.decode(z)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, momentum=0.02)  # running figures about as old as an average of weights


class Critic(nn.Module):
    """Its opponent, three convolutions of stride 2: pictures (n, 1, 28, 28) -> logits (n,).  [Radford et al. 2016]"""

    name = "critic"

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.arguments = {"channels": channels}
        self.body = nn.Sequential(nn.Conv2d(1, channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        for wide in (channels, 2 * channels):
            convolution = nn.Conv2d(wide, 2 * wide, 4, stride=2, padding=1, bias=False)
            self.body.extend([convolution, nn.BatchNorm2d(2 * wide), nn.LeakyReLU(0.2)])
        self.head = nn.Linear(36 * channels, 1)

    def features(self, x: Tensor) -> Tensor:
        """What the last convolution sees: (n, 1, 28, 28) in [0, 1] -> (n, f)."""
        check_images(x.detach(), MNIST_SHAPE)
        return self.body(x).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x)).squeeze(1)


class VAEGAN(VAE):
    """A VAE that faces a critic: the lecture's encoder, 128 hidden units, and a generator.  [Larsen et al. 2016]"""

    name = "vae-gan"

    def __init__(self, latent_dim: int = 20) -> None:
        super().__init__(MNIST_SHAPE, latent_dim)
        self.arguments = {"latent_dim": latent_dim}
        self.encoder = Encoder(MNIST_SHAPE, (32, 64), 128, latent_dim)
        self.decoder = Generator(latent_dim)
