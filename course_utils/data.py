"""Named image sets as uint8 tensors: where each comes from, and what stands in for it where it cannot be had."""

import gzip
import os
import pickle
import shutil
import socket
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import datasets
from torchvision.datasets.mnist import read_image_file, read_label_file

from course_utils import celeba, drawn_faces, smiles, stand_ins
from course_utils.batching import batches as batches  # part of this module's interface
from course_utils.files import DataUnavailable as DataUnavailable
from course_utils.files import damage_named
from course_utils.runtime import course_root

SPLITS = ("train", "test")
CHOICES = ("auto", "bundled", "real")
CONNECT_SECONDS = 5
SILENCE_SECONDS = 15
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class ImageSet:
    """Images uint8 (n, c, h, w), labels int64 (n,) into class_names, and one line that says which data these are.

    Faces also have attributes, bool (n, k), and the k attribute_names; other sets have None and ().
    """

    images: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    source: str
    bundled: bool
    attributes: Tensor | None = None
    attribute_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class _DataSet:
    title: str
    class_names: tuple[str, ...]
    read: Callable[[Path, str], tuple[Any, ...] | None]  # images, labels, note[, attributes, names], or nothing there
    download: Callable[[Path], Any]
    address: str
    files: str  # what to put into the data folder by hand
    stand_in: Callable[[str], tuple[Any, ...]]  # images, labels[, attributes, names]
    stand_in_title: str
    stand_in_classes: tuple[str, ...]


def load(name: str, split: str = "train", choice: str = "") -> ImageSet:
    """The image set `name`, one of SETS or DRAWN, "train" or "test", as `choice` asks, or else `COURSE_DATA`.

    "auto" (default) takes the real set from `COURSE_DATA_DIR` or the network, otherwise the stand-in, which prints one
    line with the reason and the cure; "bundled" takes the stand-in; "real" raises DataUnavailable instead.
    """
    choice = choice or os.environ.get("COURSE_DATA") or "auto"
    for value, allowed, what in (
        (name, (*SETS, *DRAWN), "data set"),
        (split, SPLITS, "split"),
        (choice, CHOICES, "COURSE_DATA"),
    ):
        if value not in allowed:
            raise ValueError(f"Unknown {what} {value!r}. Choose one of: {', '.join(allowed)}.")
    if name in DRAWN:
        return _drawn(name, split)
    data_set = SETS[name]
    if choice == "bundled":
        return _stand_in(data_set, split, "COURSE_DATA=bundled asks for it. Unset it for the real images")
    try:
        return _real(data_set, split)
    except DataUnavailable as error:
        if choice == "real":
            raise
        return _stand_in(data_set, split, str(error).rstrip("."))


def data_dir() -> Path:
    """`COURSE_DATA_DIR`, or `data/` in the checkout."""
    return Path(os.environ.get("COURSE_DATA_DIR") or course_root() / "data").expanduser()


def _real(data_set: _DataSet, split: str) -> ImageSet:
    try:
        found = data_set.read(data_dir(), split)
        if found is None:
            _download(data_set)
            found = data_set.read(data_dir(), split)
    except OSError as error:
        raise DataUnavailable(
            f"{error.strerror or error} at {error.filename or data_dir()}. "
            "Set COURSE_DATA_DIR to a folder that you can write to, with 1 GB to spare."
        ) from error
    if found is None:
        raise DataUnavailable(
            f"the download brought no {split} images. Put {data_set.files} into {data_dir()} yourself."
        )
    images, labels, note, *attributes = found
    source = f"{data_set.title} ({len(images):,} {split} images{note})"
    return ImageSet(images, labels, data_set.class_names, source, False, *attributes)


def _stand_in(data_set: _DataSet, split: str, reason: str) -> ImageSet:
    images, labels, *attributes = data_set.stand_in(split)
    source = f"stand-in for {data_set.title}: {len(images):,} {data_set.stand_in_title}"
    _announce(f"Using {data_set.stand_in_title} in place of {data_set.title}: {reason}.")
    return ImageSet(images, labels, data_set.stand_in_classes, source, True, *attributes)


def _drawn(name: str, split: str) -> ImageSet:
    """Drawn faces by their own name: always at hand, and in nobody's place."""
    title, make = DRAWN[name]
    images, labels, *attributes = make(split)
    source = f"{title} ({len(images):,} {split} images)"
    return ImageSet(images, labels, drawn_faces.CLASSES, source, True, *attributes)


@cache
def _announce(line: str) -> None:
    """Print a line once in a process: the one place where the package speaks, so that no stand-in goes unnoticed."""
    print(line, flush=True)


def _download(data_set: _DataSet) -> None:
    """Download into a scratch folder and move what is finished into place, so that an interruption leaves nothing."""
    by_hand = f"Put {data_set.files} into {data_dir()} yourself, or connect and run again."
    problem = _connection_problem(data_set.address)
    if problem:
        raise DataUnavailable(
            f"{data_set.title} is not in {data_dir()} and cannot be downloaded ({problem}). {by_hand}"
        )
    data_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data_dir(), prefix=".download-") as scratch:
        try:
            with _impatient_sockets(), redirect_stdout(StringIO()):
                data_set.download(Path(scratch))
        except (RuntimeError, urllib.error.URLError, TimeoutError, EOFError, ConnectionError) as error:
            detail = " ".join(str(error).split())[-300:]
            raise DataUnavailable(f"the download of {data_set.title} failed ({detail}). {by_hand}") from error
        for item in Path(scratch).iterdir():
            if item.is_dir():
                shutil.rmtree(data_dir() / item.name, ignore_errors=True)
            if item.is_dir() or item.suffix == ".npz":
                os.replace(item, data_dir() / item.name)


@cache
def _connection_problem(address: str) -> str:
    """Why `address` does not answer, or "" if it does; decided within CONNECT_SECONDS, name look-up included."""
    outcome = [f"no answer within {CONNECT_SECONDS} s"]

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=CONNECT_SECONDS).close()
            outcome[0] = ""
        except urllib.error.HTTPError as error:
            error.close()
            outcome[0] = "" if error.code < 500 else f"HTTP {error.code} from {address}"
        except (OSError, ValueError) as error:
            outcome[0] = f"no network: {getattr(error, 'reason', error)}"

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS + 1)
    return outcome[0]


@contextmanager
def _impatient_sockets() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


# --- MNIST and Fashion-MNIST: four idx files, plain or gzipped, in the folder that torchvision uses ---


def _read_idx(folder: str) -> Callable[[Path, str], tuple[Tensor, Tensor, str] | None]:
    def read(root: Path, split: str) -> tuple[Tensor, Tensor, str] | None:
        prefix = {"train": "train", "test": "t10k"}[split]
        paths = [root / folder / "raw" / f"{prefix}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
        if not all(path.exists() or _packed(path).exists() for path in paths):
            return None
        images = _parsed(read_image_file, paths[0])[:, None]
        labels = _parsed(read_label_file, paths[1])
        _require_pairs(images, labels, (1, 28, 28), paths[0])
        return images, labels, ""

    return read


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


def _require_pairs(images: Tensor, labels: Tensor, shape: tuple[int, ...], path: Path) -> None:
    if tuple(images.shape[1:]) != shape or len(images) != len(labels) or not len(images):
        raise DataUnavailable(
            f"{path} holds images {tuple(images.shape)} for {len(labels)} labels; expected "
            f"(n, {', '.join(map(str, shape))}) and n labels. Replace both files by copies of one origin."
        )


# --- CIFAR-10: the official batches, some of them, the binary form, or arrays images/labels in an .npz ---


def _read_cifar10(root: Path, split: str) -> tuple[Tensor, Tensor, str] | None:
    names = ["test_batch"] if split == "test" else [f"data_batch_{i}" for i in range(1, 6)]
    forms = (
        (_python_batch, [root / "cifar-10-batches-py" / name for name in names]),
        (_binary_batch, [root / "cifar-10-batches-bin" / f"{name}.bin" for name in names]),
        (_npz_batch, sorted(root.glob(f"cifar10_{split}*.npz"))),
    )
    for reader, paths in forms:
        present = [path for path in paths if path.exists()]
        if present:
            parts = [_cifar_part(reader, path) for path in present]
            images, labels = (torch.cat(column) for column in zip(*parts, strict=True))
            whole = len(images) == {"train": 50_000, "test": 10_000}[split]
            return images, labels, "" if whole else f", a partial copy from {', '.join(path.name for path in present)}"
    return None


def _cifar_part(reader: Callable[[Path], tuple[np.ndarray, np.ndarray]], path: Path) -> tuple[Tensor, Tensor]:
    with damage_named(path):
        images, labels = reader(path)
        images = torch.from_numpy(np.ascontiguousarray(images, dtype=np.uint8))
        labels = torch.from_numpy(np.asarray(labels, dtype=np.int64))
    _require_pairs(images, labels, (3, 32, 32), path)
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
    return batch["data"].reshape(-1, 3, 32, 32), np.asarray(batch["labels"])


def _binary_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]


def _npz_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["images"].transpose(0, 3, 1, 2), arrays["labels"]


def _torchvision(name: str) -> Callable[[Path], Any]:
    return lambda folder: getattr(datasets, name)(str(folder), download=True)


_DIGITS = (stand_ins.digits, "scikit-learn digits enlarged to 28x28", stand_ins.DIGIT_CLASSES)
_PATCHES = (stand_ins.photograph_patches, "32x32 patches of scikit-learn's two photographs", stand_ins.PATCH_CLASSES)
_IDX_FILES = (
    "the four *-ubyte or *-ubyte.gz files (train-images-idx3, train-labels-idx1, t10k-images-idx3, t10k-labels-idx1)"
)

SETS: dict[str, _DataSet] = {
    "mnist": _DataSet(
        "MNIST",
        stand_ins.DIGIT_CLASSES,
        _read_idx("MNIST"),
        _torchvision("MNIST"),
        datasets.MNIST.mirrors[0],
        f"{_IDX_FILES} in a folder MNIST/raw",
        *_DIGITS,
    ),
    "fashion_mnist": _DataSet(
        "Fashion-MNIST",
        tuple(datasets.FashionMNIST.classes),
        _read_idx("FashionMNIST"),
        _torchvision("FashionMNIST"),
        datasets.FashionMNIST.mirrors[0],
        f"{_IDX_FILES} in a folder FashionMNIST/raw",
        *_DIGITS,
    ),
    "cifar10": _DataSet(
        "CIFAR-10",
        CIFAR10_CLASSES,
        _read_cifar10,
        _torchvision("CIFAR10"),
        datasets.CIFAR10.url,
        "the unpacked cifar-10-batches-py or cifar-10-batches-bin folder, or cifar10_train.npz and cifar10_test.npz,",
        *_PATCHES,
    ),
    "celeba": _DataSet(
        "CelebA",
        drawn_faces.CLASSES,
        celeba.read_celeba,
        celeba.download_celeba,
        celeba.ADDRESS,
        celeba.FILES,
        drawn_faces.drawn,
        "drawn faces",
        drawn_faces.CLASSES,
    ),
    "smiles": _DataSet(
        "SMILEs",
        drawn_faces.CLASSES,
        smiles.read_smiles,
        smiles.download_smiles,
        smiles.ADDRESS,
        smiles.FILES,
        drawn_faces.drawn_grey,
        "drawn faces in grey",
        drawn_faces.CLASSES,
    ),
}
DRAWN: dict[str, tuple[str, Callable[[str], tuple[Any, ...]]]] = {
    "drawn_faces": ("drawn faces", drawn_faces.drawn),
    "drawn_laboratory": ("drawn faces of the laboratory", drawn_faces.laboratory),
}
