"""The truth of every question of Assignment 4, and what common mistakes give, by the sentences that name them.

The truths come from torch.distributions wherever that has them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from course_utils.assignment.plan import SIGMA2, WEIGHT

PIXELS = (1, 2, 3)  # dimensions of a batch of images that belong to one image

Mistakes = dict[str, Any]  # sentence -> what this mistake gives


def spread_mistakes(mean: float, logvar: float) -> Mistakes:
    """Mean and standard deviation of samples of `sample_latent`."""
    sigma = np.exp(logvar / 2)
    return {
        "You used the variance where the standard deviation belongs: σ = exp(logvar / 2).": [mean, sigma**2],
        "You took logvar for log σ twice over; halve it once.": [mean, np.exp(logvar / 4)],
        "You used logvar itself as σ: take exp(logvar / 2).": [mean, abs(logvar)],
        "Your noise is uniform (rand); it must be normal (randn).": [mean + sigma / 2, sigma / 12**0.5],
        "You forgot σ: the noise has standard deviation 1 whatever logvar says.": [mean, 1.0],
        "You return mu without noise.": [mean, 0.0],
        "You forgot mu.": [0.0, sigma],
    }


def kl_truth(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, I)) per image, in nats: (batch, d) twice -> (batch,)."""
    return kl_divergence(Normal(mu, logvar.mul(0.5).exp()), Normal(0.0, 1.0)).sum(dim=1)


def kl_mistakes(mu: Tensor, logvar: Tensor) -> Mistakes:
    """Values of `kl_per_image`."""
    truth, sigma, d = kl_truth(mu, logvar), logvar.mul(0.5).exp(), mu.shape[1]
    other_way = kl_divergence(Normal(0.0, 1.0), Normal(mu, sigma)).sum(dim=1)
    return {
        "The ½ is missing.": 2 * truth,
        "The ½ is missing, and you took the mean over the latent dimensions; add them up.": 2 * truth / d,
        "The sign is wrong: a KL divergence is never negative.": -truth,
        "You took the mean over the latent dimensions; add them up.": truth / d,
        "You took logvar for log σ: log σ² is what the encoder gives.": kl_truth(mu, 2 * logvar),
        "You used σ where σ² belongs: the variance is logvar.exp().": truth + 0.5 * (sigma - sigma**2).sum(dim=1),
        "This is the KL the other way round, from the prior to the posterior.": other_way,
        "The −1 is missing.": truth + 0.5 * d,
        "μ must be squared.": truth + 0.5 * (mu - mu**2).sum(dim=1),
        "You averaged over the batch; there must be one number per image.": truth.mean(),
        "You added up over the batch; there must be one number per image.": truth.sum(),
    }


def bce_truth(x_logits: Tensor, x: Tensor) -> Tensor:
    """Minus the log-probability of images whose pixels are 0 or 1: (batch, c, h, w) twice -> (batch,)."""
    return -Bernoulli(logits=x_logits).log_prob(x).sum(dim=PIXELS)


def bce_mistakes(x_logits: Tensor, x: Tensor) -> Mistakes:
    """Values of `bce_per_image`."""
    truth, n = bce_truth(x_logits, x), x[0].numel()
    return {
        "You took the mean over the pixels; add them up.": truth / n,
        "You took the mean over everything; one sum per image is asked for.": truth.mean() / n,
        "You added up over the batch, too; one number per image is asked for.": truth.sum(),
        "You took the mean over the batch; one number per image is asked for.": truth.mean(),
        "The sign is wrong: minus the log-probability is positive.": -truth,
        "You applied the sigmoid twice: the function with logits applies it itself.": bce_truth(x_logits.sigmoid(), x),
        "You swapped the logits and the pixels.": (F.softplus(x) - x_logits * x).sum(dim=PIXELS),
    }


def sse_truth(x_hat: Tensor, x: Tensor) -> Tensor:
    """Squared error per image: (batch, c, h, w) twice -> (batch,)."""
    return F.mse_loss(x_hat, x, reduction="none").sum(dim=PIXELS)


def sse_mistakes(truth: Tensor, n: int) -> Mistakes:
    """Values of `sse_per_image` for images of n pixel values."""
    return {
        "You took the mean over the pixels; add them up.": truth / n,
        "You averaged over the batch; one number per image is asked for.": truth.mean(),
        "You averaged over everything; one sum per image is asked for.": truth.mean() / n,
        "You added up over the batch, too; one number per image is asked for.": truth.sum(),
        "There is no ½ in the squared error itself.": truth / 2,
        "You took the root; the squares are added up, that is all.": truth**0.5,
    }


def gaussian_constant(x: Tensor, sigma2: float) -> float:
    """(n/2) log(2 pi sigma2) for images of n pixel values, in nats."""
    return 0.5 * x[0].numel() * np.log(2 * np.pi * sigma2)


def gaussian_truth(x_hat: Tensor, x: Tensor, sigma2: float) -> Tensor:
    """-log N(x; x_hat, sigma2 I), in nats: (batch, c, h, w) twice, a number -> (batch,)."""
    return -Normal(x_hat, sigma2**0.5).log_prob(x).sum(dim=PIXELS)


def gaussian_mistakes(x_hat: Tensor, x: Tensor, sigma2: float) -> Mistakes:
    """Values of `gaussian_nll_per_image`."""
    truth, constant, n = gaussian_truth(x_hat, x, sigma2), gaussian_constant(x, sigma2), x[0].numel()
    squares = truth - constant
    return {
        "The constant (n/2) log(2πσ²) is missing.": squares,
        "The squared error is divided by 2σ², not by σ².": 2 * squares + constant,
        "The squared error is divided by 2σ², not by 2σ.": squares * sigma2**0.5 + constant,
        "sigma2 is the variance already; do not square it again.": gaussian_truth(x_hat, x, sigma2**2),
        "The constant belongs to every pixel: multiply it by n.": squares + constant / n,
        "The constant has a ½ in front.": squares + 2 * constant,
        "The sign of the constant is wrong.": squares - constant,
        "n counts the values of one image, not of the whole batch.": squares + len(x) * constant,
        "Use the argument sigma2, not the constant SIGMA2.": gaussian_truth(x_hat, x, SIGMA2),
        "The 2π is missing in the constant.": squares + 0.5 * n * np.log(sigma2),
        "You took the mean over the pixels; add them up.": truth / n,
    }


def variance_of_sum_mistakes(pixels: int) -> Mistakes:
    """Values of `variance_of_mse` for a sum."""
    return {
        "The Gaussian divides by 2σ², not by σ².": 1.0,
        "Solve 1/(2σ²) = 1 for σ².": 2.0,
        "That is σ; asked for is σ².": 0.5**0.5,
        "A sum has the factor 1, however many pixels there are.": pixels / 2,
    }


def variance_of_mean_mistakes(pixels: int) -> Mistakes:
    """Values of `variance_of_mse` for a mean."""
    upside_down = "You have it upside down: in a mean, a pixel is worth less, so the variance is larger."
    return {
        "You forgot that the mean divides by the number of pixels.": 0.5,
        "The Gaussian divides by 2σ², not by σ².": pixels,
        upside_down: 1 / (2 * pixels),
        "Solve 1/(2σ²) = 1/n for σ².": 2 / pixels,
    }


def gaussian_objective_mistakes(x: Tensor, x_logits: Tensor, sigma2: float) -> Mistakes:
    """Values of the nll of `gaussian_objective`."""
    x_hat = x_logits.sigmoid()
    return {
        "You compared the logits with the pixels; take their sigmoid first.": gaussian_truth(x_logits, x, sigma2),
        "You took the sigmoid twice.": gaussian_truth(x_hat.sigmoid(), x, sigma2),
        "Use the argument sigma2, not the constant SIGMA2.": gaussian_truth(x_hat, x, SIGMA2),
    }


def active_units_mistakes(spread: Sequence[float]) -> Mistakes:
    """Counts of `common_measures` where the dimensions have these standard deviations over six images, around 5."""
    return {
        "Count the dimensions whose variance exceeds 0.01, not the standard deviation.": above(spread, 0.01),
        "Count the dimensions that move over the images, not those whose mean is far from zero.": len(spread),
        "Take the variance over the images, dim=0, not over the dimensions.": 6,
        "Count the dimensions that move, not the images or the silent dimensions.": len(spread) - above(spread, 0.1),
    }


def above(spread: Sequence[float], least: float) -> int:
    """How many of these standard deviations are larger."""
    return sum(value > least for value in spread)


def beta_mistakes(terms: int) -> Mistakes:
    """Values of `beta_of_plain_sum`."""
    return {
        "Divide the whole loss by the number of terms, the KL with it: its weight falls.": terms,
        "The KL's weight changes when the loss is divided.": 1.0,
        "It depends on the number of terms.": 0.5,
    }


def combined_mistakes(x: Tensor, x_logits: Tensor, weight: float, sigma2: float) -> Mistakes:
    """Values of the nll of `combined_objective`."""
    x_hat = x_logits.sigmoid()
    bce, gauss = bce_truth(x_logits, x), gaussian_truth(x_hat, x, sigma2)
    of_logits, squares = gaussian_truth(x_logits, x, sigma2), sse_truth(x_hat, x)

    def mixed(other: Tensor) -> Tensor:
        return weight * bce + (1 - weight) * other

    return {
        "The weights are swapped: `weight` belongs to the BCE.": (1 - weight) * bce + weight * gauss,
        "The Gaussian part has the weight 1 − weight.": weight * bce + gauss,
        "You added the two without weights.": bce + gauss,
        "Use the argument weight, not the constant WEIGHT.": WEIGHT * bce + (1 - WEIGHT) * gauss,
        "Use the argument sigma2, not the constant SIGMA2.": mixed(gaussian_truth(x_hat, x, SIGMA2)),
        "The Gaussian compares pixels with the picture, sigmoid(x_logits).": mixed(of_logits),
        "You weighted the plain squared error; the Gaussian nll was asked for.": mixed(squares),
    }


def input_truth(images: Tensor) -> Tensor:
    """Pixels in [0, 1], channels first: uint8 (n, h, w, 3) -> (n, 3, h, w)."""
    return torch.stack([images[..., channel] for channel in range(3)], dim=1) / 255


def input_mistakes(images: Tensor) -> Mistakes:
    """Values of `to_model_input`."""
    truth = input_truth(images)
    mean, std = (measure(dim=(0, 2, 3), keepdim=True) for measure in (truth.mean, truth.std))
    standardised = "You standardised the images (mean 0, standard deviation 1); the pixels must lie in [0, 1]."
    reshaped = "A reshape keeps the order of the numbers and mixes the colours; permute the axes."
    return {
        "Undo the normalisation to [−1, 1]; the pixels must lie in [0, 1].": 2 * truth - 1,
        "The values still run to 255; divide.": 255 * truth,
        "You divided by 256; white is 255.": truth * 255 / 256,
        reshaped: (images / 255).reshape(truth.shape),
        "Height and width are swapped.": truth.mT.reshape(truth.shape),
        "Red and blue are swapped.": truth.flip(1),
        "The axes are still (n, h, w, c).": images / 255,
        standardised: (truth - mean) / std,
    }


def flat_truth(image_shape: Sequence[int], channels: Sequence[int]) -> int:
    """Channels times height times width after all convolutions of stride 2, as one of them really gives it."""
    image = torch.zeros(1, 1, *image_shape[1:])
    for _ in channels:
        image = F.conv2d(image, torch.zeros(1, 1, 3, 3), stride=2, padding=1)
    return channels[-1] * image.numel()


def flat_mistakes(image_shape: Sequence[int], channels: Sequence[int]) -> Mistakes:
    """Values of `flat_features`."""
    _, h, w = image_shape
    times = 2 ** len(channels)
    return {
        "Halve once for every convolution.": flat_truth(image_shape, channels[1:]),
        "Odd sides are rounded up: 7 → 4.": channels[-1] * (h // times) * (w // times),
        "Height and width may differ.": flat_truth((1, h, h), channels),
        "It is the last convolution's channels that count.": flat_truth(image_shape, [*channels[1:], channels[0]]),
        "The channels are missing.": flat_truth(image_shape, [*channels[1:], 1]),
    }


def waves(cycles: int, width: int, seed: int) -> tuple[Tensor, Tensor]:
    """One wave in each row, of any height, phase and level; and their power, (height · w/2)² and (level · w)²."""
    source = torch.Generator().manual_seed(seed)
    height, phase, level = torch.rand(3, 4, 3, 6, 1, generator=source)
    t = 2 * np.pi * (cycles * torch.arange(width) / width + phase)
    power = torch.zeros(width // 2 + 1)
    power[0], power[cycles] = (width * level).square().mean(), (width / 2 * height).square().mean()
    return height * t.cos() + level, power


def spectrum_mistakes(images: Tensor, power: Tensor) -> Mistakes:
    """Values of `power_spectrum`."""
    transform, rows = torch.fft.rfft(images), (0, 1, 2)
    return {
        "You averaged before you squared: waves of other phases cancel.": transform.mean(dim=rows).abs().square(),
        "You averaged the magnitudes before you squared them.": transform.abs().mean(dim=rows).square(),
        "This is the real part alone; the magnitude has the imaginary part, too.": transform.real.square().mean(rows),
        "The square is missing: this is the magnitude.": transform.abs().mean(dim=rows),
        "This is the root of the mean square; take the mean square.": power.sqrt(),
        "You added up where a mean was asked for.": power * images[..., 0].numel(),
        "This is the spectrum of one row; average over all of them.": transform[0, 0, 0].abs().square(),
    }
