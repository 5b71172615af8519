"""CelebA's files, as published, as mirrored with CSV lists, or in part: cropped once into a memory-mapped array."""

import hashlib
import io
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.lib import format as npy
from PIL import Image
from tqdm.auto import tqdm

from course_utils.files import atomic_path
from course_utils.sources.source import DataUnavailable, Pictures, damage_named

ADDRESS = "https://drive.google.com/"
FILES = (
    "a folder celeba with img_align_celeba/ (the unpacked JPEGs), list_attr_celeba and list_eval_partition (.txt from "
    "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, or .csv from a mirror such as Kaggle's celeba-dataset)"
)
SIDE = 64
FACE = (3, SIDE, SIDE)
SIZE, CROP = (178, 218), 148  # of the published images; of their middle, what is kept
CHUNK = 512
SHOWN = 3  # how many missing or damaged files are named
BASES = ("celeba", "celeba-dataset", "CelebA", "")
ROOMS = ("", "Anno", "Eval", "Img")  # the folders of the authors' own download
PARTITION = {"train": 0, "test": 2}


def download_celeba(folder: Path) -> None:
    """The official files into `folder`/celeba, 1.4 GB from Google Drive.  RuntimeError, as often as not."""
    from torchvision import datasets  # here, for it takes long to import

    try:
        datasets.CelebA(str(folder), download=True)
    except Exception as error:  # gdown raises errors of its own kinds
        raise RuntimeError(f"Google Drive did not hand it out, which it often refuses: {error}") from error


def read_celeba(root: Path, split: str) -> Pictures | None:
    """Faces uint8 (n, 3, 64, 64) mapped from disk, with what is ticked about them; None if they are not there.

    "train" and "test" are the official ones. Where the copy has no partition list, or has nothing of one of them, the
    last tenth of its images in the list's order is "test". The first call crops the JPEGs into `root`/celeba64 and
    keeps that; delete that folder after replacing damaged files.
    """
    folder, plan = root / "celeba64", _plan(root, split)
    if plan and _record(folder, split).get("fingerprint") != plan.fingerprint:
        _prepare(plan, folder, split)
    record = _record(folder, split)
    if not record:
        return None
    with damage_named(folder / f"{split}.npy"):
        images = np.load(folder / f"{split}.npy", mmap_mode="c")
        if images.shape != (len(record["attributes"]), *FACE):
            raise ValueError("not as many faces as attributes")
    names = tuple(record["attribute_names"].tolist())
    attributes = torch.from_numpy(record["attributes"])
    labels = attributes[:, names.index("Smiling")].long()
    return Pictures(torch.from_numpy(images), labels, str(record["note"]), attributes, names)


@dataclass(frozen=True)
class _Plan:
    """What is to be cropped for one split: files present, their attributes, and what a reader should know."""

    paths: list[Path]
    attributes: np.ndarray
    names: tuple[str, ...]
    missing: list[str]
    by_position: bool

    @property
    def fingerprint(self) -> str:
        lines = "\n".join([*self.names, *(path.name for path in self.paths)])
        return hashlib.sha256(lines.encode() + self.attributes.tobytes()).hexdigest()


def _plan(root: Path, split: str) -> _Plan | None:
    """None where neither JPEGs nor an attribute list lie under `root`.  DataUnavailable where only one of them does."""
    for base in (root / name for name in BASES):
        pictures = _first(base, ("img_align_celeba/img_align_celeba", "img_align_celeba"))
        lists = [_first(base, (f"{name}.txt", f"{name}.csv")) for name in ("list_attr_celeba", "list_eval_partition")]
        if pictures and lists[0]:
            return _planned(pictures, *lists, split)
        if pictures or lists[0]:
            absent = "the unpacked JPEGs (img_align_celeba/)" if lists[0] else "list_attr_celeba.txt or .csv"
            raise DataUnavailable(f"{pictures or lists[0]} is there, but not {absent}. Put both into {base}.")
    return None


def _first(base: Path, names: Sequence[str]) -> Path | None:
    places = (base / room / name for name in names for room in ROOMS)
    return next((place for place in places if place.exists()), None)


def _planned(pictures: Path, attribute_list: Path, partition_list: Path | None, split: str) -> _Plan:
    files, values, names = _table(attribute_list)
    if "Smiling" not in names:
        raise DataUnavailable(f"{attribute_list} has no column Smiling. Replace it by the list that came with CelebA.")
    present = {entry.name for entry in os.scandir(pictures)}
    there = np.array([name in present for name in files])
    part = _parts(files, partition_list)
    by_position = part is None or any(not (there & (part == number)).any() for number in PARTITION.values())
    if by_position:
        part = np.where(np.cumsum(there) > there.sum() - there.sum() // 10, PARTITION["test"], PARTITION["train"])
    mine = part == PARTITION[split]
    paths = [pictures / files[i] for i in np.flatnonzero(mine & there)]
    missing = [files[i] for i in np.flatnonzero(mine & ~there)]
    return _Plan(paths, values[mine & there] > 0, names, missing, by_position)


def _parts(files: list[str], partition_list: Path | None) -> np.ndarray | None:
    """The official part of every file, 0, 1 or 2 (train, valid, test), and -1 where the list does not say."""
    if partition_list is None:
        return None
    listed, parts, _ = _table(partition_list)
    by_name = dict(zip(listed, parts[:, 0].tolist(), strict=True))
    return np.array([by_name.get(name, -1) for name in files])


def _table(path: Path) -> tuple[list[str], np.ndarray, tuple[str, ...]]:
    """File names, values int8 (n, k) and the k columns' names of a list, .csv with commas or .txt with blanks."""
    separator, files, rows, header = ("," if path.suffix == ".csv" else None), [], [], []
    with damage_named(path), path.open(encoding="utf-8") as lines:
        for line in lines:
            cells = line.strip().split(separator)
            if cells[0].lower().endswith((".jpg", ".png")):
                files.append(cells[0])
                rows.append(bytes(int(cell) & 255 for cell in cells[1:]))
            else:
                header = cells
        values = np.frombuffer(b"".join(rows), np.int8).reshape(len(rows), -1)
        if not files or len({len(row) for row in rows}) != 1:
            raise ValueError("rows of different lengths")
    return files, values, tuple(name for name in header if name != "image_id")


# --- cropping: pixels are appended to one file, then noted in a log, so that any interruption can be resumed ---


def _prepare(plan: _Plan, folder: Path, split: str) -> None:
    """Crop the plan's files into `folder`/<split>.npy and write the record last."""
    folder.mkdir(parents=True, exist_ok=True)
    _require_room(folder, len(plan.paths) * int(np.prod(FACE)))
    (folder / f"{split}.npz").unlink(missing_ok=True)
    pixels, log = folder / f".{split}.pixels", folder / f".{split}.log"
    whole = _crop_all(plan, pixels, log)
    if not whole.any():
        raise DataUnavailable(f"none of CelebA's {len(whole):,} {split} images can be read. Put {FILES} there anew.")
    with pixels.open("r+b") as file:
        file.write(_header(int(whole.sum())))
    os.replace(pixels, folder / f"{split}.npy")
    damaged = [path.name for path, good in zip(plan.paths, whole, strict=True) if not good]
    with atomic_path(folder / f"{split}.npz") as scratch, scratch.open("wb") as file:
        np.savez_compressed(
            file,
            attributes=plan.attributes[whole],
            attribute_names=np.array(plan.names),
            fingerprint=plan.fingerprint,
            note=_note(plan, damaged),
        )
    log.unlink()


def _require_room(folder: Path, needed: int) -> None:
    if shutil.disk_usage(folder).free < needed:
        raise DataUnavailable(
            f"CelebA's faces take {needed / 1e9:.1f} GB and {folder} has less. Set COURSE_DATA_DIR to a larger disk."
        )


def _crop_all(plan: _Plan, pixels: Path, log: Path) -> np.ndarray:
    """Append every face that can be read; which those were, bool (n,). Goes on where an earlier call broke off."""
    whole = _resumed(plan, pixels, log)
    with ThreadPoolExecutor() as pool, pixels.open("ab") as faces, log.open("a") as lines:
        with tqdm(total=len(plan.paths), initial=len(whole), desc="cropping CelebA", unit=" faces") as bar:
            for start in range(len(whole), len(plan.paths), CHUNK):
                crops = list(pool.map(_crop, plan.paths[start : start + CHUNK]))
                faces.write(b"".join(crop.tobytes() for crop in crops if crop is not None))
                faces.flush()
                lines.write("".join("0\n" if crop is None else "1\n" for crop in crops))
                lines.flush()
                whole += [crop is not None for crop in crops]
                bar.update(len(crops))
    return np.array(whole, dtype=bool)


def _resumed(plan: _Plan, pixels: Path, log: Path) -> list[bool]:
    """What an interrupted call has cropped of this plan, with the file of pixels cut to just that; else a new start."""
    lines = log.read_text().split("\n")[:-1] if log.exists() and pixels.exists() else []
    whole = [line == "1" for line in lines[1:]]
    size = len(_header(0)) + sum(whole) * int(np.prod(FACE))
    if lines[:1] != [plan.fingerprint] or pixels.stat().st_size < size:
        pixels.write_bytes(_header(0))
        log.write_text(plan.fingerprint + "\n")
        return []
    os.truncate(pixels, size)
    log.write_text("\n".join(lines) + "\n")
    return whole


def _header(n: int) -> bytes:
    """The head of an .npy of n faces; NumPy leaves room in it for any n, so its length is the same."""
    buffer = io.BytesIO()
    npy.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": (n, *FACE)})
    return buffer.getvalue()


def _crop(path: Path) -> np.ndarray | None:
    """The middle 148x148 of an image of 178x218, antialiased to uint8 (3, 64, 64); None where it cannot be read."""
    try:
        with Image.open(path) as image:
            side = min(image.size) * CROP / SIZE[0]
            left, top = ((length - side) / 2 for length in image.size)
            box = (left, top, left + side, top + side)
            small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box)
            return np.asarray(small).transpose(2, 0, 1)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _note(plan: _Plan, damaged: list[str]) -> str:
    faults = [_counted(names, word) for names, word in ((plan.missing, "missing"), (damaged, "damaged")) if names]
    note = f", without {' and '.join(faults)}" if faults else ""
    return note + (", split by position in the list" if plan.by_position else "")


def _counted(names: list[str], word: str) -> str:
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return f"{len(names):,} {word} ({shown})"


def _record(folder: Path, split: str) -> dict[str, np.ndarray]:
    """What `_prepare` wrote last, or {} where it has not finished."""
    path = folder / f"{split}.npz"
    if not path.exists() or not path.with_suffix(".npy").exists():
        return {}
    with damage_named(path), np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in ("attributes", "attribute_names", "fingerprint", "note")}


# --- writing the same files ---


def write_celeba(
    folder: Path, images: np.ndarray, attributes: np.ndarray, names: Sequence[str], *, form: str = "txt"
) -> Path:
    """Faces uint8 (n, 3, 64, 64) and bool (n, k) as CelebA's files in `folder`, which is returned.

    "txt" is the official form and "csv" the mirrored one; the first 80 % of the faces are train, then valid, then test.
    """
    pictures = folder / "img_align_celeba" / ("img_align_celeba" if form == "csv" else "")
    pictures.mkdir(parents=True, exist_ok=True)
    files = [f"{i + 1:06d}.jpg" for i in range(len(images))]
    for file, face in zip(files, images, strict=True):
        _published(face).save(pictures / file, quality=95)
    share = np.arange(len(images)) / len(images)
    parts = [[str(int(part))] for part in np.digitize(share, [0.8, 0.9])]
    signs = [["1" if has else "-1" for has in row] for row in attributes.tolist()]
    write = {"txt": _write_txt, "csv": _write_csv}[form]
    write(folder / f"list_attr_celeba.{form}", files, signs, names)
    write(folder / f"list_eval_partition.{form}", files, parts, ["partition"] if form == "csv" else ())
    return folder


def _published(face: np.ndarray) -> Image.Image:
    """A face (3, 64, 64) in the middle of 178x218, its border carried on outward."""
    large = Image.fromarray(face.transpose(1, 2, 0)).resize((CROP, CROP), Image.Resampling.BICUBIC)
    across, down = ((length - CROP) // 2 for length in SIZE)
    return Image.fromarray(np.pad(np.asarray(large), ((down, down), (across, across), (0, 0)), mode="edge"))


def _write_txt(path: Path, files: list[str], rows: list[list[str]], names: Sequence[str]) -> None:
    head = [str(len(files)), " ".join(names)] if names else []
    width = 2 if names else 1
    body = (" ".join([file, *(value.rjust(width) for value in row)]) for file, row in zip(files, rows, strict=True))
    path.write_text("\n".join([*head, *body]) + "\n")


def _write_csv(path: Path, files: list[str], rows: list[list[str]], names: Sequence[str]) -> None:
    body = (",".join([file, *row]) for file, row in zip(files, rows, strict=True))
    path.write_text("\n".join([",".join(["image_id", *names]), *body]) + "\n")
