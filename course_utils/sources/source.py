"""What every source returns, and how it says that a file is damaged."""

import gzip
import pickle
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from PIL import UnidentifiedImageError
from torch import Tensor

DAMAGE = (
    *(ValueError, TypeError, RuntimeError, AssertionError, KeyError, IndexError, EOFError),
    *(pickle.UnpicklingError, gzip.BadGzipFile, zipfile.BadZipFile, UnidentifiedImageError),
)


class DataUnavailable(RuntimeError):
    """A real data set cannot be had here; the message says why and what to do about it."""


class Pictures(NamedTuple):
    """Images uint8 (n, c, h, w), labels int64 (n,), a note on what is unusual, and faces' attributes bool (n, k)."""

    images: Tensor
    labels: Tensor
    note: str = ""
    attributes: Tensor | None = None
    names: tuple[str, ...] = ()  # of the k attributes


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Turn whatever a parser says about a damaged `path` into one DataUnavailable that names it."""
    try:
        yield
    except DAMAGE as error:
        raise DataUnavailable(
            f"{path} is damaged, cut short or another kind of file ({type(error).__name__}). "
            "Delete it and run again, or put a whole copy there."
        ) from error


def require_pairs(images: Tensor, labels: Tensor, shape: tuple[int, ...], path: Path) -> None:
    """DataUnavailable unless there are images of this shape, and one label for each."""
    if tuple(images.shape[1:]) != shape or len(images) != len(labels) or not len(images):
        raise DataUnavailable(
            f"{path} holds images {tuple(images.shape)} for {len(labels)} labels; expected "
            f"(n, {', '.join(map(str, shape))}) and n labels. Replace both files by copies of one origin."
        )
