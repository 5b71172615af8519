"""Whether two clouds are draws of the same distribution: a classifier's answer, and a kernel's."""

import math

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor

from course_utils.variants.measures import same_width


def two_sample_test(a: Tensor, b: Tensor, folds: int = 5) -> float:
    """Share of points that a classifier assigns to the right cloud, cross-validated: (n, d), (n, d) -> [0, 1].

    ½ where the clouds are alike, 1 where they are apart. The classifier is a support vector machine with a Gaussian
    kernel; ValueError for clouds of unequal size, of which guessing the larger would look clever.  [Lopez-Paz & Oquab
    2017]
    """
    same_width(a, b)
    if len(a) != len(b) or len(a) < folds:
        raise ValueError(f"Expected two clouds of equal size, at least {folds}, got {len(a)} and {len(b)} points.")
    points, cloud = torch.cat([a, b]).double().numpy(), np.repeat([0, 1], len(a))
    classifier = make_pipeline(StandardScaler(), SVC())
    dealt = StratifiedKFold(folds, shuffle=True, random_state=0)
    return float(cross_val_score(classifier, points, cloud, cv=dealt).mean())


def mmd(a: Tensor, b: Tensor, width: float | None = None) -> float:
    """Squared maximum mean discrepancy E k(a, a') + E k(b, b') - 2 E k(a, b) of two clouds (n, d), (m, d), unbiased.

    k = exp(-distance² / 2 width²), with width √d by default, the typical length of a draw of N(0, I). Where the
    clouds are alike it is 0 on average, more often a little below than above.  [Gretton et al. 2012, eq. 3]
    """
    same_width(a, b)
    if min(len(a), len(b)) < 2:
        raise ValueError(f"Expected at least two points in each cloud, got {len(a)} and {len(b)}.")
    slope = 1 / (2 * (width or math.sqrt(a.shape[1])) ** 2)

    def likeness(x: Tensor, y: Tensor) -> Tensor:
        return torch.cdist(x.double(), y.double()).square().mul(-slope).exp()

    within = sum((likeness(x, x).sum() - len(x)) / (len(x) * (len(x) - 1)) for x in (a, b))
    return float(within - 2 * likeness(a, b).mean())
