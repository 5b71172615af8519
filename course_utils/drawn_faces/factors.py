"""What a drawn face is made of: its factors, how they are drawn at random, and the attributes that follow from them."""

from dataclasses import dataclass, fields, replace
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

SMILE_THRESHOLD = 0.25
LIPSTICK_GIVEN_SMILE = {"correlated": (0.15, 0.40), "independent": (0.25, 0.25)}  # P(lipstick | not smiling, smiling)
HAIR_STYLES = ("bald", "crop", "side part", "bob with bangs", "long", "long with bangs", "curls", "bun", "tousled")
HAIR_COLOURS = ("black", "brown", "blond", "gray", "red")
EYE_COLOURS = ("brown", "blue", "green", "hazel")
GLASSES = ("none", "round", "square")
YAW_DEGREES = 23
SPLIT_SEEDS = {"train": 0, "test": 1}
SPLIT_SIZES = {"train": 6000, "test": 1000}

STILL = {  # what `held_still` makes of all that `measures` cannot read from a picture
    **dict.fromkeys(("yaw", "tilt", "mouth_openness", "brow_raise", "brow_angle", "blush", "light"), 0.0),
    **dict.fromkeys(("eye_colour", "beard", "hat"), 0),
    **{"face_width": 1.0, "hair_style": 1, "hair_shade": 1.0, "eye_openness": 0.8},
    **{"brow_thickness": 0.5, "clothes_hue": 0.5},
}


@dataclass(frozen=True)
class FaceFactors:
    """n faces: one array (n,) per factor, in the range that stands beside it; `factors[index]` selects some of them."""

    yaw: np.ndarray  # -1 (turned to the image's left) .. 1 (to its right), YAW_DEGREES at the ends
    tilt: np.ndarray  # -12 .. 12 degrees, positive: the crown leans to the image's right
    face_width: np.ndarray  # 0.9 .. 1.08, of the usual width
    skin: np.ndarray  # 0 (light) .. 1 (dark)
    hair_style: np.ndarray  # index into HAIR_STYLES
    hair_colour: np.ndarray  # index into HAIR_COLOURS
    hair_shade: np.ndarray  # 0.85 .. 1.15, brightness of this head's hair within its colour
    glasses: np.ndarray  # index into GLASSES
    mouth_curvature: np.ndarray  # -1 (corners down) .. 1 (corners up)
    mouth_openness: np.ndarray  # 0 (closed) .. 1
    brow_raise: np.ndarray  # -1 (low) .. 1 (high)
    brow_angle: np.ndarray  # -1 (stern) .. 1 (worried)
    brow_thickness: np.ndarray  # 0 (thin) .. 1 (bushy)
    eye_openness: np.ndarray  # 0.35 (narrow) .. 1
    eye_colour: np.ndarray  # index into EYE_COLOURS
    blush: np.ndarray  # 0 .. 1, rosiness of the cheeks
    lipstick: np.ndarray  # 0 or 1
    beard: np.ndarray  # 0 or 1
    hat: np.ndarray  # 0 or 1
    hat_hue: np.ndarray  # 0 (red) .. 1 (pink), round the colour circle
    clothes_hue: np.ndarray  # 0 (sand) .. 1 (blue), through green and teal
    light: np.ndarray  # -1 (from the image's left) .. 1 (from its right)
    background_hue: np.ndarray  # 0 (sand) .. 1 (blue), through green and teal
    background_lightness: np.ndarray  # 0 (dusk) .. 1 (pale)

    def __len__(self) -> int:
        return len(self.yaw)

    def __getitem__(self, index: ArrayLike | slice) -> "FaceFactors":
        return replace(self, **{f.name: getattr(self, f.name)[index] for f in fields(self)})


RANGES = {
    **dict.fromkeys(("yaw", "mouth_curvature", "brow_raise", "brow_angle", "light"), (-1, 1)),
    **dict.fromkeys(("skin", "mouth_openness", "brow_thickness", "blush", "lipstick", "beard", "hat"), (0, 1)),
    **dict.fromkeys(("hat_hue", "clothes_hue", "background_hue", "background_lightness"), (0, 1)),
    "tilt": (-12, 12),
    "face_width": (0.9, 1.08),
    "hair_style": (0, len(HAIR_STYLES) - 1),
    "hair_colour": (0, len(HAIR_COLOURS) - 1),
    "hair_shade": (0.85, 1.15),
    "glasses": (0, len(GLASSES) - 1),
    "eye_openness": (0.35, 1),
    "eye_colour": (0, len(EYE_COLOURS) - 1),
}


def sample_factors(n: int, seed: int, *, correlated: bool = True) -> FaceFactors:
    """Factors of n faces, the same for the same seed.

    All are drawn independently but for one: as in CelebA, who smiles wears lipstick more often (40 % against 15 %), a
    confound for a lesson to find. `correlated=False` gives both groups 25 %.
    """
    rng = np.random.default_rng(seed)
    uniform = {name: rng.uniform(*RANGES[name], n) for name in RANGES}
    curvature = rng.uniform(-0.7, 1, n)
    lipstick = np.array(LIPSTICK_GIVEN_SMILE["correlated" if correlated else "independent"])
    uniform |= {
        "yaw": np.clip(rng.normal(0, 0.45, n), -1, 1),
        "tilt": np.clip(rng.normal(0, 4.5, n), -12, 12),
        "hair_style": rng.choice(len(HAIR_STYLES), n, p=[0.08, 0.14, 0.14, 0.11, 0.13, 0.10, 0.12, 0.08, 0.10]),
        "hair_colour": rng.choice(len(HAIR_COLOURS), n, p=[0.26, 0.28, 0.20, 0.12, 0.14]),
        "glasses": rng.choice(len(GLASSES), n, p=[0.74, 0.14, 0.12]),
        "mouth_curvature": curvature,
        "mouth_openness": np.where(rng.random(n) < 0.5, 0, rng.uniform(0.2, 1, n)),
        "eye_openness": rng.uniform(0.55, 1, n) - 0.2 * (rng.random(n) < 0.12),
        "eye_colour": rng.choice(len(EYE_COLOURS), n, p=[0.5, 0.2, 0.15, 0.15]),
        "lipstick": (rng.random(n) < lipstick[(curvature > SMILE_THRESHOLD).astype(int)]).astype(int),
        "beard": (rng.random(n) < 0.14).astype(int),
        "hat": (rng.random(n) < 0.09).astype(int),
        "light": rng.uniform(-1, 1, n),
    }
    return FaceFactors(**uniform)


def held_still(factors: FaceFactors) -> FaceFactors:
    """The same faces in a laboratory: only mouth, lipstick, glasses, skin, hair colour and background still vary."""
    n = len(factors)
    return replace(factors, **{name: np.full(n, value) for name, value in STILL.items()})


@cache
def split_factors(split: str) -> FaceFactors:
    """The factors of the bundled faces, "train" (6,000) or "test" (1,000)."""
    return sample_factors(SPLIT_SIZES[split], SPLIT_SEEDS[split])


def attributes(factors: FaceFactors) -> tuple[np.ndarray, tuple[str, ...]]:
    """What CelebA's annotators would tick, bool (n, k), and the k names; of hair under a hat nothing is ticked."""
    f, bare = factors, factors.hat == 0
    haired = (f.hair_style > 0) & bare
    ticked = {
        "Smiling": f.mouth_curvature > SMILE_THRESHOLD,
        "Mouth_Slightly_Open": f.mouth_openness > 0.15,
        "Eyeglasses": f.glasses > 0,
        "Bald": (f.hair_style == 0) & bare,
        "Bangs": np.isin(f.hair_style, [i for i, style in enumerate(HAIR_STYLES) if "bangs" in style]) & bare,
        **{f"{c.title()}_Hair": haired & (f.hair_colour == i) for i, c in enumerate(HAIR_COLOURS) if c != "red"},
        "Wavy_Hair": (f.hair_style == HAIR_STYLES.index("curls")) & bare,
        "Wearing_Hat": ~bare,
        "Bushy_Eyebrows": f.brow_thickness > 0.7,
        "Narrow_Eyes": f.eye_openness < 0.6,
        "Pale_Skin": f.skin < 0.12,
        "Rosy_Cheeks": f.blush > 0.7,
        "Wearing_Lipstick": f.lipstick > 0,
        "No_Beard": f.beard == 0,
    }
    return np.stack(list(ticked.values()), axis=1), tuple(ticked)
