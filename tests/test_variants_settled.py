"""The models that lesson 11 compares, the reference that measures them, and copies, against direct computation."""

import math

import pytest
import torch
from scipy.stats import multivariate_normal
from torch.testing import assert_close

from course_utils.variants.judge import Judge, judged
from course_utils.variants.measures import fine_power, frechet_distance, precision_recall
from course_utils.variants.reference import load_reference, nearest, reference_of
from course_utils.variants.settled import SETTLED, Mixture, settled


@pytest.fixture
def mixture():
    model = Mixture(2, 2)
    model.means.copy_(torch.tensor([[0.0, 0.0], [4.0, -1.0]]))
    model.roots.copy_(torch.tensor([[[1.0, 0.0], [0.5, 0.3]], [[0.2, 0.0], [0.0, 2.0]]]))
    model.log_shares.copy_(torch.tensor([0.3, 0.7]).log())
    return model


def test_a_mixture_prices_codes_as_scipy_does(mixture):
    z = torch.tensor([[0.3, 0.2], [4.0, 1.0], [-2.0, 5.0]])
    covariances = (mixture.roots @ mixture.roots.mT).numpy()
    parts = [multivariate_normal(mean, cov) for mean, cov in zip(mixture.means.numpy(), covariances)]
    expected = [math.log(0.3 * parts[0].pdf(x) + 0.7 * parts[1].pdf(x)) for x in z.numpy()]
    assert_close(mixture.log_prob(z), torch.tensor(expected, dtype=torch.float32), rtol=1e-4, atol=1e-4)


def test_a_mixture_draws_what_it_prices(mixture):
    z = mixture.draw(40_000, torch.Generator().manual_seed(0))
    second = z[:, 0] > 2.8  # the parts lie apart in the first number
    assert second.double().mean().item() == pytest.approx(0.7, abs=0.01)
    for part, own in ((0, z[~second]), (1, z[second])):
        assert_close(own.mean(dim=0), mixture.means[part], atol=0.05, rtol=0)
    assert_close(torch.cov(z[second].T), mixture.roots[1] @ mixture.roots[1].T, atol=0.1, rtol=0)
    assert not torch.equal(second[:1000].sort().values, second[:1000])  # in no order


def test_a_reference_measures_what_the_images_themselves_would():
    torch.manual_seed(0)
    judge, generator = Judge().eval(), torch.Generator().manual_seed(0)
    real, drawn = torch.rand(80, 1, 28, 28), torch.rand(60, 1, 28, 28) ** 2
    reference = reference_of(judge, real, generator, few=40)
    scores = reference.scores(judge, drawn)
    features = judged(judge, real).features, judged(judge, drawn).features
    assert scores.fd == pytest.approx(frechet_distance(*features), rel=1e-3, abs=1e-4)
    assert scores.fine == pytest.approx(fine_power(drawn, real), rel=1e-5)
    few = {tuple(row.tolist()) for row in reference.features}
    assert len(few) == 40
    assert few <= {tuple(row.tolist()) for row in features[0].half()}
    expected = precision_recall(reference.features.float(), features[1][:40])
    assert (scores.precision, scores.recall) == expected


def test_the_shipped_reference_is_of_mnist():
    reference = load_reference()
    assert reference.arguments == {"few": 1_000}
    spread = torch.linalg.eigvalsh(reference.covariance.double())
    assert spread.min() > -1e-3
    off = (reference.features.float().mean(dim=0) - reference.mean).norm()
    assert off < 4 * (spread.sum() / 1_000).sqrt()


def test_the_nearest_of_some_images_by_hand():
    among = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    among[1] = 255
    among[2, 0, 0, 0] = 255
    distance, who = nearest(torch.tensor([[[[0.9, 0.1], [0.0, 0.0]]], [[[1.0, 1.0], [1.0, 0.5]]]]), among, batch_size=1)
    assert who.tolist() == [2, 1]
    assert_close(distance, torch.tensor([math.sqrt(0.02), 0.5]))


def test_weights_name_their_networks():
    for name, kind in SETTLED.items():
        assert isinstance(settled(name), kind)
