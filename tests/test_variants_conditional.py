"""Conditional VAEs: each way of telling does what its name says, checked against hand-made layers and exact sums."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal
from torch.nn.functional import one_hot

from course_utils.objectives import negative_elbo
from course_utils.training import evaluate, fit
from course_utils.variants.conditional import WAYS, ConditionalVAE, class_bounds

SHAPE = (1, 2, 3)
SMALL = {"image_shape": SHAPE, "latent_dim": 2, "conditions": 3, "hidden": 5}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def rows(*digits: int) -> torch.Tensor:
    return one_hot(torch.tensor(digits), 3).float()


@pytest.mark.parametrize("way", WAYS)
def test_shapes_and_arguments_that_build_it_again(way):
    model = ConditionalVAE(way, **SMALL)
    x_logits, mu, logvar = model(torch.rand(4, *SHAPE), rows(0, 1, 2, 0))
    assert x_logits.shape == (4, *SHAPE)
    assert mu.shape == logvar.shape == (4, 2)
    again = ConditionalVAE(**model.arguments)
    again.load_state_dict(model.state_dict())
    z = torch.randn(4, 2)
    assert torch.equal(again.decode(z, rows(0, 1, 2, 0)), model.decode(z, rows(0, 1, 2, 0)))


@pytest.mark.parametrize(
    ("way", "told"),
    [("nowhere", (False, False)), ("encoder only", (True, False))]
    + [(way, (True, True)) for way in ("concatenated", "layer per class")],
)
def test_the_condition_enters_where_the_way_says(way, told):
    model = ConditionalVAE(way, **SMALL)
    x, z = torch.rand(1, *SHAPE), torch.randn(1, 2)
    codes = [model.encode(x, rows(digit))[0] for digit in (0, 1)]
    pictures = [model.decode(z, rows(digit)) for digit in (0, 1)]
    assert (not torch.equal(*codes), not torch.equal(*pictures)) == told


def test_a_layer_per_class_is_that_many_layers_of_which_the_condition_takes_one():
    model = ConditionalVAE("layer per class", **SMALL)
    weights, biases = model.first.weight.split(5), model.first.bias.split(5)
    for digit in range(3):
        layer = nn.Linear(2, 5)
        layer.weight.data, layer.bias.data = weights[digit].data, biases[digit].data
        z = torch.randn(4, 2)
        expected = model.decoder(layer(z))
        torch.testing.assert_close(model.decode(z, rows(*[digit] * 4)), expected)


def test_loudness_is_the_same_family_with_larger_weights():
    loud = ConditionalVAE("concatenated", **SMALL, loudness=5)
    quiet = ConditionalVAE("concatenated", **SMALL)
    quiet.load_state_dict(loud.state_dict())
    z, x = torch.randn(2, 2), torch.rand(2, *SHAPE)
    assert not torch.allclose(quiet.decode(z, rows(1, 2)), loud.decode(z, rows(1, 2)))
    with torch.no_grad():
        quiet.first.weight[:, 2:] *= 5
        quiet.encoder.trunk[0].weight[:, 6:] *= 5
    torch.testing.assert_close(quiet.decode(z, rows(1, 2)), loud.decode(z, rows(1, 2)))
    torch.testing.assert_close(quiet.encode(x, rows(1, 2)), loud.encode(x, rows(1, 2)))


def test_bounds_lie_below_log_p_of_x_given_each_class():
    """On a grid over a single latent, log p(x | c) is a sum."""
    model = ConditionalVAE("concatenated", (1, 1, 2), latent_dim=1, conditions=3, hidden=5, loudness=3)
    x, grid = torch.tensor([[[[0.0, 1.0]]]]), torch.linspace(-8, 8, 4001)[:, None]
    many = x.expand(4000, -1, -1, -1)
    bounds = class_bounds(model, many, torch.Generator().manual_seed(0)).mean(dim=0)
    for digit in range(3):
        with torch.no_grad():
            p = model.decode(grid, rows(*[digit] * len(grid))).sigmoid().flatten(1)
        likelihood = (1 - p[:, 0]) * p[:, 1] * Normal(0.0, 1.0).log_prob(grid[:, 0]).exp()
        log_p = math.log(torch.trapezoid(likelihood, grid[:, 0]).item())
        assert log_p - 2 < bounds[digit] < log_p + 0.02


def test_bounds_are_the_elbos_of_the_claims_with_the_noise_that_is_given():
    model, x = ConditionalVAE(**SMALL), torch.rand(4, *SHAPE)
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    bounds = class_bounds(model, x, generators[0])
    assert bounds.shape == (4, 3)
    assert not bounds.requires_grad
    for digit in range(3):
        mu, logvar = model.encode(x, rows(*[digit] * 4))
        z = mu + (logvar / 2).exp() * torch.randn(4, 2, generator=generators[1])
        x_logits = model.decode(z, rows(*[digit] * 4))
        torch.testing.assert_close(bounds[:, digit], -negative_elbo(x, x_logits, mu, logvar).loss)


def test_fit_and_evaluate_take_it_and_the_condition_helps():
    """Two kinds of picture that only the condition tells apart before z is learned."""
    kinds = torch.arange(2).repeat(100)
    x, c = kinds.view(-1, 1, 1, 1).expand(-1, 1, 2, 2).float(), one_hot(kinds, 2).float()
    losses = {}
    for way in ("nowhere", "concatenated"):
        torch.manual_seed(0)
        model = ConditionalVAE(way, (1, 2, 2), latent_dim=1, conditions=2, hidden=16)
        generator = torch.Generator().manual_seed(0)
        given = {
            "conditions": c,
            "generator": generator,
            "batch_size": 20,
            "learning_rate": 0.03,
            "precision": "float32",
            "progress": False,
        }
        fit(model, x, negative_elbo, epochs=30, **given)
        losses[way] = evaluate(model, x, negative_elbo, conditions=c)["loss"]
    assert losses["concatenated"] < 0.2
    assert losses["nowhere"] > math.log(2) - 0.05  # which of the two kinds is worth ln 2 nats


def test_bad_arguments_and_conditions_get_one_sentence():
    with pytest.raises(ValueError, match="way must be one of nowhere, encoder only"):
        ConditionalVAE("everywhere")
    with pytest.raises(ValueError, match="loudness positive"):
        ConditionalVAE("concatenated", loudness=0)
    model, x = ConditionalVAE(**SMALL), torch.rand(2, *SHAPE)
    with pytest.raises(ValueError, match=r"float tensor \(2, 3\).*one_hot\(labels, 3\)"):
        model(x, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="one row for each image"):
        model.decode(torch.zeros(2, 2), rows(0))
    with pytest.raises(ValueError, match="Expected a float batch"):
        model(torch.rand(2, 1, 5, 5), rows(0, 1))
