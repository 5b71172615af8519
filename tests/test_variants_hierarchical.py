"""Two layers of latents: their parts against closed forms, the bound against exact integrals where everything is."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from course_utils.variants.hierarchical import BottomUp, Flat, Ladder
from course_utils.variants.layered_loss import combine, kl_between, layered_elbo

KINDS = (Flat, BottomUp, Ladder)


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(mu, logvar):
    return Normal(mu, logvar.mul(0.5).exp())


def pictures(n, seed=0):
    return torch.rand(n, 1, 28, 28, generator=dice(seed))


def four(n=7, d=3):
    return torch.randn(4, n, d, generator=dice(), dtype=torch.float64).unbind()


def test_kl_of_two_gaussians_agrees_with_torch_distributions():
    mu, logvar, mu_p, logvar_p = four()
    assert_close(kl_between(mu, logvar, mu_p, logvar_p), kl_divergence(normal(mu, logvar), normal(mu_p, logvar_p)))


def test_without_a_second_gaussian_the_kl_is_that_to_the_standard_normal():
    mu, logvar, *_ = four()
    expected = kl_divergence(normal(mu, logvar), Normal(torch.zeros_like(mu), 1.0))
    assert_close(kl_between(mu, logvar), expected)


def test_combined_gaussians_are_their_normalised_product():
    mu, logvar, mu_p, logvar_p = four()
    both = normal(*combine(mu, logvar, mu_p, logvar_p))
    z = torch.linspace(-4, 4, 9, dtype=torch.float64)[:, None, None]
    left_over = normal(mu, logvar).log_prob(z) + normal(mu_p, logvar_p).log_prob(z) - both.log_prob(z)
    assert_close(left_over, left_over[:1].expand_as(left_over))  # the same at every z: the normaliser


def test_what_knows_nothing_leaves_the_prior_as_it_is():
    mu, _, mu_p, logvar_p = four()
    got = combine(mu, torch.full_like(mu, 60.0), mu_p, logvar_p)
    assert_close(got, (mu_p, logvar_p))


def test_the_loss_adds_both_layers_and_a_warm_up_weighs_them():
    x, kl, kl_top = pictures(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[0.5], [1.5]])
    logits = torch.zeros_like(x)
    plain, half = layered_elbo(x, logits, kl, kl_top), layered_elbo(x, logits, kl, kl_top, beta=0.5)
    nll = 784 * math.log(2)
    assert_close(plain.loss, torch.tensor([nll + 3.5, nll + 8.5]))
    assert_close(half.loss, torch.tensor([nll + 1.75, nll + 4.25]))
    assert_close((plain.kl, plain.kl_top), (torch.tensor([3.0, 7.0]), torch.tensor([0.5, 1.5])))


def test_free_bits_charge_a_silent_dimension_without_pushing_it():
    """Mean KL .2 and .9 over the batch, .5 free: the first pays the .5, and has no slope."""
    x = pictures(2)
    kl_top = torch.tensor([[0.1, 0.8], [0.3, 1.0]], requires_grad=True)
    got = layered_elbo(x, torch.zeros_like(x), torch.zeros(2, 1), kl_top, free=0.5)
    assert_close(got.loss, torch.full((2,), 784 * math.log(2) + 0.5 + 0.9))
    got.loss.mean().backward()
    assert_close(kl_top.grad, torch.tensor([[0.0, 0.5], [0.0, 0.5]]))


def test_all_three_have_as_many_parameters():
    counts = [sum(p.numel() for p in build().parameters()) for build in (Flat, BottomUp, lambda: Ladder(hidden=174))]
    assert max(counts) / min(counts) < 1.01


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_and_that_every_parameter_learns(kind):
    model, x = kind(), pictures(5)
    output = model(x, dice())
    assert output.x_logits.shape == x.shape
    assert output.kl.shape == (5, 20)
    assert output.kl_top.shape == (5, 0 if kind is Flat else 10)
    layered_elbo(x, *output).loss.sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_and_codes_of_another_shape_are_refused_in_words(kind):
    with pytest.raises(ValueError, match="Expected a float batch"):
        kind()(torch.zeros(2, 1, 32, 32))
    with pytest.raises(ValueError, match="latent vectors"):
        kind().decode(torch.zeros(2, 3))


def one_line(kind):
    """A hierarchy with linear layers in which p(z) is Gaussian in closed form: z = 2 z_top + noise of variance 1/4."""
    model = kind(hidden=4, latent_dim=1, top_dim=1, inner=3)
    model.down = nn.Linear(1, 2)
    with torch.no_grad():
        model.down.weight.copy_(torch.tensor([[2.0], [0.0]]))
        model.down.bias.copy_(torch.tensor([0.0, math.log(0.25)]))
    return model


@pytest.mark.parametrize("kind", [BottomUp, Ladder])
def test_draws_come_from_above(kind):
    z = one_line(kind).draw(200_000, dice())
    assert z.shape == (200_000, 1)
    assert_close(z.mean().item(), 0.0, atol=0.02, rtol=0)
    assert_close(z.var().item(), 4.25, atol=0.06, rtol=0)


def test_with_the_exact_upper_posterior_the_bottom_up_rate_is_the_flat_one_under_the_marginal():
    """E[log q(z|x) - log p(z|z_top) + KL(q(z_top|z) || p(z_top))] = KL(q(z|x) || N(0, 4.25)) in this linear world."""
    model, x = one_line(BottomUp), pictures(1)
    model.up = nn.Linear(1, 2)
    gain = 2 * 1 / (4 + 0.25)  # posterior of z_top given z: mean gain z, variance 1 - 2 gain
    with torch.no_grad():
        model.up.weight.copy_(torch.tensor([[gain], [0.0]]))
        model.up.bias.copy_(torch.tensor([0.0, math.log(1 - 2 * gain)]))
        mu, logvar = model.heads(model.features(x)).chunk(2, dim=1)
        output = model(x.expand(100_000, -1, -1, -1), dice())
    rate = (output.kl.sum(dim=1) + output.kl_top.sum(dim=1)).mean()
    exact = kl_divergence(normal(mu, logvar), Normal(0.0, math.sqrt(4.25)))
    assert_close(rate, exact.squeeze(), atol=0.02, rtol=0)


def test_the_ladder_keeps_the_prior_where_the_image_says_nothing():
    """Bottom-up log-variance +60: what remains is p(z | z_top), and nothing is paid below."""
    model = one_line(Ladder)
    with torch.no_grad():
        model.heads.weight.zero_()
        model.heads.bias.copy_(torch.tensor([5.0, 60.0]))
        output = model(pictures(50), dice())
    assert_close(output.kl, torch.zeros(50, 1), atol=1e-5, rtol=0)


def test_a_ladder_without_an_upper_layer_is_the_flat_rate():
    """Where p(z | z_top) = N(0, I) whatever z_top, the KL below is that of the product against N(0, I)."""
    model, x = one_line(Ladder), pictures(3)
    with torch.no_grad():
        model.down.weight.zero_()
        model.down.bias.zero_()
        mu, logvar = model.heads(model.features(x)).chunk(2, dim=1)
        got = model(x, dice()).kl
    precision = 1 + (-logvar).exp()
    expected = kl_divergence(Normal(mu * (-logvar).exp() / precision, precision**-0.5), Normal(0.0, 1.0))
    assert_close(got, expected)
