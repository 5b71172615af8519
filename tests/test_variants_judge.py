"""The judge reads digits, and says what it saw."""

import pytest
import torch

from course_utils.data import load
from course_utils.variants.judge import judged, load_judge


def test_the_judge_reads_the_bundled_digits_that_it_never_saw():
    test = load("mnist", "test", "bundled")
    seen = judged(load_judge(), test.images)
    assert seen.features.shape == (len(test), 64)
    assert (seen.digit == test.labels).double().mean() > 0.95
    assert 0.9 < seen.confidence.double().mean() <= 1


def test_what_it_sees_does_not_depend_on_the_batches():
    judge, images = load_judge(), load("mnist", "test", "bundled").images[:30]
    for whole, parts in zip(judged(judge, images), judged(judge, images, batch_size=7), strict=True):
        torch.testing.assert_close(whole, parts)


def test_pictures_of_another_shape_are_refused_in_words():
    with pytest.raises(ValueError, match="Expected a float batch"):
        judged(load_judge(), torch.zeros(2, 1, 32, 32))
