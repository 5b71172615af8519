"""Whole image sets in memory, dealt out in batches without touching single images."""

from collections.abc import Iterator

import torch
from torch import Tensor


def to_unit(images: Tensor) -> Tensor:
    """uint8 pixels 0..255 -> float32 in [0, 1], same shape; float images pass unchanged."""
    return images.to(torch.float32).div_(255) if images.dtype == torch.uint8 else images


def batches(
    images: Tensor,
    batch_size: int = 128,
    *,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Iterator[Tensor]:
    """Yield float32 batches (<= batch_size, c, h, w) in [0, 1] on `device`; shuffled if a CPU `generator` is given.

    One gather and one division per batch replace the per-image decoding of a `DataLoader`. The last batch may be
    smaller.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    images = images.to(device or images.device)
    if generator is None:
        yield from (to_unit(part) for part in images.split(batch_size))
        return
    order = torch.randperm(len(images), generator=generator).to(images.device)
    yield from (to_unit(images[index]) for index in order.split(batch_size))
