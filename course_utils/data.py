"""Named image sets as uint8 tensors: where each comes from, and what stands in for it where it cannot be had."""

import os
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from course_utils.drawn_faces.drawing import draw
from course_utils.drawn_faces.factors import FaceFactors, attributes, held_still, split_factors
from course_utils.runtime import course_root
from course_utils.sources import celeba, cifar10, idx, smiles, stand_ins
from course_utils.sources.download import download
from course_utils.sources.source import DataUnavailable, Pictures

SPLITS = ("train", "test")
CHOICES = ("auto", "bundled", "real")
FACE_CLASSES = ("not smiling", "smiling")
LUMA = (0.299, 0.587, 0.114)  # what red, green and blue weigh in a grey pixel
COLUMNS = 100  # of a notice: a notebook would break longer lines inside a word


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


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """What is shown where the real set cannot be had: its pictures by split, and how they are called."""

    title: str
    class_names: tuple[str, ...]
    make: Callable[[str], Pictures]


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A real set: how it is read from the data folder (None: not there) and fetched, and what stands in for it."""

    title: str
    class_names: tuple[str, ...]
    read: Callable[[Path, str], Pictures | None]
    fetch: Callable[[Path], Any]
    address: str
    files: str  # what to put into the data folder by hand
    stand_in: StandIn


def load(name: str, split: str = "train", choice: str = "") -> ImageSet:
    """The image set `name`, one of SETS or DRAWN, "train" or "test", as `choice` asks, or else `COURSE_DATA`.

    "auto" (default) takes the real set from `COURSE_DATA_DIR` or the network, otherwise the stand-in, which prints a
    notice with the reason and the cure; "bundled" takes the stand-in; "real" raises DataUnavailable instead.
    """
    wanted = choice or os.environ.get("COURSE_DATA") or "auto"
    _require_known("data set", name, (*SETS, *DRAWN))
    _require_known("split", split, SPLITS)
    _require_known("COURSE_DATA", wanted, CHOICES)
    if name in DRAWN:
        faces = DRAWN[name]
        return _image_set(faces.make(split), f"{faces.title} ({{n:,}} {split} images)", FACE_CLASSES, bundled=True)
    data_set = SETS[name]
    if wanted == "bundled":
        asked = "" if choice else "COURSE_DATA=bundled asks for it. Unset it for the real images"
        return _stand_in(data_set, split, asked)
    try:
        return _real(data_set, split)
    except DataUnavailable as error:
        if wanted == "real":
            raise
        return _stand_in(data_set, split, str(error).rstrip("."))


def data_dir() -> Path:
    """`COURSE_DATA_DIR`, or `data/` in the checkout."""
    return Path(os.environ.get("COURSE_DATA_DIR") or course_root() / "data").expanduser()


@cache
def drawn(split: str) -> Pictures:
    """The drawn faces: images uint8 (n, 3, 64, 64), labels into FACE_CLASSES, attributes bool (n, k), their names."""
    return _drawn(split_factors(split))


@cache
def laboratory(split: str) -> Pictures:
    """The same faces with everything held still but the seven things that `measures` reads from a picture."""
    return _drawn(held_still(split_factors(split)))


def _drawn(factors: FaceFactors) -> Pictures:
    ticked, names = attributes(factors)
    labels = torch.from_numpy(ticked[:, names.index("Smiling")]).long()
    return Pictures(torch.from_numpy(draw(factors)), labels, "", torch.from_numpy(ticked), names)


@cache
def drawn_grey(split: str) -> Pictures:
    """The same faces in grey, images uint8 (n, 1, 64, 64)."""
    colour = drawn(split)
    grey = [torch.einsum("nchw,c->nhw", part.float(), torch.tensor(LUMA)) for part in colour.images.split(500)]
    return colour._replace(images=torch.cat(grey)[:, None].round().to(torch.uint8))


def _require_known(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"Unknown {what} {value!r}. Choose one of: {', '.join(allowed)}.")


def _real(data_set: DataSet, split: str) -> ImageSet:
    asked = {"title": data_set.title, "address": data_set.address, "files": data_set.files}
    try:
        found = data_set.read(data_dir(), split)
        if found is None:
            download(data_set.fetch, data_dir(), **asked)
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
    title = f"{data_set.title} ({{n:,}} {split} images{found.note})"
    return _image_set(found, title, data_set.class_names, bundled=False)


def _stand_in(data_set: DataSet, split: str, reason: str) -> ImageSet:
    """The stand-in; with a `reason` it announces itself."""
    other = data_set.stand_in
    if reason:
        _announce(f"Using {other.title} in place of {data_set.title}: {reason}.")
    title = f"stand-in for {data_set.title}: {{n:,}} {other.title}"
    return _image_set(other.make(split), title, other.class_names, bundled=True)


def _image_set(pictures: Pictures, title: str, class_names: tuple[str, ...], *, bundled: bool) -> ImageSet:
    images, labels, _, ticked, names = pictures
    return ImageSet(images, labels, class_names, title.format(n=len(images)), bundled, ticked, names)


@cache
def _announce(notice: str) -> None:
    """Print a notice once in a process: the one place where data speak, so that no stand-in goes unnoticed."""
    print(textwrap.fill(notice, COLUMNS, break_long_words=False, break_on_hyphens=False), flush=True)


def _torchvision(name: str) -> Callable[[Path], Any]:
    def fetch(folder: Path) -> None:
        from torchvision import datasets  # here, for it takes longer to import than torch, and is seldom needed

        getattr(datasets, name)(str(folder), download=True)

    return fetch


_DIGITS = StandIn(
    title="scikit-learn digits enlarged to 28x28", class_names=stand_ins.DIGIT_CLASSES, make=stand_ins.digits
)
SETS: dict[str, DataSet] = {
    "mnist": DataSet(
        title="MNIST",
        class_names=stand_ins.DIGIT_CLASSES,
        read=partial(idx.read_idx, folder="MNIST"),
        fetch=_torchvision("MNIST"),
        address="https://ossci-datasets.s3.amazonaws.com/mnist/",
        files=f"{idx.FILES} in a folder MNIST/raw",
        stand_in=_DIGITS,
    ),
    "fashion_mnist": DataSet(
        title="Fashion-MNIST",
        class_names=idx.FASHION_CLASSES,
        read=partial(idx.read_idx, folder="FashionMNIST"),
        fetch=_torchvision("FashionMNIST"),
        address="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        files=f"{idx.FILES} in a folder FashionMNIST/raw",
        stand_in=_DIGITS,
    ),
    "cifar10": DataSet(
        title="CIFAR-10",
        class_names=cifar10.CLASSES,
        read=cifar10.read_cifar10,
        fetch=_torchvision("CIFAR10"),
        address="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        files=cifar10.FILES,
        stand_in=StandIn(
            title="32x32 patches of scikit-learn's two photographs",
            class_names=stand_ins.PATCH_CLASSES,
            make=stand_ins.photograph_patches,
        ),
    ),
    "celeba": DataSet(
        title="CelebA",
        class_names=FACE_CLASSES,
        read=celeba.read_celeba,
        fetch=celeba.download_celeba,
        address=celeba.ADDRESS,
        files=celeba.FILES,
        stand_in=StandIn(title="drawn faces", class_names=FACE_CLASSES, make=drawn),
    ),
    "smiles": DataSet(
        title="SMILEs",
        class_names=FACE_CLASSES,
        read=smiles.read_smiles,
        fetch=smiles.download_smiles,
        address=smiles.ADDRESS,
        files=smiles.FILES,
        stand_in=StandIn(title="drawn faces in grey", class_names=FACE_CLASSES, make=drawn_grey),
    ),
}
DRAWN = {
    "drawn_faces": StandIn(title="drawn faces", class_names=FACE_CLASSES, make=drawn),
    "drawn_laboratory": StandIn(title="drawn faces of the laboratory", class_names=FACE_CLASSES, make=laboratory),
}
