"""What a drawn face shows, measured from its pixels alone, so that a latent edit can be held against the truth.

Every measure takes images (n, 3, 64, 64) of drawn faces or of decodes of them, uint8 or float in [0, 1], NumPy or
torch, and returns one float per image, (n,).  ValueError for another shape.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike

SIDE = 64
MOUTH_AT = (50.0, 31.5)  # row and column of an average mouth
MOUTH_REACH = (8.0, 10.5)  # pixels from its middle beyond which nothing counts as mouth
LIP_CONTRAST, FULL_LIP = 0.03, 0.05  # what redder than the skin by the first counts, and by both counts fully
CORNER, RISE = 9.0, 9.0  # a corner is 9 pixels from the middle, and that many rows above it at curvature 1
TOP, LEFT, RIGHT = 26, 8, 56  # the part of the picture, down to its lower edge, in which a mouth is looked for
ROWS, COLUMNS = np.arange(TOP, SIDE)[None, :, None], np.arange(LEFT, RIGHT)[None, None, :]


def mouth_curvature(images: ArrayLike) -> np.ndarray:
    """How far the mouth's corners point up: about -1 (down), 0 (straight) .. 1 (up); 0 where no mouth is seen.

    The bend of the parabola, rows over columns, that fits the mouth best; the mouth is where the picture is redder
    than the skin, found by mean shift.
    """
    mouth, row, column = _mouth(_pixels(images))
    across = (COLUMNS - column) / CORNER
    powers = np.stack([np.broadcast_to(across**k, mouth.shape) for k in range(3)])
    normal = np.einsum("knij,lnij,nij->nkl", powers, powers, mouth, optimize=True) + 1e-3 * np.eye(3)
    right = np.einsum("knij,nij,nij->nk", powers, ROWS - row, mouth, optimize=True)
    return -np.linalg.solve(normal, right[..., None])[:, 2, 0] / RISE


def lip_redness(images: ArrayLike) -> np.ndarray:
    """By how much the reddest tenth of the mouth's surroundings is redder than the skin: lipstick raises it."""
    lips, row, column = _located(_pixels(images))
    weight = (lips * _near(row, column)).reshape(len(lips), -1)
    return np.partition(weight, -20, axis=1)[:, -20:].mean(axis=1)


def skin_brightness(images: ArrayLike) -> np.ndarray:
    """The median brightness beside and below the nose, 0 to 1."""
    return _skin(_brightness(_pixels(images)))


def hair_darkness(images: ArrayLike) -> np.ndarray:
    """1 - brightness at the top of the head; it means hair only where neither a hat nor a bald head is drawn."""
    return 1 - _brightness(_pixels(images))[:, 9:15, 27:37].mean(axis=(1, 2))


def glasses_presence(images: ArrayLike) -> np.ndarray:
    """How much darker than the skin the darkest row between and below the eyes is: frames and bridge raise it."""
    grey = _brightness(_pixels(images))
    skin = _skin(grey)
    below = grey[:, 36:42, 16:48].mean(axis=2).min(axis=1)
    bridge = grey[:, 28:36, 26:38].min(axis=1).max(axis=1)
    return 2 - (below + bridge) / skin


def background_brightness(images: ArrayLike) -> np.ndarray:
    """The mean brightness of the two upper corners, 0 to 1."""
    return _corners(_brightness(_pixels(images)))


def background_blueness(images: ArrayLike) -> np.ndarray:
    """Blue against red in the two upper corners, about -0.3 (sand) to 0.3 (blue): rises with the background's hue."""
    red, _, blue = _pixels(images).transpose(1, 0, 2, 3)
    return (_corners(blue) - _corners(red)) / (_corners(blue) + _corners(red) + 1e-3)


MEASURES: dict[str, Callable[[ArrayLike], np.ndarray]] = {
    "mouth curvature": mouth_curvature,
    "lip redness": lip_redness,
    "glasses": glasses_presence,
    "skin brightness": skin_brightness,
    "hair darkness": hair_darkness,
    "background brightness": background_brightness,
    "background blueness": background_blueness,
}


def _pixels(images: ArrayLike) -> np.ndarray:
    """float32 (n, 3, 64, 64) in [0, 1]."""
    pixels = images.detach().cpu().numpy() if isinstance(images, torch.Tensor) else np.asarray(images)
    if pixels.ndim != 4 or pixels.shape[1:] != (3, SIDE, SIDE):
        raise ValueError(f"Expected drawn faces in colour, (n, 3, {SIDE}, {SIDE}), got shape {pixels.shape}.")
    return pixels.astype(np.float32) / (255 if pixels.dtype == np.uint8 else 1)


def _brightness(pixels: np.ndarray) -> np.ndarray:
    return np.tensordot(pixels, np.float32([0.299, 0.587, 0.114]), axes=(1, 0))


def _skin(plane: np.ndarray, top: int = 0, left: int = 0) -> np.ndarray:
    """The median beside and below the nose, (n,), of a plane (n, h, w) that begins at this row and column."""
    return np.median(plane[:, 38 - top : 45 - top, 24 - left : 40 - left].reshape(len(plane), -1), axis=1)


def _corners(plane: np.ndarray) -> np.ndarray:
    return (plane[:, :8, :8].mean(axis=(1, 2)) + plane[:, :8, -8:].mean(axis=(1, 2))) / 2


def _lip_colour(pixels: np.ndarray) -> np.ndarray:
    """By how much more than the skin a pixel leans to red, and to red and blue over green, 0 where not.

    (n, rows, columns) of the part where the mouth is looked for.
    """
    red, green, blue = pixels[:, :, TOP:, LEFT:RIGHT].transpose(1, 0, 2, 3)
    total = red + green + blue + 0.05
    leanings = ((red - green) / total, (red + blue - 2 * green) / total)
    redder = np.minimum(*(plane - _skin(plane, TOP, LEFT)[:, None, None] for plane in leanings))
    return np.maximum(redder - LIP_CONTRAST, 0)


def _near(row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """A window round the mouth's middle: 1 there, 0 beyond MOUTH_REACH."""
    distance = ((ROWS - row) / MOUTH_REACH[0]) ** 2 + ((COLUMNS - column) / MOUTH_REACH[1]) ** 2
    return np.maximum(1 - distance**2, 0)


def _located(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The lip colour (n, rows, columns), and row and column of the mouth's middle, each (n, 1, 1), by mean shift."""
    lips = _lip_colour(pixels)
    row, column = (np.full((len(lips), 1, 1), start) for start in MOUTH_AT)
    for _ in range(8):
        weight = lips * _near(row, column)
        weight = np.maximum(weight - 0.3 * weight.max(axis=(1, 2), keepdims=True), 0)
        total = weight.sum(axis=(1, 2), keepdims=True)
        found, total = total > 1e-3, total + 1e-9
        row = np.where(found, (weight * ROWS).sum(axis=(1, 2), keepdims=True) / total, row)
        column = np.where(found, (weight * COLUMNS).sum(axis=(1, 2), keepdims=True) / total, column)
    return lips, row, column


def _mouth(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How much each pixel is lip or the inside of the mouth (n, rows, columns), 0 to 1, and the mouth's middle."""
    lips, row, column = _located(pixels)
    weight = lips * _near(row, column)
    faint = np.minimum(0.3 * weight.max(axis=(1, 2), keepdims=True), 0.02)
    return np.clip((weight - faint) / FULL_LIP, 0, 1), row, column
