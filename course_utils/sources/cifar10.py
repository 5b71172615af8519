"""CIFAR-10: the official batches, some of them, the binary form, or arrays images/labels in an .npz."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.sources.source import Pictures, damage_named, require_pairs

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FILES = "the unpacked cifar-10-batches-py or cifar-10-batches-bin folder, or cifar10_train.npz and cifar10_test.npz,"
WHOLE = {"train": 50_000, "test": 10_000}
BATCHES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
SHAPE = (3, 32, 32)


def read_cifar10(root: Path, split: str) -> Pictures | None:
    """Colour images uint8 (n, 3, 32, 32) and labels, whole or in part, the note says which; None if there are none."""
    forms = (
        (_python_batch, [root / "cifar-10-batches-py" / name for name in BATCHES[split]]),
        (_binary_batch, [root / "cifar-10-batches-bin" / f"{name}.bin" for name in BATCHES[split]]),
        (_npz_batch, sorted(root.glob(f"cifar10_{split}*.npz"))),
    )
    for reader, paths in forms:
        present = [path for path in paths if path.exists()]
        if present:
            parts = [_part(reader, path) for path in present]
            images, labels = (torch.cat(column) for column in zip(*parts, strict=True))
            partial = f", a partial copy from {', '.join(path.name for path in present)}"
            return Pictures(images, labels, "" if len(images) == WHOLE[split] else partial)
    return None


def _part(reader: Callable[[Path], tuple[np.ndarray, np.ndarray]], path: Path) -> tuple[Tensor, Tensor]:
    with damage_named(path):
        images, labels = reader(path)
        images = torch.from_numpy(np.ascontiguousarray(images, dtype=np.uint8))
        labels = torch.from_numpy(np.asarray(labels, dtype=np.int64))
    require_pairs(images, labels, SHAPE, path)
    return images, labels


class _ArraysOnly(pickle.Unpickler):
    """CIFAR-10 is published as pickles; this reads dictionaries of arrays and refuses to call anything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.split(".")[0], name) in {("numpy", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}:
            return super().find_class(module, name)
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} does not belong in a CIFAR-10 batch")


def _python_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with path.open("rb") as file:
        batch = _ArraysOnly(file, encoding="latin1").load()
    return batch["data"].reshape(-1, *SHAPE), np.asarray(batch["labels"])


def _binary_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    return records[:, 1:].reshape(-1, *SHAPE), records[:, 0]


def _npz_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["images"].transpose(0, 3, 1, 2), arrays["labels"]
