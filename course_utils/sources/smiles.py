"""SMILEs: 13,165 grey faces of 64x64, smiling or not, from the archive on GitHub or from one .npz.  [Hromada 2010]"""

import io
import re
import shutil
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from course_utils.files import atomic_path
from course_utils.sources.source import Pictures, damage_named

ADDRESS = "https://github.com/hromi/SMILEsmileD/archive/refs/heads/master.zip"
FILES = f"SMILEsmileD-master.zip (from {ADDRESS}), or smiles64.npz with images uint8 (n, 64, 64) and smiling bool (n,),"
SIDE = 64
WHOLE = 13_165
MOST_MEMBERS, MOST_BYTES = 20_000, 64 * 1024  # of the archive, and of one of its images
MOST_ARCHIVE_BYTES = 100 * 2**20
MEMBER = re.compile(r"(?:^|/)SMILEs/(positives|negatives)/[^/]+/([^/]+)\.jpe?g$", re.IGNORECASE)


def read_smiles(root: Path, split: str) -> Pictures | None:
    """Faces uint8 (n, 1, 64, 64) with their one attribute, bool (n, 1); None if they are not there.

    Of each class every sixth face, in the file's order, belongs to "test".
    """
    cached, archive = root / "smiles64.npz", root / "SMILEsmileD-master.zip"
    if not cached.exists() and archive.exists():
        pack(archive, cached)
    if not cached.exists():
        return None
    with damage_named(cached), np.load(cached, allow_pickle=False) as arrays:
        images, smiling = arrays["images"], arrays["smiling"].astype(bool)
        if images.shape != (len(smiling), SIDE, SIDE) or images.dtype != np.uint8 or len(set(smiling.tolist())) != 2:
            raise ValueError("not faces of both kinds")
    chosen = _in_test(smiling) == (split == "test")
    smiles = torch.from_numpy(smiling[chosen])
    note = "" if len(images) == WHOLE else f", of a copy that holds {len(images):,} of {WHOLE:,} faces"
    return Pictures(torch.from_numpy(images[chosen])[:, None], smiles.long(), note, smiles[:, None], ("Smiling",))


def download_smiles(folder: Path) -> None:
    """Fetch the archive and leave smiles64.npz in `folder`.  OSError, RuntimeError."""
    archive = folder / "SMILEsmileD-master.zip"
    with urllib.request.urlopen(ADDRESS) as answer, archive.open("wb") as file:
        shutil.copyfileobj(_Limited(answer), file)
    pack(archive, folder / "smiles64.npz")


class _Limited:
    """A stream that breaks off where it outgrows what the archive can be."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self.stream, self.left = stream, MOST_ARCHIVE_BYTES

    def read(self, size: int) -> bytes:
        piece = self.stream.read(size)
        self.left -= len(piece)
        if self.left < 0:
            raise RuntimeError(f"more than {MOST_ARCHIVE_BYTES:,} bytes came")
        return piece


def pack(archive: Path, target: Path) -> None:
    """The archive's faces as one .npz. Nothing is unpacked to disk, so no member's name can point anywhere.

    DataUnavailable where the archive is damaged, is another one, or holds images that cannot be these faces.
    """
    with damage_named(archive), zipfile.ZipFile(archive) as opened:
        members = sorted(_faces_in(opened), key=lambda member: member[1:])
        faces = [_decoded(opened, info) for info, _, _ in members]
        smiling = np.array([kind == "positives" for _, kind, _ in members])
        if smiling.all() or not smiling.any():
            raise ValueError("faces of one kind only")
    with atomic_path(target) as scratch, scratch.open("wb") as file:
        np.savez_compressed(file, images=np.stack(faces), smiling=smiling)


def _faces_in(archive: zipfile.ZipFile) -> list[tuple[zipfile.ZipInfo, str, str]]:
    """Each face's entry, kind and number, filled up with zeros."""
    matches = [(info, MEMBER.search(info.filename)) for info in archive.infolist()]
    found = [(info, match[1].lower(), match[2].zfill(8)) for info, match in matches if match]
    if not 0 < len(found) <= MOST_MEMBERS or max(info.file_size for info, *_ in found) > MOST_BYTES:
        raise ValueError("not the SMILEs archive")
    return found


def _decoded(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with Image.open(io.BytesIO(archive.read(info)), formats=["JPEG"]) as image:
        if image.size != (SIDE, SIDE):
            raise ValueError(f"{info.filename} is not {SIDE}x{SIDE}")
        return np.asarray(image.convert("L"))


def _in_test(smiling: np.ndarray) -> np.ndarray:
    """Which faces are held out: every sixth of each class, bool (n,)."""
    place = np.where(smiling, np.cumsum(smiling), np.cumsum(~smiling))
    return place % 6 == 0
