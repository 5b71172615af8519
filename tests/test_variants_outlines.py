"""Outlines, against discs, squares and rings whose edges are known, and their cost against torch.distributions."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from course_utils.data import load
from course_utils.variants.outlines import UNIT, outline, outline_elbo, outlines, signed_area

STEPS, D = 6, 3
ROWS, COLUMNS = np.mgrid[:28, :28]


def disc(radius: float, row: float = 13.5, column: float = 13.5) -> np.ndarray:
    """A disc whose ink falls from full to none within one pixel, half at the radius."""
    distance = np.hypot(ROWS - row, COLUMNS - column)
    return (255 * (radius + 0.5 - distance).clip(0, 1)).round().astype(np.uint8)


def test_the_area_of_known_polygons():
    square = np.array([[0, 0], [2, 0], [2, 2], [0, 2]])
    assert signed_area(square) == 4
    assert signed_area(square[::-1]) == -4
    assert signed_area([[1, 1], [4, 1], [1, 3]]) == 3


@pytest.mark.parametrize("radius", [4.0, 7.5, 11.0])
def test_the_outline_of_a_disc_lies_on_its_circle(radius):
    points = outline(disc(radius, row=13.0, column=14.5), 64)
    distance = np.hypot(*(points * UNIT - [1.0, -0.5]).T)
    assert_allclose(distance, radius, atol=0.12)
    assert_allclose(signed_area(points * UNIT), np.pi * radius**2, rtol=0.02)


def test_an_outline_is_closed_and_its_points_are_equally_far_apart():
    points = outline(disc(9.0))
    steps = np.hypot(*(points - np.roll(points, 1, axis=0)).T)
    assert_allclose(steps, steps.mean(), rtol=0.01)
    assert_allclose(steps.sum() * UNIT, 2 * np.pi * 9, rtol=0.01)


def test_an_outline_starts_at_the_top_and_runs_clockwise_as_one_sees_it():
    points = outline(disc(8.0))
    assert points[:, 1].argmin() == 0
    assert_allclose(points[0] * UNIT, [0, -8], atol=1)
    quarter = points[8]  # clockwise from the top: to the right
    assert quarter[0] > 0.7
    assert signed_area(points) > 0  # in coordinates whose y points down, clockwise is positive


def test_of_several_edges_the_one_around_the_largest_area_counts():
    ring_and_spot = disc(9.0, row=16.0, column=16.0)
    ring_and_spot -= np.minimum(disc(5.0, row=16.0, column=16.0), ring_and_spot)
    ring_and_spot = np.maximum(ring_and_spot, disc(2.0, row=3.0, column=3.0))
    assert_allclose(signed_area(outline(ring_and_spot, 64) * UNIT), np.pi * 81, rtol=0.02)


def test_ink_at_the_border_of_the_picture_has_an_edge_too():
    points = outline(np.full((28, 28), 255, np.uint8), 112)
    assert_allclose(np.abs(points * UNIT).max(), 14.0, atol=0.01)


def test_a_picture_without_ink_is_refused():
    with pytest.raises(ValueError, match="no edge in this picture: its largest value is 0.39"):
        outline(np.full((28, 28), 100, np.uint8))


def test_many_outlines_are_those_of_the_single_pictures():
    images = load("mnist", choice="bundled").images[:3]
    found = outlines(images, 16)
    assert found.dtype == torch.float32 and found.shape == (3, 16, 2)
    assert_allclose(found[2], outline(images[2, 0].numpy(), 16), atol=1e-6)


@pytest.mark.parametrize("images", [torch.zeros(2, 1, 28, 28), torch.zeros(2, 28, 28, dtype=torch.uint8)])
def test_other_pictures_are_refused(images):
    with pytest.raises(ValueError, match="Expected uint8 pictures"):
        outlines(images)


def test_the_bound_agrees_with_distributions():
    mu, logvar, x, x_hat = torch.randn(4, D), torch.randn(4, D), torch.randn(4, STEPS, 2), torch.randn(4, STEPS, 2)
    parts = outline_elbo(x, x_hat, mu, logvar, sigma=0.3)
    assert_close(parts.nll, -Normal(x_hat, 0.3).log_prob(x).sum(dim=(1, 2)))
    posterior = Normal(mu, logvar.mul(0.5).exp())
    assert_close(parts.kl, kl_divergence(posterior, Normal(0.0, 1.0)).sum(dim=1))
    assert_close(parts.loss, parts.nll + parts.kl)


def test_a_perfect_drawing_costs_less_than_nothing():
    x, no = torch.zeros(1, STEPS, 2), torch.zeros(1, D)
    assert_close(
        outline_elbo(x, x, no, no, sigma=0.05).loss, torch.tensor([12 * math.log(0.05 * math.sqrt(2 * math.pi))])
    )


def test_within_its_budget_the_kl_is_free_and_pulls_at_nothing():
    x = torch.randn(2, STEPS, 2)
    mu = torch.stack([torch.full((D,), 0.1), torch.full((D,), 4.0)]).requires_grad_()
    parts = outline_elbo(x, x, mu, torch.zeros(2, D), budget=5.0)
    assert_close(parts.loss - parts.nll, torch.tensor([5.0, 24.0]))
    parts.loss.sum().backward()
    assert_close(mu.grad, torch.stack([torch.zeros(D), torch.full((D,), 4.0)]))
