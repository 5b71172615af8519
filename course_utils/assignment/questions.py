"""What Assignment 4 asks about functions: for each question a check, with the case that students see.

A check is called with the student's function, and while marking again with other numbers. It returns PASSED, or stops
with one sentence.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.assignment import truths
from course_utils.assignment.answers import PASSED, answer_of, check, check_either, check_parts, check_that
from course_utils.assignment.plan import RUNS
from course_utils.assignment.truths import (
    bce_truth,
    gaussian_constant,
    gaussian_truth,
    kl_truth,
    sse_truth,
)
from course_utils.models import VAE, ConvVAE

IN_PLACE = "your function changed {} in place; leave its inputs alone."
DRAWS = 20_000
MEASURES = ("bce", "sse", "kl", "negative_elbo", "active_units")
COLOUR_SHAPE = RUNS["cifar10"].image_shape
MIN_LATENT_DIM, MAX_RUN_MEGABYTES = 20, 8

Answer = Callable[..., Any]


def check_student_number(answer: Answer) -> str:
    """A whole number above zero."""
    number = answer_of("student_number", answer)
    sentence = "return a positive whole number, without quotes."
    check_that("student_number", lambda: type(number) is int and number > 0, sentence)
    return PASSED


# Task 1: the sample


def check_gradient(answer: Answer) -> str:
    """A tensor through which gradients reach mu, with 1, and logvar."""
    mu, logvar = torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 3, requires_grad=True)
    z = answer_of("sample_latent", lambda: answer(mu, logvar))
    check_that("sample_latent", lambda: torch.is_tensor(z), f"return a torch tensor, not {type(z).__name__}.")
    to_mu, to_logvar = answer_of("sample_latent", lambda: gradients(answer, mu, logvar))
    sentence = "no gradient reaches mu and logvar; the encoder could not learn."
    check_that("sample_latent", lambda: to_mu is not None and to_logvar is not None, sentence)
    check("sample_latent, gradient of z with respect to mu", lambda: to_mu, torch.ones(2, 3))
    return PASSED


def check_fresh_noise(answer: Answer, batch: int = 4, d: int = 3, seed: int = 0) -> str:
    """Noise of its own for every image and dimension, the same from generators of the same seed only."""

    def draw(seed: int) -> Tensor:
        return answer(torch.zeros(batch, d), torch.ones(batch, d), _generator(seed))

    z = answer_of("sample_latent", lambda: draw(seed))
    expected, shared = f"expected shape {(batch, d)}, got {tuple(np.shape(z))}.", "draw it in the shape of mu."
    for fine, sentence in (
        (lambda: tuple(z.shape) == (batch, d), expected),
        (lambda: len(z.unique()) > 1, "all values of z are equal: draw noise, and as much as mu has numbers."),
        (lambda: len(z.unique(dim=0)) == batch, f"two images got the same noise: {shared}"),
        (lambda: len(z.unique(dim=1)[0]) == d, f"two dimensions got the same noise: {shared}"),
        (lambda: len(z.unique()) == z.numel(), f"some dimensions share their noise: {shared}"),
        (lambda: torch.equal(draw(seed), z), "the same generator must give the same z: pass `generator` on."),
        (lambda: not torch.equal(draw(seed + 1), z), "another generator must give another z."),
    ):
        check_that("sample_latent", fine, sentence)
    return PASSED


def check_spread(answer: Answer, mean: float = 3.0, logvar: float = 2.0, seed: int = 0) -> str:
    """Mean and standard deviation of many samples from a latent dimension with this mean and log-variance."""
    truth, mistakes = [mean, np.exp(logvar / 2)], truths.spread_mistakes(mean, logvar)
    name = "sample_latent, mean and standard deviation"
    check(name, lambda: _spread(answer, mean, logvar, seed), truth, mistakes, rtol=0.05)
    given = torch.tensor([[1.0, mean]]), torch.tensor([[0.5, logvar]])
    kept = copies(*given)
    answer_of("sample_latent", lambda: answer(*given))
    check_that("sample_latent", lambda: _all_equal(given, kept), IN_PLACE.format("mu or logvar"))
    return PASSED


def _spread(answer: Answer, mean: float, logvar: float, seed: int) -> list[Tensor]:
    """As one image or as one dimension, whichever varies more: noise that is shared is a question of its own."""
    source = _generator(seed)
    drawn = [answer(torch.full(shape, mean), torch.full(shape, logvar), source) for shape in ((DRAWS, 1), (1, DRAWS))]
    z = max(drawn, key=torch.std)
    return [z.mean(), z.std()]


# Task 1: KL, BCE, and the objective


def check_kl_shape(answer: Answer, batch: int = 3, d: int = 2) -> str:
    """One number per image."""
    zeros = torch.zeros(batch, d)
    got = tuple(np.shape(answer_of("kl_per_image", lambda: answer(*copies(zeros, zeros)))))
    told = {
        (): "Your KL is summed or averaged over the batch",
        (d,): "You added up over the batch, not over the dimensions",
        (batch, d): "Your KL is not summed over the dimensions",
    }
    sentence = f"{told.get(got, 'Wrong shape')}: expected shape (batch,) = ({batch},), got {got}."
    check_that("kl_per_image", lambda: got == (batch,), sentence)
    return PASSED


def check_kl_values(answer: Answer, batch: int = 2, d: int = 4, scale: float = 1.0, seed: int = 1) -> str:
    """The right nats for random numbers of this size and for the prior itself; inputs stay as they are."""
    mu, logvar = (scale * part for part in _normal(seed, 2, batch, d))
    given = copies(mu, logvar)
    check("kl_per_image", lambda: answer(*given), kl_truth(mu, logvar), truths.kl_mistakes(mu, logvar))
    check_that("kl_per_image", lambda: _all_equal(given, (mu, logvar)), IN_PLACE.format("mu or logvar"))
    zeros = torch.zeros(batch, d)
    check("kl_per_image of the prior itself", lambda: answer(*copies(zeros, zeros)), torch.zeros(batch))
    return PASSED


def check_bce_values(answer: Answer, shape: Sequence[int] = (3, 1, 4, 4), seed: int = 4) -> str:
    """The right nats for black, white and grey pixels."""
    x_logits, noise = 2 * _normal(seed, 2, *shape)
    x, grey = (noise > 0).float(), torch.full(tuple(shape), 0.5)
    mistakes = truths.bce_mistakes(x_logits, x)
    check("bce_per_image", lambda: answer(*copies(x_logits, x)), bce_truth(x_logits, x), mistakes)
    truth = torch.full((len(x),), x[0].numel() * np.log(2))
    check("bce_per_image of grey pixels", lambda: answer(torch.zeros_like(grey), grey), truth)
    return PASSED


def check_bce_extremes(answer: Answer, logit: float = 300.0) -> str:
    """The loss of a pixel on the wrong side grows with its logit, however large: `logit` against 10."""

    def growth() -> Tensor:
        small, large = (answer(torch.full((1, 1, 2, 2), size), torch.zeros(1, 1, 2, 2)) for size in (10.0, logit))
        return large.sum() / small.sum()

    too_late = "You applied the sigmoid yourself: at 0 or 1 its logarithm is cut off. Use the function with logits."
    check(f"bce_per_image of a logit of {logit:g}", growth, logit / 10, {too_late: 10.0}, rtol=1e-3)
    return PASSED


def check_bce_objective(answer: Answer, own_bce: Answer, own_kl: Answer, channels: int = 1, seed: int = 5) -> str:
    """Loss, nll and kl of three images; a mistake in the student's own `own_bce` or `own_kl` counts there alone."""
    x, x_logits, mu, logvar = three_images(channels, seed)
    nll = [lambda: bce_truth(x_logits, x), lambda: own_bce(*copies(x_logits, x))]
    check_parts("bce_objective", lambda: answer(*copies(x, x_logits, mu, logvar)), nll, _kls(mu, logvar, own_kl))
    return PASSED


# Task 2: the squared error, its variance, and the measures


def check_sse(answer: Answer, shape: Sequence[int] = (2, 1, 2, 2), seed: int = 6) -> str:
    """The sum of squares of each image."""
    x_hat, x = _uniform(seed, 2, *shape)
    truth = sse_truth(x_hat, x)
    check("sse_per_image", lambda: answer(*copies(x_hat, x)), truth, truths.sse_mistakes(truth, x[0].numel()))
    return PASSED


def check_gaussian_nll(
    answer: Answer, own_sse: Answer, sigma2: float = 0.2, shape: Sequence[int] = (3, 1, 4, 4), seed: int = 7
) -> str:
    """Both terms of the density; a mistake in the student's own `own_sse` counts there alone."""
    x_hat, x = _uniform(seed, 2, *shape)

    def with_own_squares() -> Tensor:
        return own_sse(*copies(x_hat, x)) / (2 * sigma2) + gaussian_constant(x, sigma2)

    right = [lambda: gaussian_truth(x_hat, x, sigma2), with_own_squares]
    mistakes = truths.gaussian_mistakes(x_hat, x, sigma2)
    check_either("gaussian_nll_per_image", lambda: answer(*copies(x_hat, x), sigma2), right, mistakes)
    return PASSED


def check_variance_of_sum(answer: Answer, pixels: int = 784) -> str:
    """The variance behind a sum of squared errors."""
    check("variance_of_mse of a sum", lambda: answer("sum", pixels), 0.5, truths.variance_of_sum_mistakes(pixels))
    return PASSED


def check_variance_of_mean(answer: Answer, pixels: int = 784) -> str:
    """The variance behind a mean of squared errors."""
    mistakes = truths.variance_of_mean_mistakes(pixels)
    check("variance_of_mse of a mean", lambda: answer("mean", pixels), pixels / 2, mistakes)
    return PASSED


def check_gaussian_objective(
    answer: Answer, own_nll: Answer, own_kl: Answer, sigma2: float = 0.1, channels: int = 1, seed: int = 8
) -> str:
    """Loss, nll and kl of three images; a mistake in the student's own `own_nll` or `own_kl` counts there alone."""
    x, x_logits, mu, logvar = three_images(channels, seed)
    x_hat, given = x_logits.sigmoid(), copies(x, x_logits, mu, logvar)
    nll = [lambda: gaussian_truth(x_hat, x, sigma2), lambda: own_nll(*copies(x_hat, x), sigma2)]
    mistakes = truths.gaussian_objective_mistakes(x, x_logits, sigma2)
    check_parts("gaussian_objective", lambda: answer(*given, sigma2), nll, _kls(mu, logvar, own_kl), mistakes)
    kept = _all_equal(given[:2], (x, x_logits))
    check_that("gaussian_objective", lambda: kept, IN_PLACE.format("x or x_logits"))
    return PASSED


def check_measures(
    answer: Answer, own_bce: Answer, own_sse: Answer, own_kl: Answer, batch: int = 2, seed: int = 10
) -> str:
    """The measures by name; a mistake in the student's own functions counts there alone."""
    given = _images(batch, 1, 4, 3, seed)
    x, x_logits, mu, logvar = given
    x_hat = x_logits.sigmoid()
    measured = answer_of("common_measures", lambda: answer(*copies(*given)))
    missing = answer_of("common_measures", lambda: [name for name in MEASURES if name not in measured])
    check_that("common_measures", lambda: not missing, f"{', '.join(missing)} is missing in what you return.")
    of_logits = "Take the error of the picture, sigmoid(x_logits), not of the logits."
    mistakes = {of_logits: sse_truth(x_logits, x).mean()}
    _check_mean("bce", measured, bce_truth(x_logits, x), lambda: own_bce(*copies(x_logits, x)))
    _check_mean("sse", measured, sse_truth(x_hat, x), lambda: own_sse(*copies(x_hat, x)), mistakes)
    _check_mean("kl", measured, kl_truth(mu, logvar), lambda: own_kl(*copies(mu, logvar)))
    bce, kl, total = (measured[name] for name in ("bce", "kl", "negative_elbo"))
    check("common_measures, negative_elbo", lambda: total, bce + kl, {"The −ELBO is BCE plus KL.": bce - kl})
    return PASSED


def _check_mean(
    name: str,
    measured: Mapping[str, Any],
    truth: Tensor,
    own: Callable[[], Tensor],
    mistakes: truths.Mistakes | None = None,
) -> None:
    told = {**(mistakes or {}), "Take the average over the images, not the sum.": truth.sum()}
    answers = [truth.mean, lambda: own().mean()]
    check_either(f"common_measures, {name}", lambda: measured[name], answers, told)


def check_active_units(answer: Answer, spread: Sequence[float] = (1.0, 0.0, 0.05, 0.2)) -> str:
    """The count for posterior means whose standard deviations over six images are these, around 5."""
    signs = torch.tensor([-1.0, 1.0]).repeat(3)[:, None]
    mu = signs * torch.tensor(spread) * (5 / 6) ** 0.5 + 5
    black = torch.zeros(6, 1, 2, 2)

    def count() -> Any:
        return answer(*copies(black, black, mu, torch.zeros_like(mu)))["active_units"]

    check("common_measures, active_units", count, truths.above(spread, 0.1), truths.active_units_mistakes(spread))
    return PASSED


# Task 3: the mixture


def check_ends(
    answer: Answer, own_bce: Answer, own_nll: Answer, own_kl: Answer, weight: float = 1.0, **case: Any
) -> str:
    """`check_mix` with nothing but the BCE, or nothing but the Gaussian."""
    return check_mix(answer, own_bce, own_nll, own_kl, weight, **case)


def check_mix(
    answer: Answer,
    own_bce: Answer,
    own_nll: Answer,
    own_kl: Answer,
    weight: float = 0.25,
    sigma2: float = 0.1,
    channels: int = 1,
    seed: int = 12,
) -> str:
    """Loss, nll and kl of three images; a mistake in the student's own functions counts there alone."""
    x, x_logits, mu, logvar = three_images(channels, seed)
    x_hat = x_logits.sigmoid()

    def mixed(bce: Tensor, gauss: Tensor) -> Tensor:
        return weight * bce + (1 - weight) * gauss

    nll = [
        lambda: mixed(bce_truth(x_logits, x), gaussian_truth(x_hat, x, sigma2)),
        lambda: mixed(own_bce(*copies(x_logits, x)), own_nll(*copies(x_hat, x), sigma2)),
    ]
    given, mistakes = copies(x, x_logits, mu, logvar), truths.combined_mistakes(x, x_logits, weight, sigma2)
    kl = _kls(mu, logvar, own_kl)
    check_parts("combined_objective", lambda: answer(*given, weight, sigma2), nll, kl, mistakes)
    return PASSED


def check_beta(answer: Answer, terms: int = 2) -> str:
    """The weight of the KL beside the average of so many terms."""
    check("beta_of_plain_sum", lambda: answer(terms), 1 / terms, truths.beta_mistakes(terms))
    return PASSED


# Task 4: colour


def check_model_input(answer: Answer, shape: Sequence[int] = (2, 4, 4)) -> str:
    """Channels first, in [0, 1], for images of this shape (n, h, w)."""
    numbers = torch.arange(3 * math.prod(shape)) * 7 % 256
    images = numbers.reshape(*shape, 3).to(torch.uint8)
    check("to_model_input", lambda: answer(images.clone()), truths.input_truth(images), truths.input_mistakes(images))
    return PASSED


def check_flat_features(
    answer: Answer, image_shape: Sequence[int] = (1, 28, 28), channels: Sequence[int] = (32, 64)
) -> str:
    """The inputs of the linear layer behind these convolutions."""
    mistakes = truths.flat_mistakes(image_shape, channels)
    check("flat_features", lambda: answer(image_shape, channels), truths.flat_truth(image_shape, channels), mistakes)
    return PASSED


def check_cifar_arguments(answer: Answer) -> str:
    """A network that takes and gives CIFAR-10's images, large enough to be of use and small enough to be handed in."""
    network: VAE = answer_of("cifar_arguments", lambda: ConvVAE(**dict(answer())))
    d, megabytes = network.latent_dim, 2e-6 * sum(weights.numel() for weights in network.parameters())
    too_large = f"the file of the run would have {megabytes:.1f} MB, expected less than {MAX_RUN_MEGABYTES}."
    for fine, sentence in (
        (network.image_shape == COLOUR_SHAPE, f"image_shape must be {COLOUR_SHAPE}: channels first."),
        (d >= MIN_LATENT_DIM, f"natural images need at least the digits' {MIN_LATENT_DIM} latent dimensions."),
        (megabytes < MAX_RUN_MEGABYTES, f"{too_large} Take fewer channels or dimensions."),
    ):
        check_that("cifar_arguments", partial(bool, fine), sentence)
    shapes = [tuple(part.shape) for part in network(torch.rand(2, *COLOUR_SHAPE))]
    expected = [(2, *COLOUR_SHAPE), (2, d), (2, d)]
    check_that("cifar_arguments", lambda: shapes == expected, f"the network returns {shapes}.")
    return PASSED


def check_spectrum(answer: Answer, cycles: int = 3, width: int = 16, seed: int = 0) -> str:
    """The power of rows that are one wave each."""
    images, power = truths.waves(cycles, width, seed)
    mistakes = truths.spectrum_mistakes(images, power)
    check("power_spectrum", lambda: answer(images.clone()), power, mistakes, rtol=1e-3)
    return PASSED


# What several questions are asked with


def gradients(answer: Answer, *arguments: Any) -> list[Tensor | None]:
    """d sum(answer(*arguments)) / d argument for each that requires one, as numbers; None where no gradient reaches it.

    Of several values the first counts. A function that is far off, as in marking, is asked there: no graph crosses.
    """
    far_off = getattr(answer, "gradients", None)
    return gradients_here(answer, *arguments) if far_off is None else far_off(*arguments)


def gradients_here(answer: Answer, *arguments: Any) -> list[Tensor | None]:
    """What `gradients` gives, where the function is."""
    value, wanted = answer(*arguments), [part for part in arguments if torch.is_tensor(part) and part.requires_grad]
    value = value[0] if isinstance(value, tuple) else value
    if not (torch.is_tensor(value) and value.requires_grad):
        return [None] * len(wanted)
    return list(torch.autograd.grad(value.sum(), wanted, allow_unused=True))


def copies(*tensors: Tensor) -> list[Tensor]:
    """For functions that change what they are given: that is a mistake in one question only."""
    return [tensor.clone() for tensor in tensors]


def three_images(channels: int, seed: int) -> list[Tensor]:
    """x, logits, mu and logvar of three images: three of everything, so that a wrong shape is not yet an error."""
    return _images(3, channels, 3, 3, seed)


def _images(batch: int, channels: int, side: int, d: int, seed: int) -> list[Tensor]:
    source = _generator(seed)
    x, x_logits = torch.randn(2, batch, channels, side, side, generator=source)
    mu, logvar = torch.randn(2, batch, d, generator=source)
    return [(x > 0).float(), x_logits, mu, logvar]


def _kls(mu: Tensor, logvar: Tensor, own_kl: Answer) -> list[Callable[[], Tensor]]:
    return [lambda: kl_truth(mu, logvar), lambda: own_kl(*copies(mu, logvar))]


def _all_equal(given: Sequence[Tensor], kept: Sequence[Tensor]) -> bool:
    return all(map(torch.equal, given, kept))


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=_generator(seed))


def _uniform(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=_generator(seed))
