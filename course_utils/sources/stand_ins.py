"""Small image sets that come with scikit-learn, for machines without the real ones."""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view

from course_utils.sources.source import Pictures

DIGIT_CLASSES = tuple(str(digit) for digit in range(10))
PATCH_CLASSES = ("temple, dark", "temple, light", "flower, dark", "flower, light")
PATCH_SIDE = 32
SPLIT_SEEDS = {"train": 0, "test": 1}
PATCHES_PER_PHOTOGRAPH = {"train": 2500, "test": 500}


@cache
def digits(split: str) -> Pictures:
    """scikit-learn's 1,797 digits of 8x8, enlarged to 20x20 in the middle of 28x28: uint8 (n, 1, 28, 28), labels (n,).

    Every sixth digit belongs to "test" (299), the others to "train" (1,498).
    """
    from sklearn.datasets import load_digits  # here, for it takes long to import, and real data do without

    bunch = load_digits()
    small = torch.tensor(bunch.images, dtype=torch.float32)[:, None] / 16
    large = F.interpolate(small, size=(20, 20), mode="bicubic", align_corners=False).clamp(0, 1)
    images = F.pad(large, (4, 4, 4, 4)).mul(255).round().to(torch.uint8)
    chosen = (torch.arange(len(images)) % 6 == 5) == (split == "test")
    return Pictures(images[chosen], torch.tensor(bunch.target, dtype=torch.int64)[chosen])


@cache
def photograph_patches(split: str) -> Pictures:
    """32x32 colour patches of scikit-learn's two photographs: uint8 (n, 3, 32, 32), labels (n,) into PATCH_CLASSES.

    A label says which photograph a patch shows and whether it is lighter than that photograph's mean. "test" is cut
    from the middle quarter of the rows and "train" from the rest, so no test pixel was seen in training.
    """
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(SPLIT_SEEDS[split])
    patches, labels = [], []
    for which, photograph in enumerate(load_sample_images().images):
        windows = sliding_window_view(photograph, (PATCH_SIDE, PATCH_SIDE), axis=(0, 1))
        rows = rng.choice(_rows(photograph.shape[0], split), PATCHES_PER_PHOTOGRAPH[split])
        chosen = windows[rows, rng.integers(windows.shape[1], size=len(rows))]
        patches.append(chosen)
        labels.append(2 * which + (chosen.mean(axis=(1, 2, 3)) > photograph.mean()))
    return Pictures(torch.from_numpy(np.concatenate(patches)), torch.from_numpy(np.concatenate(labels)).long())


def _rows(height: int, split: str) -> np.ndarray:
    """The top rows from which a patch of this split may be cut."""
    top, first, last = np.arange(height - PATCH_SIDE + 1), height * 3 // 8, height * 5 // 8
    inside = (top >= first) & (top + PATCH_SIDE <= last)
    outside = (top + PATCH_SIDE <= first) | (top >= last)
    return top[inside if split == "test" else outside]
