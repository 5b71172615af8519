"""The objective's terms against torch.distributions, quadrature, finite differences and cases done by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.distributions import Bernoulli, Normal, kl_divergence

from course_utils.objectives import (
    bernoulli_nll,
    gaussian_kl,
    gaussian_nll,
    implied_variance,
    negative_elbo,
    reparameterize,
)

moderate = st.floats(-8, 8, width=32)
latents = arrays(np.float32, (3, 5), elements=moderate).map(torch.from_numpy)
logits = arrays(np.float32, (2, 1, 4, 4), elements=st.floats(-30, 30, width=32)).map(torch.from_numpy)
images = arrays(np.float32, (2, 1, 4, 4), elements=st.floats(0, 1, width=32)).map(torch.from_numpy)


def kl_by_quadrature(mu: float, logvar: float) -> float:
    """KL(q || N(0, 1)) in one dimension by Gauss-Hermite quadrature, exact for the quadratic log ratio."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    z = mu + math.exp(0.5 * logvar) * nodes
    log_ratio = -0.5 * logvar - 0.5 * nodes**2 + 0.5 * z**2
    return float(weights @ log_ratio / weights.sum())


@given(latents, latents)
def test_kl_agrees_with_torch_distributions(mu, logvar):
    oracle = kl_divergence(Normal(mu.double(), (0.5 * logvar.double()).exp()), Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(gaussian_kl(mu.double(), logvar.double()), oracle, rtol=1e-9, atol=1e-9)


@given(moderate, moderate)
def test_kl_agrees_with_quadrature(mu, logvar):
    got = gaussian_kl(torch.tensor([[mu]], dtype=torch.float64), torch.tensor([[logvar]], dtype=torch.float64))
    assert got.item() == pytest.approx(kl_by_quadrature(mu, logvar), rel=1e-9, abs=1e-9)


@given(latents, latents)
def test_kl_is_never_negative(mu, logvar):
    assert (gaussian_kl(mu, logvar) >= 0).all()


@pytest.mark.parametrize("logvar", [1e-4, -1e-4, 1e-3])
def test_kl_keeps_its_digits_near_the_prior(logvar):
    got = gaussian_kl(torch.zeros(1, 1), torch.tensor([[logvar]])).item()
    exact = 0.5 * (math.expm1(logvar) - logvar)
    assert got == pytest.approx(exact, rel=1e-2)  # exp(logvar) - 1 - logvar in float32 is off by 100 %


def test_kl_at_the_extremes():
    small, large = (
        gaussian_kl(torch.zeros(1, 1), torch.tensor([[-200.0]])),
        gaussian_kl(torch.zeros(1, 1), torch.tensor([[200.0]])),
    )
    assert small.item() == pytest.approx(0.5 * (200 - 1))
    assert large.item() == math.inf


def test_kl_of_a_known_case_by_hand():
    mu, logvar = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, math.log(4.0)]])
    assert gaussian_kl(mu, logvar).item() == pytest.approx(0.5 * 1 + 0.5 * (4 - 1 - math.log(4)))


def test_kl_gradients_by_finite_differences():
    mu, logvar = (torch.randn(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(gaussian_kl, (mu, logvar))


@given(logits, images)
def test_bernoulli_nll_agrees_with_probabilities_in_double(x_logits, x):
    p = x_logits.double().sigmoid().clamp(1e-300, 1)
    q = (-x_logits.double()).sigmoid().clamp(1e-300, 1)
    oracle = -(x.double() * p.log() + (1 - x.double()) * q.log()).flatten(1).sum(dim=1)
    torch.testing.assert_close(bernoulli_nll(x_logits, x).double(), oracle, rtol=1e-5, atol=1e-4)


def test_bernoulli_nll_of_binary_pixels_is_a_log_probability():
    x_logits, x = torch.randn(4, 1, 3, 3), torch.randint(2, (4, 1, 3, 3)).float()
    oracle = -Bernoulli(logits=x_logits).log_prob(x).sum(dim=(1, 2, 3))
    torch.testing.assert_close(bernoulli_nll(x_logits, x), oracle)


@given(images)
def test_the_floor_of_grey_pixels_is_their_entropy(x):
    x = x.double().clamp(1e-6, 1 - 1e-6)
    entropy = -(x * x.log() + (1 - x) * (1 - x).log()).flatten(1).sum(dim=1)
    torch.testing.assert_close(bernoulli_nll(x.logit(), x), entropy)
    assert (bernoulli_nll(x.logit() + 0.3, x) > entropy).all()


def test_lecture_numbers_for_one_grey_pixel():
    x = torch.full((1, 1, 1, 1), 0.8)
    losses = [bernoulli_nll(torch.full_like(x, p).logit(), x).item() for p in (0.7, 0.9)]
    assert [round(loss, 4) for loss in losses] == [0.5261, 0.5448]


@given(images, images, st.floats(0.01, 10))
def test_gaussian_nll_agrees_with_torch_distributions(x_hat, x, sigma2):
    oracle = -Normal(x_hat.double(), math.sqrt(sigma2)).log_prob(x.double()).sum(dim=(1, 2, 3))
    torch.testing.assert_close(gaussian_nll(x_hat.double(), x.double(), sigma2), oracle)


@pytest.mark.parametrize("sigma2", [0.0, -1.0, math.nan])
def test_gaussian_nll_refuses_what_is_no_variance(sigma2):
    with pytest.raises(ValueError, match="sigma2 is a variance and must be positive"):
        gaussian_nll(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), sigma2)


@given(latents, latents, st.floats(0, 10))
def test_negative_elbo_is_the_sum_of_its_parts(mu, logvar, beta):
    x, x_logits = torch.rand(3, 1, 2, 2), torch.randn(3, 1, 2, 2)
    parts = negative_elbo(x, x_logits, mu, logvar, beta=beta)
    torch.testing.assert_close(parts.loss, bernoulli_nll(x_logits, x) + beta * gaussian_kl(mu, logvar))
    assert all(part.shape == (3,) for part in parts)


def test_negative_elbo_with_sigma2_uses_the_gaussian_likelihood():
    x, x_logits, zeros = torch.rand(3, 1, 2, 2), torch.randn(3, 1, 2, 2), torch.zeros(3, 4)
    parts = negative_elbo(x, x_logits, zeros, zeros, sigma2=0.1)
    torch.testing.assert_close(parts.nll, -Normal(x_logits.sigmoid(), math.sqrt(0.1)).log_prob(x).sum(dim=(1, 2, 3)))
    assert parts.kl.tolist() == [0, 0, 0]


@pytest.mark.parametrize(("weight", "sigma2"), [(0.5, 1.0), (1.0, 0.5), (1 / 784, 392.0)])
def test_implied_variance_gives_the_gradient_of_the_gaussian_elbo(weight, sigma2):
    assert implied_variance(weight) == pytest.approx(sigma2)
    x_hat, x = torch.rand(2, 1, 28, 28, dtype=torch.float64, requires_grad=True), torch.rand(2, 1, 28, 28)
    (by_weight,) = torch.autograd.grad(weight * (x_hat - x).square().sum(), x_hat)
    (by_nll,) = torch.autograd.grad(gaussian_nll(x_hat, x.double(), implied_variance(weight)).sum(), x_hat)
    torch.testing.assert_close(by_weight, by_nll)


def test_implied_variance_refuses_a_weight_of_zero():
    with pytest.raises(ValueError, match="must be positive"):
        implied_variance(0.0)


def test_reparameterize_has_the_right_moments_and_one_draw_per_image():
    mu, logvar = torch.tensor([[1.0, -2.0]]).expand(200_000, 2), torch.tensor([[0.0, math.log(9.0)]]).expand(200_000, 2)
    z = reparameterize(mu, logvar, torch.Generator().manual_seed(0))
    torch.testing.assert_close(z.mean(dim=0), torch.tensor([1.0, -2.0]), atol=0.04, rtol=0)
    torch.testing.assert_close(z.var(dim=0), torch.tensor([1.0, 9.0]), atol=0.15, rtol=0)
    assert z[0, 0] != z[1, 0]


def test_reparameterize_passes_gradients_and_repeats_with_its_generator():
    mu, logvar = torch.zeros(4, 3, requires_grad=True), torch.zeros(4, 3, requires_grad=True)
    z = reparameterize(mu, logvar, torch.Generator().manual_seed(1))
    z.sum().backward()
    torch.testing.assert_close(mu.grad, torch.ones(4, 3))
    torch.testing.assert_close(logvar.grad, 0.5 * z.detach())
    torch.testing.assert_close(reparameterize(mu, logvar, torch.Generator().manual_seed(1)), z)


@pytest.mark.parametrize("function", [gaussian_kl, bernoulli_nll, lambda a, b: gaussian_nll(a, b, 1.0)])
def test_shapes_that_would_broadcast_are_refused(function):
    with pytest.raises(ValueError, match="must have the same shape"):
        function(torch.zeros(4, 3), torch.zeros(4, 1))
