"""The networks: the lectures' convolutional VAEs, for digits and for faces, two rivals, and a plain autoencoder."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from course_utils.objectives import reparameterize

ImageShape = tuple[int, int, int]
MNIST_SHAPE: ImageShape = (1, 28, 28)
UPSAMPLINGS = ("nearest", "transposed")


class VAEOutput(NamedTuple):
    """What a VAE returns for a batch: x_logits (batch, c, h, w), mu (batch, d), logvar (batch, d)."""

    x_logits: Tensor
    mu: Tensor
    logvar: Tensor


def check_images(x: Tensor, image_shape: ImageShape) -> None:
    """Raise a ValueError that names the cure unless x is a float batch (n, c, h, w) of `image_shape` in [0, 1]."""
    expected = f"a float batch (n, {', '.join(map(str, image_shape))}) with values in [0, 1]"
    if x.dim() != 4 or tuple(x.shape[1:]) != image_shape:
        raise ValueError(f"Expected {expected}, got shape {tuple(x.shape)}. Reshape the images or change image_shape.")
    if not x.is_floating_point():
        raise ValueError(f"Expected {expected}, got {x.dtype}. Use course_utils.batching.to_unit(images) first.")
    low, high = (float(v) for v in x.aminmax()) if len(x) else (0.0, 0.0)
    if not (low >= 0 and high <= 1):
        raise ValueError(f"Expected {expected}, got values from {low:.3g} to {high:.3g}. Undo any normalisation.")


def check_latents(z: Tensor, latent_dim: int) -> None:
    """Raise a ValueError that names the cure unless z is a float batch (n, latent_dim)."""
    if z.dim() != 2 or z.shape[1] != latent_dim or not z.is_floating_point():
        raise ValueError(
            f"Expected a float batch of latent vectors (n, {latent_dim}), got {z.dtype} of shape {tuple(z.shape)}. "
            "Add the batch dimension with z[None], or build the model with another latent_dim."
        )


def start_for_relu(layers: nn.Module) -> None:
    """Draw the weights from N(0, 2 / inputs) and clear the biases: the signal keeps its size.  [He et al. 2015]"""
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)


class Encoder(nn.Module):
    """3x3 convolutions of stride 2, one hidden layer, two heads: (n, c, h, w) -> mu, logvar, each (n, d).

    It starts with mu near 0 and logvar = -3 for every image. From PyTorch's own start, Adam silences most hidden units
    within its first fifty steps, and they stay silent.
    """

    def __init__(self, image_shape: ImageShape, channels: tuple[int, ...], hidden: int, latent_dim: int) -> None:
        super().__init__()
        widths = (image_shape[0], *channels)
        self.convolutions = nn.Sequential()
        for c_in, c_out in zip(widths, widths[1:], strict=False):
            self.convolutions.extend([nn.Conv2d(c_in, c_out, 3, stride=2, padding=1), nn.ReLU()])
        flat = channels[-1] * math.prod(halved_sizes(image_shape, len(channels))[-1])
        self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU())
        self.mu = nn.Linear(hidden, latent_dim)
        self.logvar = nn.Linear(hidden, latent_dim)
        start_for_relu(self.convolutions)
        start_for_relu(self.hidden)
        nn.init.normal_(self.mu.weight, std=0.005)
        nn.init.zeros_(self.logvar.weight)
        nn.init.constant_(self.logvar.bias, -3.0)

    def features(self, x: Tensor) -> Tensor:
        return self.hidden(self.convolutions(x))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.features(x)
        return self.mu(h), self.logvar(h)


class Decoder(nn.Module):
    """The encoder's mirror image with transposed convolutions: z (n, d) -> logits (n, c, h, w)."""

    def __init__(self, image_shape: ImageShape, channels: tuple[int, ...], hidden: int, latent_dim: int) -> None:
        super().__init__()
        sizes = halved_sizes(image_shape, len(channels))[::-1]
        widths = (*channels[::-1], image_shape[0])
        self.hidden = nn.Sequential(nn.Linear(latent_dim, hidden), nn.ReLU())
        self.expand = nn.Sequential(nn.Linear(hidden, widths[0] * math.prod(sizes[0])), nn.ReLU())
        self.unflatten = nn.Unflatten(1, (widths[0], *sizes[0]))
        self.convolutions = nn.Sequential()
        for c_in, c_out, small, large in zip(widths, widths[1:], sizes, sizes[1:], strict=False):
            extra = tuple(target - (2 * size - 1) for size, target in zip(small, large, strict=True))
            self.convolutions.append(nn.ConvTranspose2d(c_in, c_out, 3, stride=2, padding=1, output_padding=extra))
            self.convolutions.append(nn.ReLU())
        del self.convolutions[-1]  # the last layer gives logits

    def forward(self, z: Tensor) -> Tensor:
        return self.convolutions(self.unflatten(self.expand(self.hidden(z))))


def halved_sizes(image_shape: ImageShape, times: int) -> list[tuple[int, int]]:
    """The (height, width) before and after each of `times` stride-2 convolutions: 28 -> 14 -> 7."""
    sizes = [image_shape[1:]]
    for _ in range(times):
        sizes.append(tuple((side + 1) // 2 for side in sizes[-1]))
    return sizes


class VAE(nn.Module):
    """What every VAE of the course shares: encode, decode, and a forward pass that samples z in between.

    `self.arguments` holds what rebuilds the network: `build(model.name, **model.arguments)`.
    """

    name: str

    def __init__(self, image_shape: ImageShape, latent_dim: int, **arguments: Any) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.latent_dim = latent_dim
        self.arguments = {"image_shape": self.image_shape, "latent_dim": latent_dim, **arguments}
        if len(self.image_shape) != 3 or min(*self.image_shape, latent_dim, *_sizes(arguments)) < 1:
            raise ValueError(
                f"Expected image_shape (channels, height, width) and sizes of at least 1, got {self.arguments}."
            )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Parameters of q(z | x): (n, c, h, w) in [0, 1] -> mu, logvar, each (n, d).  ValueError for anything else."""
        check_images(x, self.image_shape)
        mu, logvar = self.encoder(x)
        return mu.float(), logvar.float()

    def decode(self, z: Tensor) -> Tensor:
        """Logits of p(x | z): (n, d) -> (n, c, h, w).  ValueError for another latent size."""
        check_latents(z, self.latent_dim)
        return self.decoder(z).float()

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> VAEOutput:
        mu, logvar = self.encode(x)
        return VAEOutput(self.decode(reparameterize(mu, logvar, generator)), mu, logvar)


class ConvVAE(VAE):
    """The network of lecture L0 by default (28x28x1, 20 latent dimensions); 32x32x3 or 64x64x3 by arguments."""

    name = "conv"

    def __init__(
        self,
        image_shape: ImageShape = MNIST_SHAPE,
        latent_dim: int = 20,
        channels: tuple[int, ...] = (32, 64),
        hidden: int = 256,
    ) -> None:
        super().__init__(image_shape, latent_dim, channels=tuple(channels), hidden=hidden)
        self.encoder = Encoder(self.image_shape, channels, hidden, latent_dim)
        self.decoder = Decoder(self.image_shape, channels, hidden, latent_dim)


class TwoHeads(nn.Module):
    """A trunk whose flat output of size 2d is split into mu and logvar."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = self.trunk(x).chunk(2, dim=1)
        return mu, logvar


class DCGANVAE(VAE):
    """The DCGAN-style network of lecture L2: 4x4 convolutions, batch norm, no fully connected layer; 28x28 only."""

    name = "dcgan"

    def __init__(self, image_shape: ImageShape = MNIST_SHAPE, latent_dim: int = 32) -> None:
        super().__init__(image_shape, latent_dim)
        _require_side("DCGANVAE", self.image_shape, 28)
        channels = self.image_shape[0]
        trunk = nn.Sequential(
            _stage(nn.Conv2d(channels, 16, 4, 2), 16, nn.LeakyReLU(0.2)),
            _stage(nn.Conv2d(16, 32, 4, 2), 32, nn.LeakyReLU(0.2)),
            nn.Conv2d(32, 2 * latent_dim, 4, 2),
            nn.Flatten(),
        )
        self.encoder = TwoHeads(trunk)
        self.decoder = nn.Sequential(
            nn.Unflatten(1, (latent_dim, 1, 1)),
            _stage(nn.ConvTranspose2d(latent_dim, 256, 3, 2), 256, nn.ReLU()),
            _stage(nn.ConvTranspose2d(256, 128, 4, 1), 128, nn.ReLU()),
            _stage(nn.ConvTranspose2d(128, 64, 3, 2), 64, nn.ReLU()),
            nn.ConvTranspose2d(64, channels, 4, 2),
        )


class UnstridedVAE(VAE):
    """The Fashion-MNIST network of lecture L4: 5x5 and 3x3 convolutions without stride, wide linear heads."""

    name = "unstrided"

    def __init__(self, image_shape: ImageShape = MNIST_SHAPE, latent_dim: int = 64) -> None:
        super().__init__(image_shape, latent_dim)
        if min(self.image_shape[1:]) < 7:
            raise ValueError(f"UnstridedVAE needs images of at least 7x7 pixels, got {self.image_shape}.")
        channels, inner = self.image_shape[0], (64, self.image_shape[1] - 6, self.image_shape[2] - 6)
        flat = math.prod(inner)
        trunk = nn.Sequential(
            nn.Conv2d(channels, 16, 5),
            nn.ReLU(),
            nn.Conv2d(16, 64, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(flat, 2 * latent_dim),
        )
        self.encoder = TwoHeads(trunk)
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, flat),
            nn.ReLU(),
            nn.Unflatten(1, inner),
            nn.ConvTranspose2d(64, 16, 3),
            nn.ReLU(),
            nn.ConvTranspose2d(16, channels, 5),
        )


class FaceVAE(VAE):
    """The face network of lecture L3: three colours, 64x64, 200 latent dimensions, batch norm and dropout.

    `upsampling` is "nearest" (repeat each pixel, then convolve) or "transposed" (stride 2, where kernels overlap
    unevenly). `dropout` is the share of values silenced in training before mu and logvar.  [Odena et al. 2016]
    """

    name = "face"

    def __init__(
        self,
        image_shape: ImageShape = (3, 64, 64),
        latent_dim: int = 200,
        channels: tuple[int, ...] = (32, 64, 128, 128),
        dropout: float = 0.0,
        upsampling: str = "nearest",
    ) -> None:
        dropout, channels = float(dropout), tuple(channels)
        super().__init__(image_shape, latent_dim, channels=channels, dropout=dropout, upsampling=upsampling)
        if upsampling not in UPSAMPLINGS or not 0 <= dropout < 1:
            raise ValueError(
                f"upsampling must be one of {', '.join(UPSAMPLINGS)} and dropout a share below 1, "
                f"got {upsampling!r} and {dropout}."
            )
        if any(side % 2 ** len(channels) for side in self.image_shape[1:]):
            raise ValueError(f"FaceVAE halves {self.image_shape} {len(channels)} times; its sides must allow that.")
        flat_shape = (channels[-1], *halved_sizes(self.image_shape, len(channels))[-1])
        self.encoder = TwoHeads(_face_trunk(self.image_shape[0], channels, dropout, flat_shape, latent_dim))
        self.decoder = _face_decoder(latent_dim, flat_shape, channels, self.image_shape[0], upsampling)


def _face_trunk(
    c_in: int, channels: tuple[int, ...], dropout: float, flat_shape: ImageShape, latent_dim: int
) -> nn.Sequential:
    blocks = [
        _stage(nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False), b, nn.LeakyReLU(0.1))
        for a, b in zip((c_in, *channels), channels, strict=False)
    ]
    last = nn.Linear(math.prod(flat_shape), 2 * latent_dim)
    return nn.Sequential(*blocks, nn.Flatten(), nn.Dropout(dropout), last)


def _face_decoder(
    latent_dim: int, flat_shape: ImageShape, channels: tuple[int, ...], c_out: int, upsampling: str
) -> nn.Sequential:
    blocks = [
        _stage(_doubling(a, b, upsampling, bias=False), b, nn.LeakyReLU(0.1))
        for a, b in zip(channels[::-1], channels[-2::-1], strict=False)
    ]
    expand = [nn.Linear(latent_dim, math.prod(flat_shape)), nn.Unflatten(1, flat_shape)]
    norm = [nn.BatchNorm2d(flat_shape[0]), nn.LeakyReLU(0.1)]
    return nn.Sequential(*expand, *norm, *blocks, _doubling(channels[0], c_out, upsampling))


def _stage(convolution: nn.Module, channels: int, activation: nn.Module) -> nn.Sequential:
    """A convolution with so many output channels, batch norm, and the activation."""
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), activation)


def _doubling(c_in: int, c_out: int, upsampling: str, *, bias: bool = True) -> nn.Module:
    """(n, c_in, h, w) -> (n, c_out, 2h, 2w)."""
    if upsampling == "transposed":
        return nn.ConvTranspose2d(c_in, c_out, 3, stride=2, padding=1, output_padding=1, bias=bias)
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(c_in, c_out, 3, padding=1, bias=bias))


class ConvAutoencoder(ConvVAE):
    """ConvVAE without its noise and its log-variance head: z = mu(x), and forward returns the logits alone."""

    name = "autoencoder"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.encoder.logvar = None

    def encode(self, x: Tensor) -> Tensor:
        """The code z of each image: (n, c, h, w) in [0, 1] -> (n, d).  ValueError for anything else."""
        check_images(x, self.image_shape)
        return self.encoder.mu(self.encoder.features(x)).float()

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor]:
        return (self.decode(self.encode(x)),)


MODELS: dict[str, type[VAE]] = {
    model.name: model for model in (ConvVAE, DCGANVAE, UnstridedVAE, FaceVAE, ConvAutoencoder)
}


def build(name: str, **arguments: Any) -> VAE:
    """The model class called `name` in MODELS with these arguments.  ValueError names the known models."""
    if name not in MODELS:
        raise ValueError(f"Unknown model {name!r}. Choose one of: {', '.join(MODELS)}.")
    return MODELS[name](**arguments)


def _sizes(arguments: dict[str, Any]) -> list[int]:
    """The numbers of layers' units and channels: whatever is an int, alone or in a tuple."""
    values = [n for value in arguments.values() for n in (value if isinstance(value, tuple) else (value,))]
    return [n for n in values if isinstance(n, int)]


def _require_side(model: str, image_shape: ImageShape, side: int) -> None:
    if image_shape[1:] != (side, side):
        raise ValueError(f"{model} is built for {side}x{side} images, got {image_shape}. Use ConvVAE for other sizes.")
