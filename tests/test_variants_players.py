"""Losses of two players against finite differences and the best critic in closed form; their networks' promises."""

import math

import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch import nn

from course_utils.variants.adversarial import Player, fit_players
from course_utils.variants.averaging import Averaged, with_statistics
from course_utils.variants.games import FOOLING, gan, vae_gan
from course_utils.variants.players import (
    VAEGAN,
    Critic,
    Generator,
    critic_loss,
    generator_loss,
    saturating_loss,
)

P, Q = torch.tensor([0.5, 0.3, 0.2, 0.0]).double(), torch.tensor([0.1, 0.3, 0.4, 0.2]).double()


def in_shares(values, shares):
    """A sample of 10 in which each value has its share."""
    return values.repeat_interleave((10 * shares).round().long())


@pytest.mark.parametrize("logit", [-6.0, -0.5, 0.0, 2.0])
def test_losses_are_the_logarithms_that_the_paper_writes(logit):
    share = 1 / (1 + math.exp(-logit))
    one = torch.tensor([logit]).double()
    assert critic_loss(one, -one).item() == pytest.approx(-2 * math.log(share))
    assert critic_loss(one, one).item() == pytest.approx(-math.log(share) - math.log(1 - share))
    assert saturating_loss(one).item() == pytest.approx(math.log(1 - share))
    assert generator_loss(one).item() == pytest.approx(-math.log(share))


@pytest.mark.parametrize("loss", [saturating_loss, generator_loss])
def test_gradients_are_finite_differences(loss):
    logits = torch.tensor([-3.0, 0.2, 1.5]).double().requires_grad_()
    assert torch.autograd.gradcheck(loss, logits)


def test_where_the_critic_is_sure_only_one_of_the_losses_has_a_slope():
    slopes = []
    for loss in (saturating_loss, generator_loss):
        sure = torch.tensor([-20.0]).double().requires_grad_()
        slopes += torch.autograd.grad(loss(sure), sure)
    assert abs(slopes[0].item()) < 1e-8
    assert slopes[1].item() == pytest.approx(-1, abs=1e-8)


def test_large_logits_cost_what_they_say_and_overflow_nothing():
    far = torch.tensor([200.0])
    assert critic_loss(-far, far).item() == pytest.approx(400)
    assert saturating_loss(far).item() == pytest.approx(-200)


def test_the_best_critic_of_a_discrete_distribution_has_the_jensen_shannon_loss():
    """It says log p/q, and its loss is 2 ln 2 - 2 JS(p, q)."""
    both = P * Q > 0
    logits = torch.where(both, (P / Q.clamp(min=1e-9)).clamp(min=1e-9).log(), torch.where(P > 0, 60.0, -60.0))
    best = critic_loss(in_shares(logits, P), in_shares(logits, Q)).item()
    assert best == pytest.approx(2 * math.log(2) - 2 * jensenshannon(P, Q) ** 2, abs=1e-7)
    for shift in (0.1, -0.3):
        assert critic_loss(in_shares(logits + shift, P), in_shares(logits + shift, Q)).item() > best


def test_networks_take_and_give_the_shapes_they_promise():
    z = torch.randn(4, 5)
    logits = Generator(latent_dim=5, channels=4)(z)
    critic = Critic(channels=2)
    assert logits.shape == (4, 1, 28, 28)
    assert critic(logits.sigmoid()).shape == (4,)
    assert critic.features(logits.sigmoid()).shape[0] == 4
    with pytest.raises(ValueError, match="latent vectors"):
        Generator(latent_dim=5)(torch.randn(4, 6))
    with pytest.raises(ValueError, match="values in"):
        critic(10 * logits)


def test_networks_are_rebuilt_from_their_arguments():
    for network in (Generator(latent_dim=3, channels=2), Critic(channels=2)):
        again = type(network)(**network.arguments)
        again.load_state_dict(network.state_dict())


def test_who_looks_on_does_not_move_the_average():
    averaged, one = Averaged(nn.Linear(1, 1, bias=False), decay=0.5), torch.ones(1, 1)
    start = averaged.live.weight.item()
    nn.init.constant_(averaged.live.weight, 5.0)
    with torch.no_grad():
        assert averaged(one).item() == 5
    assert averaged.eval()(one).item() == start


def test_a_player_may_be_an_average():
    averaged = Averaged(nn.Linear(4, 1))
    start = averaged.average.weight.clone()
    player = Player(averaged, lambda x: averaged(x.flatten(1)).square().mean())
    fit_players({"one": player}, torch.rand(8, 1, 2, 2), epochs=2, generator=torch.Generator(), progress=False)
    assert not torch.equal(averaged.average.weight, start)
    assert not torch.equal(averaged.live.weight, averaged.average.weight)


def test_statistics_are_those_of_the_inputs():
    convolution, norm = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)
    x = torch.randn(64, 1, 3, 3)
    network = with_statistics(nn.Sequential(convolution, norm), x.split(16))
    torch.testing.assert_close(norm.running_mean, convolution(x).mean().view(1))
    assert (norm.momentum, network.training) == (0.1, False)


@pytest.fixture
def undecided():
    """A critic that says one half of everything."""
    critic = Critic(channels=4).eval()
    torch.nn.init.zeros_(critic.head.weight)
    torch.nn.init.zeros_(critic.head.bias)
    return critic


@pytest.mark.parametrize("wrap", [lambda network: network, Averaged])
def test_a_game_with_an_undecided_critic_costs_what_coins_cost(wrap, undecided):
    players, x = gan(wrap(Generator(4, 4)), undecided), torch.rand(6, 1, 28, 28)
    assert players["critic"].loss(x).item() == pytest.approx(2 * math.log(2))
    assert players["generator"].loss(x).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("wrap", [lambda network: network, Averaged])
def test_a_vae_pays_for_likeness_and_its_codes_and_for_not_fooling_the_critic(wrap, undecided):
    model, x = VAEGAN(3), torch.rand(6, 1, 28, 28)
    torch.nn.init.zeros_(model.encoder.mu.weight)
    torch.nn.init.zeros_(model.encoder.logvar.weight)
    nn.init.constant_(model.encoder.mu.bias, 2.0)
    nn.init.constant_(model.encoder.logvar.bias, -50.0)  # nothing is left to chance
    players = vae_gan(wrap(model).eval(), undecided)
    kl = 3 * (2.0**2 + 50.0 - 1) / 2
    with torch.no_grad():
        gap = undecided.features(x) - undecided.features(model.decode(torch.full((6, 3), 2.0)).sigmoid())
    expected = gap.square().sum().item() / 12 + kl + FOOLING * math.log(2)
    assert players["critic"].loss(x).item() == pytest.approx(2 * math.log(2))
    assert players["model"].loss(x).item() == pytest.approx(expected, rel=0.01)


def test_fakes_reach_the_critic_as_reconstructions_and_as_many_draws(undecided):
    seen = []
    undecided.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    vae_gan(VAEGAN(3), undecided)["critic"].loss(torch.rand(5, 1, 28, 28))
    assert seen == [5, 10]
