"""Weights that were trained for the course and come with it: `load_pretrained("mnist-2d")`."""

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from course_utils import models
from course_utils.checkpoints import CheckpointError, load_checkpoint
from course_utils.runtime import course_root

CHECKSUMS = "SHA256SUMS"


def weights_dir() -> Path:
    """The folder `weights/` of the checkout: NAME.safetensors, its facts, its model card, and SHA256SUMS."""
    return course_root() / "weights"


def load_pretrained(name: str, build: Callable[..., nn.Module] = models.build) -> tuple[nn.Module, dict[str, Any]]:
    """The model `name` in eval mode and float32, made by `build(name, **arguments)`, and its facts.

    ValueError names the known models; CheckpointError where the file is missing or differs from its checksum.
    """
    known = checksums(weights_dir())
    if name not in known:
        raise ValueError(f"There are no weights called {name!r}. Choose one of: {', '.join(known)}.")
    path = weights_dir() / f"{name}.safetensors"
    if not path.is_file():
        raise CheckpointError(f"There is no file at {path}. Restore it with `git checkout -- weights`.")
    if sha256(path) != known[name]:
        raise CheckpointError(
            f"{path} differs from its checksum: it is damaged or not the course's. "
            "Restore it with `git checkout -- weights`."
        )
    return load_checkpoint(path, build)


def fingerprints(images: Tensor) -> str:
    """CRC-32 of every image's bytes, uint8 (n, c, h, w), sorted and in base64: it tells who was there, shows nobody."""
    return base64.b64encode(np.sort(_crc(images)).tobytes()).decode()


def trained_on(facts: Mapping[str, Any], images: Tensor) -> Tensor:
    """Which images (n, c, h, w), uint8, the weights were trained on, bool (n,); none where the facts do not say."""
    seen = np.frombuffer(base64.b64decode(facts.get("trained_on", "")), np.uint32)
    return torch.from_numpy(np.isin(_crc(images), seen))


def _crc(images: Tensor) -> np.ndarray:
    return np.array([zlib.crc32(image.tobytes()) for image in images.contiguous().numpy()], np.uint32)


def checksums(folder: Path) -> dict[str, str]:
    """Names of weights -> SHA-256 of their files, from the folder's list; empty without one."""
    listed = folder / CHECKSUMS
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
    return {name.removesuffix(".safetensors"): digest for digest, name in (line.split() for line in lines)}


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
