"""Diffusion, its bound and flow matching, against Gaussian data, for which everything is known in closed form."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence
from torch.testing import assert_close

from course_utils.training import fit
from course_utils.variants.averaging import Averaged
from course_utils.variants.denoisers import CodeNetwork, UNet
from course_utils.variants.diffusion import Diffusion, sample, squared_error
from course_utils.variants.diffusion_bound import bound, grey_level_nats, prior_nats, step_nats
from course_utils.variants.flow_matching import Flow, carry

MEAN = torch.tensor([0.5, -1.0], dtype=torch.float64)
COVARIANCE = torch.tensor([[1.0, 0.6], [0.6, 0.5]], dtype=torch.float64)
GAUSSIAN = MultivariateNormal(MEAN, COVARIANCE)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


class Exact(nn.Module):
    """v of Gaussian data N(MEAN, COVARIANCE), by conditioning the joint Gaussian of x_0, eps and x_t."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.model = [Diffusion(nn.Identity(), steps)]  # in a list: no sub-module

    def forward(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        phi = self.model[0].angle((t * self.model[0].steps).round())[:, None]
        cos, sin, eye = phi.cos(), phi.sin(), torch.eye(2, dtype=torch.float64)
        total = cos[..., None] ** 2 * COVARIANCE + sin[..., None] ** 2 * eye
        surprise = torch.linalg.solve(total, x_t.double() - cos * MEAN)
        x0, eps = MEAN + cos * surprise @ COVARIANCE, sin * surprise
        return cos * eps - sin * x0


class ExactFlow(nn.Module):
    """The mean velocity x_0 - eps given y_t = (1 - t) eps + t x_0, for the same data."""

    def forward(self, y: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        share, eye = t[0].double(), torch.eye(2, dtype=torch.float64)
        total = share**2 * COVARIANCE + (1 - share) ** 2 * eye
        with_velocity = share * COVARIANCE - (1 - share) * eye
        return MEAN + (y - share * MEAN) @ torch.linalg.solve(total, with_velocity)


def moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x.mean(dim=0), torch.cov(x.T)


def data(n: int, generator: torch.Generator) -> torch.Tensor:
    noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    return MEAN + noise @ torch.linalg.cholesky(COVARIANCE).T


def test_the_forward_marginal_is_the_chain_of_single_steps(generator):
    model, x0, n = Diffusion(nn.Identity(), 4), torch.tensor([2.0, -1.0], dtype=torch.float64), 40_000
    x = x0.expand(n, 2)
    for t in range(1, 5):
        cos = model.angle(torch.tensor([t - 1, t])).cos()
        keep = cos[1] / cos[0]
        x = keep * x + (1 - keep**2).sqrt() * torch.randn(n, 2, generator=generator, dtype=torch.float64)
        eps = torch.randn(n, 2, generator=generator, dtype=torch.float64)
        at_once = model.noised(x0.expand(n, 2), torch.full((n,), t), eps)
        assert_close(moments(x), moments(at_once), atol=0.03, rtol=0)


def test_the_posterior_is_bayes_rule_on_a_grid():
    model, x0, x_t = Diffusion(nn.Identity(), 5), torch.tensor([[0.7]]).double(), torch.tensor([[-0.4]]).double()
    t, s = torch.tensor([4]), torch.tensor([2])
    (cos_s, cos_t), (sin_s, sin_t) = (f(model.angle(torch.tensor([2, 4]))) for f in (torch.cos, torch.sin))
    x_s, alpha = torch.linspace(-6, 6, 20_001).double(), cos_t / cos_s
    log = Normal(cos_s * x0[0], sin_s).log_prob(x_s)
    log = log + Normal(alpha * x_s, (sin_t**2 - alpha**2 * sin_s**2).sqrt()).log_prob(x_t[0])
    share = log.softmax(dim=0)
    mean, variance = model.posterior(x0, x_t, t, s)
    assert_close(mean.item(), float(share @ x_s), rtol=1e-6, atol=1e-6)
    assert_close(variance.item(), float(share @ (x_s - mean[0]) ** 2), rtol=1e-6, atol=1e-6)


def test_noise_and_x0_follow_from_v(generator):
    class True_(nn.Module):
        def forward(self, x_t, t):
            return torch.zeros_like(x_t)

    model = Diffusion(True_(), 10)
    x0, eps, t = data(6, generator), data(6, generator), torch.arange(1, 7)
    cos, sin = (f(model.angle(t))[:, None] for f in (torch.cos, torch.sin))
    model.network.forward = lambda x_t, time: cos * eps - sin * x0
    assert_close(model.predicted(model.noised(x0, t, eps), t), (x0, eps))


def test_exact_steps_sample_exactly(generator):
    model = Diffusion(Exact(300), 300)
    for noisy in (True, False):
        noise = torch.randn(8_000, 2, generator=generator).double()
        x = sample(model, noise, steps=300, generator=generator if noisy else None)
        assert_close(moments(x), (MEAN, COVARIANCE), atol=0.06, rtol=0)


def test_the_bound_is_the_entropy_but_for_the_steps(generator):
    """E[-log p] under the data is at least their entropy, and comes close when steps are many."""
    x, gaps = data(4_000, generator), []
    for steps in (10, 100, 4_000):
        model = Diffusion(Exact(steps), steps)
        sigma = math.sin(model.first) * 0.99995
        parts = bound(model, x, generator, sigma=sigma)
        assert_close(parts.bound, parts.prior + parts.steps + parts.decoder)
        gaps.append(float((parts.bound + GAUSSIAN.log_prob(x)).mean()))
    assert gaps[0] > gaps[1] > gaps[2] > -0.1
    assert gaps[2] < 0.15


def test_prior_and_step_are_kls_of_gaussians(generator):
    model, x0 = Diffusion(Exact(6), 6), data(5, generator)
    cos, sin = (f(model.angle(torch.tensor([6]))) for f in (torch.cos, torch.sin))
    expected = kl_divergence(Normal(cos * x0, sin), Normal(torch.zeros(2).double(), torch.ones(2).double())).sum(dim=1)
    assert_close(prior_nats(model, x0), expected)
    t, eps = torch.tensor([2, 3, 4, 5, 6]), data(5, generator)
    x_t = model.noised(x0, t, eps)
    mean, variance = model.posterior(x0, x_t, t, t - 1)
    mean_hat, _ = model.posterior(model.predicted(x_t, t)[0], x_t, t, t - 1)
    expected = kl_divergence(Normal(mean, variance.sqrt()), Normal(mean_hat, variance.sqrt())).sum(dim=1)
    assert_close(step_nats(model, x0, t, eps), expected)


def test_grey_levels_share_out_the_whole_probability():
    x0 = torch.linspace(-1, 1, 9).double()[:, None]
    for x0_hat, sigma in ((0.3, 0.2), (-1.0, 0.01), (5.0, 1.0), (0.124, 0.03)):
        nats = grey_level_nats(x0, torch.full_like(x0, x0_hat), sigma, half=0.125)
        assert nats.isfinite().all()
        assert_close(nats.neg().exp().sum(), torch.tensor(1.0).double())


def test_a_flow_carries_noise_to_the_data(generator):
    model = Flow(ExactFlow())
    x = carry(model, torch.randn(4_000, 2, generator=generator).double(), steps=20)
    assert_close(moments(x), (MEAN, COVARIANCE), atol=0.08, rtol=0)
    z = torch.randn(50, 2, generator=generator).double()
    values, vectors = torch.linalg.eigh(COVARIANCE)
    exact = MEAN + z @ (vectors * values.sqrt()) @ vectors.T  # the way of each is its own, and known
    plans = ({"steps": 64, "heun": False}, {"steps": 32, "heun": True})
    errors = [float((carry(model, z, **plan) - exact).norm(dim=1).mean()) for plan in plans]
    assert errors[1] < errors[0] / 5
    assert errors[1] < 1e-2


@pytest.mark.parametrize("family", [Diffusion, Flow])
def test_data_units_come_back(family, generator):
    """centre and scale: the same network draws the same cloud, moved and stretched."""
    torch.manual_seed(0)
    network, draw = CodeNetwork(2, 16), sample if family is Diffusion else carry
    plain, moved = family(network), family(network, centre=3.0, scale=0.5)
    noise = torch.randn(5, 2, generator=generator)
    x, y = (draw(m, noise, steps=4) for m in (plain, moved))
    assert_close(y, 0.5 * x + 3.0)


def test_the_bound_of_moved_data_counts_the_stretch(generator):
    x = data(500, generator)
    plain, moved = Diffusion(Exact(20), 20), Diffusion(Exact(20), 20, centre=3.0, scale=0.5)
    one, other = (
        bound(m, y, torch.Generator().manual_seed(0), sigma=0.01) for m, y in ((plain, x), (moved, x / 2 + 3))
    )
    assert_close(other.bound, one.bound + 2 * math.log(0.5))


@pytest.mark.parametrize("family", [Diffusion, Flow])
def test_fit_learns_a_cloud_with_either_family(family, generator):
    torch.manual_seed(0)
    model, draw = family(CodeNetwork(2, 32, 2)), sample if family is Diffusion else carry
    x = data(2_000, generator).float()
    history = fit(model, x, squared_error, epochs=8, generator=generator, learning_rate=5e-3, progress=False)
    assert history.column("loss")[-1] < 0.9 * history.column("loss")[0]
    drawn = draw(model, torch.randn(2_000, 2, generator=generator))
    assert_close(drawn.mean(dim=0).double(), MEAN, atol=0.25, rtol=0)


def test_a_unet_starts_as_a_way_past_its_blocks_and_tells_times_apart():
    torch.manual_seed(0)
    network, x = UNet(16, 16, 1), torch.randn(2, 1, 28, 28)
    early, late = network(x, torch.zeros(2)), network(x, torch.ones(2))
    assert early.shape == x.shape
    assert_close(early, late)
    nn.init.normal_(network.down.after.weight)
    assert not torch.equal(network(x, torch.zeros(2)), network(x, torch.ones(2)))


def test_the_average_follows_in_training_and_answers_in_eval():
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    model = Averaged(network, decay=0.5)
    model(torch.ones(1, 1))
    nn.init.ones_(model.live.weight)
    for expected in (1 - 2 / 11, 1 - 2 / 11 * 3 / 12):
        assert_close(model(torch.ones(1, 1)), torch.ones(1, 1))
        assert_close(model.eval()(torch.ones(1, 1)), torch.full((1, 1), expected))
        model.train()
    assert not model.average.weight.requires_grad
