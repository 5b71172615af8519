"""Outlines: a digit as the way of a pen around it, 32 points in units of ten pixels from the middle of the picture."""

import numpy as np
import torch
from contourpy import contour_generator
from torch import Tensor

from course_utils.objectives import NegativeElbo, gaussian_kl, gaussian_nll

POINTS = 32
UNIT = 10.0  # pixels
INK = 0.5  # of full ink: where the outline runs
SIGMA = 0.05  # of a coordinate: half a pixel


def signed_area(points: np.ndarray) -> float:
    """½ Σ (x_i y_{i+1} - x_{i+1} y_i) of the closed polygon (n, 2): negative where it runs the other way round."""
    x, y = np.asarray(points, dtype=float).T
    return float(x @ np.roll(y, -1) - np.roll(x, -1) @ y) / 2


def outline(image: np.ndarray, points: int = POINTS) -> np.ndarray:
    """The outer edge of a grey picture (h, w), uint8, as `points` points equally far apart on it: (points, 2).

    It encloses the largest area of all edges, starts at its highest point, and runs clockwise as one sees it (y points
    down, as in a picture). ValueError where no pixel is darker than half of full ink.
    """
    ink = np.pad(np.asarray(image, dtype=float), 1) / 255
    edges = [edge[:-1] for edge in contour_generator(z=ink).lines(INK)]
    if not edges:
        raise ValueError(
            f"There is no edge in this picture: its largest value is {ink.max():.2f}, expected over {INK}."
        )
    areas = [signed_area(edge) for edge in edges]
    largest = int(np.abs(areas).argmax())
    edge = edges[largest] if areas[largest] > 0 else edges[largest][::-1]
    edge = np.roll(edge, -edge[:, 1].argmin(), axis=0)
    middle = (np.array(ink.shape[::-1]) - 1) / 2
    return (_equally_far(edge, points) - middle) / UNIT


def _equally_far(edge: np.ndarray, points: int) -> np.ndarray:
    """So many points on the closed polygon (n, 2), from its first one on, at equal distances along it."""
    closed = np.vstack([edge, edge[:1]])
    sides = np.hypot(*np.diff(closed, axis=0).T)
    way = np.concatenate([[0.0], sides.cumsum()])
    stops = np.arange(points) * way[-1] / points
    return np.stack([np.interp(stops, way, coordinate) for coordinate in closed.T], axis=1)


def outlines(images: Tensor, points: int = POINTS) -> Tensor:
    """The outlines of uint8 pictures (n, 1, h, w), float32: (n, points, 2)."""
    if images.ndim != 4 or images.shape[1] != 1 or images.dtype != torch.uint8:
        raise ValueError(f"Expected uint8 pictures (n, 1, h, w), got {images.dtype} of shape {tuple(images.shape)}.")
    found = np.stack([outline(image, points) for image in images[:, 0].numpy()])
    return torch.from_numpy(found).float()


def outline_elbo(
    x: Tensor, x_hat: Tensor, mu: Tensor, logvar: Tensor, *, sigma: float = SIGMA, budget: float = 0.0
) -> NegativeElbo:
    """-log N(x; x_hat, sigma²) + max(KL, budget) per outline, in nats; the negative of the ELBO at budget 0.

    (n, steps, 2) twice, then (n, d) twice. A density's logarithm may be negative and depends on the unit of length.
    """
    nll, kl = gaussian_nll(x_hat, x, sigma**2), gaussian_kl(mu, logvar)
    return NegativeElbo(nll + kl.clamp_min(budget), nll, kl)
