"""Batches: every image once, in [0, 1], shuffled by the generator alone."""

import pytest
import torch

from course_utils.batching import batches, to_unit

IMAGES = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(10, 1, 2, 2) * 25


def first_pixels(parts):
    return [round(v * 255) for part in parts for v in part[:, 0, 0, 0].tolist()]


def test_in_order_without_a_generator():
    parts = list(batches(IMAGES, 4))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert first_pixels(parts) == list(range(0, 250, 25))


def test_shuffled_with_a_generator_and_every_image_once():
    seen = first_pixels(batches(IMAGES, 3, generator=torch.Generator().manual_seed(0)))
    assert sorted(seen) == list(range(0, 250, 25))
    assert seen != sorted(seen)
    assert seen == first_pixels(batches(IMAGES, 3, generator=torch.Generator().manual_seed(0)))


def test_unit_range_is_exact_at_the_ends():
    unit = to_unit(torch.tensor([0, 255], dtype=torch.uint8))
    assert unit.tolist() == [0.0, 1.0]
    assert unit.dtype == torch.float32


def test_float_images_pass_unchanged():
    x = torch.rand(3, 1, 2, 2)
    assert torch.equal(torch.cat(list(batches(x, 2))), x)


def test_a_batch_size_of_zero_is_refused():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        list(batches(IMAGES, 0))


def test_conditions_stay_with_their_images():
    numbers = torch.arange(10)
    for generator in (None, torch.Generator().manual_seed(0)):
        pairs = list(batches(IMAGES, 4, conditions=numbers, generator=generator))
        assert first_pixels([x for x, _ in pairs]) == [25 * int(number) for _, part in pairs for number in part]
        assert sorted(torch.cat([part for _, part in pairs]).tolist()) == numbers.tolist()


def test_a_missing_condition_is_refused():
    with pytest.raises(ValueError, match="one condition for each of the 10 images, got 9"):
        list(batches(IMAGES, 4, conditions=torch.arange(9)))
