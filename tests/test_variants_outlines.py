"""Outlines, against discs, squares and rings whose edges are known."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from course_utils.data import load
from course_utils.variants.outlines import UNIT, outline, outlines, signed_area

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
