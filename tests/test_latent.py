"""Codes of whole image sets, against the model called by hand; paths and grids, against geometry and SciPy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from course_utils.latent import (
    active_units,
    attribute_direction,
    decode,
    encode,
    lerp,
    manifold_grid,
    posterior,
    slerp,
    traverse,
)
from course_utils.models import ConvAutoencoder, build

IMAGES = torch.randint(0, 256, (11, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
T = torch.linspace(0, 1, 9)  # eighths: exact in either precision


def test_codes_are_the_posterior_means_in_eval_mode():
    model = build("dcgan").train()  # batch norm: batches of another size give other codes, unless in eval mode
    codes, (mu, logvar) = encode(model, IMAGES, batch_size=4), posterior(model, IMAGES, batch_size=11)
    assert model.training
    by_hand = model.eval().encode(IMAGES / 255)
    torch.testing.assert_close(codes, by_hand[0])
    torch.testing.assert_close((mu, logvar), tuple(by_hand))
    assert not codes.requires_grad


def test_pictures_of_codes_are_the_sigmoid_of_the_logits_in_eval_mode():
    model, z = build("dcgan").train(), torch.randn(11, 32, generator=torch.Generator().manual_seed(1))
    pictures = decode(model, z, batch_size=4)
    assert model.training and not pictures.requires_grad
    expected = 1 / (1 + torch.exp(-model.eval().decode(z)))
    torch.testing.assert_close(pictures, expected)


def test_a_model_that_fails_gets_its_mode_back():
    model = build("conv").train()
    with pytest.raises(ValueError, match="latent_dim"):
        decode(model, torch.zeros(3, 7))
    assert model.training


def test_an_autoencoder_has_codes_too():
    model = ConvAutoencoder()
    torch.testing.assert_close(encode(model, IMAGES), model.encode(IMAGES / 255))


# --- paths ---


@st.composite
def codes(draw, count=2):
    """`count` random codes of one dimension between 2 and 24, lengths between 0.01 and 100."""
    d, seed = draw(st.integers(2, 24)), draw(st.integers(0, 10**6))
    lengths = [draw(st.floats(0.01, 100)) for _ in range(count)]
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((count, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return [torch.tensor(length * row, dtype=torch.float32) for length, row in zip(lengths, directions, strict=True)]


def lengths_of(path):
    return np.linalg.norm(path.double().numpy(), axis=-1)


def turns_between(path):
    """Angles between neighbours on a path (s, d), by arccos in float64."""
    unit = path.double().numpy() / lengths_of(path)[:, None]
    return np.arccos(np.clip((unit[1:] * unit[:-1]).sum(axis=1), -1, 1))


@given(codes(), st.sampled_from([lerp, slerp]))
def test_paths_begin_and_end_where_they_should(pair, path):
    z0, z1 = pair
    ends = path(z0, z1, [0.0, 1.0])
    torch.testing.assert_close(ends, torch.stack([z0, z1]), rtol=1e-5, atol=1e-5 * float(z0.norm() + z1.norm()))


@given(codes())
def test_a_line_divides_its_length_as_t_says(pair):
    z0, z1 = (z.double() for z in pair)
    path, t = lerp(z0, z1, T.double()), T.double().numpy()
    np.testing.assert_allclose(lengths_of(path - z0), t * lengths_of(z1 - z0), atol=1e-9)
    np.testing.assert_allclose(lengths_of(path - z1), (1 - t) * lengths_of(z1 - z0), atol=1e-9)


@given(codes())
def test_an_arc_turns_evenly_and_its_length_goes_straight(pair):
    z0, z1 = (z.double() for z in pair)
    path = slerp(z0, z1, T.double())
    np.testing.assert_allclose(lengths_of(path), np.interp(T, [0, 1], [z0.norm(), z1.norm()]), rtol=1e-9)
    whole = math.acos(max(-1.0, min(1.0, float(z0 @ z1 / z0.norm() / z1.norm()))))
    np.testing.assert_allclose(turns_between(path), whole / 8, atol=1e-7)


def test_an_arc_is_the_textbook_formula_on_the_unit_sphere():
    z0, z1 = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.6, 0.8, 0.0])
    angle = math.acos(0.6)
    by_hand = [math.sin((1 - t) * angle) / math.sin(angle) for t in (0.25, 0.5)]
    and_other = [math.sin(t * angle) / math.sin(angle) for t in (0.25, 0.5)]
    expected = torch.tensor([[a + 0.6 * b, 0.8 * b, 0.0] for a, b in zip(by_hand, and_other, strict=True)])
    torch.testing.assert_close(slerp(z0, z1, [0.25, 0.5]), expected)


@given(codes(count=1), st.floats(0.1, 10))
def test_parallel_codes_are_joined_by_a_line(one, factor):
    (z,) = one
    torch.testing.assert_close(slerp(z, factor * z, T), lerp(z, factor * z, T), rtol=1e-4, atol=1e-4)


@given(codes(count=1), st.floats(0, 1e-6))
def test_opposite_codes_are_joined_by_half_a_circle(one, wobble):
    (z,) = one
    z1 = -z + wobble * z.flip(0)
    path = slerp(z, z1, T)
    np.testing.assert_allclose(lengths_of(path), float(z.norm()), rtol=1e-4)
    np.testing.assert_allclose(turns_between(path), math.pi / 8, atol=1e-3)
    assert torch.equal(path, slerp(z, z1, T))


@given(codes(count=1))
def test_a_zero_code_has_no_direction_of_its_own(one):
    (z,) = one
    zero = torch.zeros_like(z)
    torch.testing.assert_close(slerp(zero, z, T), lerp(zero, z, T))
    torch.testing.assert_close(slerp(z, zero, T), lerp(z, zero, T))
    assert torch.equal(slerp(zero, zero, T), torch.zeros(len(T), len(z)))


def test_one_dimension_crosses_zero_and_never_loses_a_number():
    path = slerp(torch.tensor([2.0]), torch.tensor([-2.0]), T)
    torch.testing.assert_close(path[[0, 4, 8], 0], torch.tensor([2.0, 0.0, -2.0]))


@pytest.mark.parametrize("path", [lerp, slerp])
def test_batches_and_single_codes_of_any_kind_agree(path):
    draw = torch.Generator().manual_seed(3)
    z0, z1 = torch.randn(5, 7, generator=draw), torch.randn(5, 7, generator=draw)
    z1[3] = 0
    whole = path(z0, z1, T)
    assert whole.shape == (9, 5, 7) and whole.dtype == torch.float32
    for i in range(5):
        torch.testing.assert_close(whole[:, i], path(z0[i], z1[i], T))
    torch.testing.assert_close(path(z0[0], z1, 0.3), torch.stack([path(z0[0], z, 0.3) for z in z1]))
    assert path(z0, z1, 0.5).shape == (5, 7)
    assert path(z0, z1, T.view(3, 3)).shape == (3, 3, 5, 7)
    assert path(z0.double(), z1, [0, 1]).dtype == torch.float64


@given(st.integers(1, 5), st.integers(0, 4), st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=9))
def test_a_traversal_moves_one_dimension_of_copies(n, dim, offsets):
    z = torch.randn(n, 5, generator=torch.Generator().manual_seed(n))
    before = z.clone()
    moved = traverse(z, dim, offsets)
    assert moved.shape == (len(offsets), n, 5)
    assert torch.equal(z, before)
    for copy, offset in zip(moved.numpy(), offsets, strict=True):
        change = copy - before.numpy()
        np.testing.assert_allclose(change[:, dim], offset, atol=1e-5)
        assert not np.delete(change, dim, axis=1).any()
    moved += 1
    assert torch.equal(z, before)  # not even afterwards


def test_a_traversal_of_one_code_is_a_batch_ready_to_decode():
    assert traverse(torch.zeros(3), 1, [-1.0, 0.0, 1.0])[:, 1].tolist() == [-1, 0, 1]
    with pytest.raises(IndexError):
        traverse(torch.zeros(3), 3, [1.0])


# --- directions, active units, the grid ---


def test_an_attribute_direction_is_the_difference_of_class_means():
    points = torch.tensor([[1.0, 0.0], [3.0, 2.0], [0.0, 0.0], [0.0, 10.0], [0.0, 2.0]])
    labels = torch.tensor([1, 1, 0, 0, 0])
    assert attribute_direction(points, labels).tolist() == [2.0, -3.0]
    assert attribute_direction(points, labels.bool()).tolist() == [2.0, -3.0]
    assert attribute_direction(points, labels.float()).tolist() == [2.0, -3.0]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (torch.ones(4), r"both present; found \[1.0\]"),
        (torch.tensor([-1, 1, 1, -1]), r"found \[-1, 1\]"),
        (torch.tensor([0, 1, 2, 1]), r"found \[0, 1, 2\]"),
        (torch.tensor([0, 1, 1]), r"got \(4, 3\) and \(3,\)"),
        (torch.ones(4, 2), r"one attribute's column"),
        (torch.ones(0), r"got \(4, 3\) and \(0,\)"),
    ],
)
def test_labels_that_give_no_direction_are_refused_in_words(labels, words):
    with pytest.raises(ValueError, match=words):
        attribute_direction(torch.randn(4, 3), labels)


@given(st.lists(st.sampled_from([0.0, 0.05, 0.3, 2.0]), min_size=1, max_size=12))
def test_active_units_are_those_whose_mean_varies(spreads):
    # +s and -s in equal parts around any centre: variance s^2 n / (n - 1)
    mu = torch.tensor(spreads) * torch.tensor([1.0, -1.0]).repeat(50)[:, None] + 7
    assert active_units(mu) == sum(s >= 0.3 for s in spreads)
    assert active_units(mu, threshold=1.0) == sum(s == 2.0 for s in spreads)


def test_active_units_need_two_images():
    with pytest.raises(ValueError, match=r"at least 2 images, got shape \(1, 3\)"):
        active_units(torch.zeros(1, 3))


@given(st.integers(1, 30))
def test_every_cell_of_the_grid_is_equally_probable(n):
    grid = manifold_grid(n).double().numpy()
    assert grid.shape == (n * n, 2)
    below = stats.norm.cdf(grid).reshape(n, n, 2)
    middles = (np.arange(n) + 0.5) / n
    np.testing.assert_allclose(below[..., 0], np.broadcast_to(middles, (n, n)), atol=1e-6)
    np.testing.assert_allclose(below[..., 1], np.broadcast_to(middles[::-1, None], (n, n)), atol=1e-6)


def test_the_grid_reads_like_a_plot():
    grid = manifold_grid(3)
    assert grid[0, 0] < 0 < grid[0, 1]  # top left
    assert grid[-1, 0] > 0 > grid[-1, 1]  # bottom right
    with pytest.raises(ValueError, match="at least 1, got 0"):
        manifold_grid(0)
