"""Whole image sets in memory, dealt out in batches without touching single images."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


def to_unit(images: Tensor) -> Tensor:
    """uint8 pixels 0..255 -> float32 in [0, 1], same shape; float images pass unchanged."""
    return images.to(torch.float32).div_(255) if images.dtype == torch.uint8 else images


def batches(
    images: Tensor,
    batch_size: int = 128,
    *,
    conditions: Tensor | None = None,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Iterator[Tensor] | Iterator[tuple[Tensor, Tensor]]:
    """Yield float32 batches (<= batch_size, c, h, w) in [0, 1] on `device`; shuffled if a CPU `generator` is given.

    One gather and one division per batch replace the per-image decoding of a `DataLoader`. The last batch may be
    smaller. With `conditions` (n, ...) it yields pairs: a batch and what belongs to its images.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    if conditions is not None and len(conditions) != len(images):
        raise ValueError(f"Expected one condition for each of the {len(images)} images, got {len(conditions)}.")
    images = images.to(device or images.device)
    if conditions is not None:
        conditions = conditions.to(images.device)
    for index in _indices(len(images), batch_size, generator, images.device):
        x = to_unit(images[index])
        yield x if conditions is None else (x, conditions[index])


def _indices(
    n: int, batch_size: int, generator: torch.Generator | None, device: torch.device
) -> Iterable[slice] | Iterable[Tensor]:
    if generator is None:
        return (slice(start, start + batch_size) for start in range(0, n, batch_size))
    return torch.randperm(n, generator=generator).to(device).split(batch_size)
