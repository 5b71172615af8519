"""Distances between clouds of features, against closed forms and clouds made by hand."""

import pytest
import torch
from scipy.linalg import sqrtm
from torch.distributions import MultivariateNormal

from course_utils.variants.measures import fine_power, frechet_distance, precision_recall


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
