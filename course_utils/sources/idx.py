"""MNIST and Fashion-MNIST: four idx files, plain or gzipped, in the folder that torchvision uses."""

import gzip
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from course_utils.sources.source import Pictures, damage_named, require_pairs

FILES = (
    "the four *-ubyte or *-ubyte.gz files (train-images-idx3, train-labels-idx1, t10k-images-idx3, t10k-labels-idx1)"
)
FASHION_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def read_idx(root: Path, split: str, *, folder: str) -> Pictures | None:
    """Grey images uint8 (n, 1, 28, 28) and labels from `root`/`folder`/raw; None if they are not there."""
    prefix = {"train": "train", "test": "t10k"}[split]
    paths = [root / folder / "raw" / f"{prefix}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
    if not all(path.exists() or _packed(path).exists() for path in paths):
        return None
    from torchvision.datasets.mnist import read_image_file, read_label_file  # here, for it takes long to import

    images, labels = _parsed(read_image_file, paths[0])[:, None], _parsed(read_label_file, paths[1])
    require_pairs(images, labels, (1, 28, 28), paths[0])
    return Pictures(images, labels)


def _packed(path: Path) -> Path:
    return path.with_name(path.name + ".gz")


def _parsed(reader: Callable[[str], Tensor], path: Path) -> Tensor:
    """Read an idx file; a .gz in its place is unpacked to a scratch file, so that a read-only folder serves as well."""
    if path.exists():
        with damage_named(path):
            return reader(str(path))
    with tempfile.TemporaryDirectory() as scratch, damage_named(_packed(path)), gzip.open(_packed(path)) as source:
        unpacked = Path(scratch) / path.name
        with unpacked.open("wb") as target:
            shutil.copyfileobj(source, target)
        return reader(str(unpacked))
