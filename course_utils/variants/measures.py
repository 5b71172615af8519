"""How far one cloud is from another: Fréchet distance, precision and recall, fine power."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from course_utils.batching import batches


class PrecisionRecall(NamedTuple):
    """Shares in [0, 1]: generated pictures near real ones, and real pictures near generated ones."""

    precision: float
    recall: float


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared 2-Wasserstein distance between the Gaussians fitted to two clouds (n, d), (m, d).  [Dowson & Landau 1982]

    ||mean difference||² + tr(A + B - 2 (AB)^½); the trace of the root is the sum of the roots of AB's eigenvalues.
    """
    same_width(a, b)
    return gaussian_distance(*moments(a), *moments(b))


def moments(cloud: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (d,) and covariance (d, d) of a cloud (n, d), in double precision."""
    cloud = cloud.double()
    return cloud.mean(dim=0), torch.cov(cloud.T).reshape(cloud.shape[1], -1)


def gaussian_distance(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """`frechet_distance` of two Gaussians by their means (d,) and covariances (d, d)."""
    roots = torch.linalg.eigvals(cov_a @ cov_b).real.clamp(min=0).sqrt().sum()
    return float((mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace() - 2 * roots)


def precision_recall(real: Tensor, generated: Tensor, k: int = 3) -> PrecisionRecall:
    """Shares of each cloud (n, d), (m, d) that lie within the other's k-nearest balls.  [Kynkäänniemi et al. 2019]"""
    same_width(real, generated)
    if min(len(real), len(generated)) <= k:
        raise ValueError(f"Expected more than k={k} points in each cloud, got {len(real)} and {len(generated)}.")
    covers_real, covers_generated = _balls(real, k), _balls(generated, k)
    return PrecisionRecall(covers_real(generated), covers_generated(real))


def _balls(cloud: Tensor, k: int) -> Callable[[Tensor], float]:
    """Share of points (m, d) inside any ball around a point of the cloud that reaches its k-th neighbour."""
    centres = cloud.double().numpy()
    radii = NearestNeighbors(n_neighbors=k + 1).fit(centres).kneighbors(centres)[0][:, k]

    def share_inside(points: Tensor) -> float:
        distances = torch.cdist(points.double(), torch.from_numpy(centres))
        return float((distances <= torch.from_numpy(radii)).any(dim=1).double().mean())

    return share_inside


def fine_power(images: Tensor, real: Tensor) -> float:
    """Power above a quarter cycle per pixel as a multiple of that of real pictures: (n, 1, h, w), (m, 1, h, w)."""
    return fine(images) / fine(real)


def fine(images: Tensor) -> float:
    """Mean power above a quarter cycle per pixel of pictures (n, 1, h, w)."""
    vertical = np.fft.fftfreq(images.shape[-2])[:, None]
    horizontal = np.fft.fftfreq(images.shape[-1])[None, :]
    high = torch.from_numpy(np.hypot(vertical, horizontal) > 0.25)
    spectrum = torch.cat([torch.fft.fft2(x).abs().square() for x in batches(images, 500)])
    return float(spectrum[..., high].sum(dim=-1).mean())


def same_width(a: Tensor, b: Tensor) -> None:
    """Raise a ValueError unless these are clouds (n, d) and (m, d)."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(
            f"Expected two clouds of features (n, d) and (m, d), got {tuple(a.shape)} and {tuple(b.shape)}. "
            "Flatten pictures first, or take a judge's features of them."
        )
