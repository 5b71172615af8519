"""Distances between clouds of features, against closed forms and clouds made by hand."""

import math

import pytest
import torch
from scipy.linalg import sqrtm
from torch.distributions import MultivariateNormal, Normal

from course_utils.variants.measures import fine_power, frechet_distance, precision_recall
from course_utils.variants.two_samples import mmd, two_sample_test


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def with_moments(mean, cov, n=50):
    """Points whose sample mean and covariance are exactly these."""
    points = torch.randn(n, len(mean), generator=dice(), dtype=torch.float64)
    points -= points.mean(dim=0)
    root = torch.linalg.cholesky(torch.cov(points.T).reshape(cov.shape))
    whitened = torch.linalg.solve_triangular(root, points.T, upper=False)
    return (torch.linalg.cholesky(cov) @ whitened).T + mean


def test_frechet_distance_in_one_dimension_is_the_closed_form():
    a = with_moments(torch.tensor([1.0]).double(), torch.tensor([[4.0]]).double())
    b = with_moments(torch.tensor([-2.0]).double(), torch.tensor([[9.0]]).double())
    assert frechet_distance(a, b) == pytest.approx((1 + 2) ** 2 + (2 - 3) ** 2)


def test_frechet_distance_of_correlated_gaussians_agrees_with_the_matrix_root():
    cov_a = torch.tensor([[2.0, 0.8], [0.8, 1.0]]).double()
    cov_b = torch.tensor([[1.0, -0.5], [-0.5, 3.0]]).double()
    mean_a, mean_b = torch.tensor([0.0, 1.0]).double(), torch.tensor([2.0, -1.0]).double()
    root = sqrtm(cov_a.numpy() @ cov_b.numpy()).real
    expected = 4 + 4 + float(cov_a.trace() + cov_b.trace()) - 2 * root.trace()
    assert frechet_distance(with_moments(mean_a, cov_a), with_moments(mean_b, cov_b)) == pytest.approx(expected)


def test_a_cloud_is_at_distance_zero_from_itself_even_where_a_feature_is_dead():
    a = MultivariateNormal(torch.zeros(3), torch.eye(3)).sample((40,))
    a[:, 1] = 0
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-4)


def test_precision_and_recall_of_clouds_made_by_hand():
    line = torch.arange(10.0)[:, None]  # with k = 1 every ball has radius 1
    generated = torch.tensor([[0.5], [1.5], [20.0], [21.0]])
    precision, recall = precision_recall(line, generated, k=1)
    assert precision == 0.5  # two of four lie on the line
    assert recall == 0.3  # the balls around .5 and 1.5 hold 0, 1 and 2; those around 20 and 21 hold none


def test_a_mode_left_out_costs_recall_and_invented_points_cost_precision():
    near, far = torch.randn(200, 2, generator=dice(1)), torch.randn(200, 2, generator=dice(2)) + 50
    both = torch.cat([near, far])
    again = torch.randn(200, 2, generator=dice(3))
    missing, invented = precision_recall(both, again), precision_recall(again, both)
    assert missing.precision > 0.9 and missing.recall < 0.55
    assert invented.precision < 0.55 and invented.recall > 0.9


def test_fine_power_counts_a_chequerboard_and_forgets_a_slow_wave():
    wave = torch.cos(2 * torch.pi * torch.arange(16) / 8).expand(1, 1, 16, 16)  # an eighth of a cycle per pixel
    board = torch.cos(torch.pi * (torch.arange(16)[:, None] + torch.arange(16))).expand(1, 1, 16, 16)
    assert fine_power(wave + 0.5 * board, wave + board) == pytest.approx(0.25, rel=1e-4)


def test_clouds_that_do_not_fit_are_refused_in_words():
    with pytest.raises(ValueError, match="two clouds of features"):
        frechet_distance(torch.zeros(5, 2), torch.zeros(5, 3))
    with pytest.raises(ValueError, match="more than k=3 points"):
        precision_recall(torch.zeros(3, 2), torch.zeros(9, 2))


def test_a_two_sample_test_of_equal_clouds_is_near_a_half_and_of_distant_ones_one():
    a, b = torch.randn(400, 3, generator=dice(1)), torch.randn(400, 3, generator=dice(2))
    assert two_sample_test(a, b) == pytest.approx(0.5, abs=0.07)
    assert two_sample_test(a, b + 20) == 1


def test_a_two_sample_test_comes_near_the_best_possible_answer():
    """N(0, 1) against N(2, 1): guess by which mean is nearer, right with probability Phi(1)."""
    a, b = torch.randn(1000, 1, generator=dice(1)), torch.randn(1000, 1, generator=dice(2)) + 2
    assert two_sample_test(a, b) == pytest.approx(Normal(0, 1).cdf(torch.tensor(1.0)).item(), abs=0.03)


def test_a_two_sample_test_sees_what_means_and_covariances_do_not():
    a = torch.randn(600, 2, generator=dice(1))
    ring = 2**0.5 * torch.nn.functional.normalize(torch.randn(600, 2, generator=dice(2)))
    assert frechet_distance(a, ring) < 0.05
    assert two_sample_test(a, ring) > 0.7


def test_mmd_of_two_gaussians_is_the_closed_form():
    """For x ~ N(m, s² I), y ~ N(0, I): E k(x, y) = (w² / (w² + s² + 1))^(d/2) exp(-|m|² / 2(w² + s² + 1))."""
    m, s, d, w = torch.tensor([1.0, -0.5]), 0.5, 2, 1.3
    a, b = m + s * torch.randn(4000, d, generator=dice(1)), torch.randn(4000, d, generator=dice(2))

    def likeness(variance, square=0.0):
        return w**2 / (w**2 + variance) * math.exp(-square / 2 / (w**2 + variance))

    expected = likeness(2 * s**2) + likeness(2) - 2 * likeness(s**2 + 1, float(m.square().sum()))
    assert mmd(a, b, width=w) == pytest.approx(expected, abs=0.01)
    assert expected > 0.1


def test_mmd_by_hand_and_its_default_width():
    a, b = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [3.0], [1.0]])
    k = [math.exp(-(distance**2) / 2) for distance in range(4)]
    expected = k[2] + (2 * k[2] + k[0]) / 3 - 2 * (4 * k[1] + k[3] + k[1]) / 6
    assert mmd(a, b) == pytest.approx(expected)
    assert mmd(a.repeat(1, 4), b.repeat(1, 4)) == pytest.approx(expected)  # √d makes up for more dimensions


def test_mmd_of_equal_clouds_has_no_bias():
    values = [
        mmd(torch.randn(20, 2, generator=dice(k)), torch.randn(20, 2, generator=dice(k + 500))) for k in range(300)
    ]
    assert sum(values) / 300 == pytest.approx(0, abs=0.006)
    assert min(values) < 0 < max(values)


def test_clouds_that_cannot_be_tested_are_refused_in_words():
    with pytest.raises(ValueError, match="equal size"):
        two_sample_test(torch.zeros(9, 2), torch.zeros(8, 2))
    with pytest.raises(ValueError, match="equal size, at least 5"):
        two_sample_test(torch.zeros(4, 2), torch.zeros(4, 2))
    with pytest.raises(ValueError, match="at least two points"):
        mmd(torch.zeros(1, 2), torch.zeros(8, 2))
