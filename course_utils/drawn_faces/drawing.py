"""Faces drawn from their factors, layer over layer."""

import colorsys
from collections.abc import Callable
from copy import copy
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from course_utils.drawn_faces.factors import HAIR_STYLES, RANGES, YAW_DEGREES, FaceFactors

SIDE = 64
CHUNK = 48  # faces drawn at a time; their layers then stay in the processor's cache


def draw(factors: FaceFactors) -> np.ndarray:
    """The faces in RGB, uint8 (n, 3, 64, 64), the same for the same factors.  ValueError outside a factor's range."""
    for name, (low, high) in RANGES.items():
        values = getattr(factors, name)
        if len(values) != len(factors) or not np.all((values >= low) & (values <= high)):
            raise ValueError(f"{name} must be {len(factors)} numbers from {low} to {high}, like the other factors.")
    images = np.empty((len(factors), 3, SIDE, SIDE), np.uint8)
    for start in range(0, len(factors), CHUNK):
        part = slice(start, start + CHUNK)
        images[part] = (_Sketch(factors[part]).face().clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return images


# --- drawing: signed distances in units of half an image, negative inside, painted layer over layer ---

_HAIR_RGB = np.float32(
    [[0.13, 0.11, 0.13], [0.40, 0.24, 0.14], [0.93, 0.76, 0.42], [0.74, 0.74, 0.77], [0.72, 0.33, 0.12]]
)
_SKIN_RGB = np.float32(
    [
        [0.99, 0.88, 0.80],
        [0.97, 0.80, 0.67],
        [0.90, 0.68, 0.51],
        [0.76, 0.53, 0.37],
        [0.58, 0.38, 0.26],
        [0.42, 0.27, 0.19],
    ]
)
_EYE_RGB = np.float32([[0.30, 0.18, 0.10], [0.22, 0.42, 0.66], [0.25, 0.50, 0.32], [0.42, 0.34, 0.18]])
_LIPSTICK_RGB = np.float32([0.80, 0.07, 0.20])
_FRAME_RGB = np.float32([0.12, 0.12, 0.18])
_ZOOM = 0.86  # half of the image's side, in the units of the drawing
_LOW = 0.03  # the height of the image's centre
_PIXEL = 2 * _ZOOM / SIDE


class _Style(NamedTuple):
    """The mane hangs behind the head; the crown lies over it, down to the hair line (height, slope, bend)."""

    mane: tuple[float, float, float] | None = None  # height of its centre, half width, half height
    length: float = -0.9  # where the mane's straight sides end
    line: tuple[float, float, float] = (-0.9, 0, 0)
    crown: tuple[float, float] = (0.01, 0.01)  # half width, half height
    lumps: float = 0.0
    bun: float = 0.0


_STYLES = {
    "bald": _Style(),
    "crop": _Style(line=(-0.38, 0, 1.6), crown=(0.53, 0.66)),
    "side part": _Style(line=(-0.32, 0.42, 1.3), crown=(0.55, 0.72)),
    "bob with bangs": _Style((0.02, 0.63, 0.70), 0.42, (-0.19, 0, 0.3), (0.60, 0.73)),
    "long": _Style((0.0, 0.61, 0.72), 0.95, (-0.46, 0, 2.6), (0.58, 0.73)),
    "long with bangs": _Style((0.0, 0.62, 0.72), 0.95, (-0.19, 0, 0.4), (0.59, 0.73)),
    "curls": _Style((-0.12, 0.72, 0.66), -0.9, (-0.34, 0, 1.2), (0.60, 0.72), 0.045),
    "bun": _Style((-0.75, 0.20, 0.18), -0.9, (-0.42, 0, 1.7), (0.54, 0.69), 0.0, 1.0),
    "tousled": _Style(line=(-0.30, -0.18, 1.3), crown=(0.56, 0.74), lumps=0.05),
}
_EARS_HIDDEN = [i for i, look in enumerate(_STYLES.values()) if look.length > 0]


def _cover(distance: np.ndarray) -> np.ndarray:
    """The share of a pixel that lies inside a shape, from the signed distance of its centre."""
    return np.clip(0.5 - distance * np.float32(1 / _PIXEL), 0, 1)


def _ellipse(x: np.ndarray, y: np.ndarray, rx: ArrayLike, ry: ArrayLike) -> np.ndarray:
    """About the signed distance from an ellipse round the origin: (f² - 1) / 2 over the length of its gradient."""
    x, y = x / rx, y / ry
    x2, y2 = x * x, y * y
    return 0.5 * (x2 + y2 - 1) / np.sqrt(x2 / rx**2 + y2 / ry**2 + 1e-6)


def _hsv(hue: np.ndarray, saturation: float, value: ArrayLike) -> np.ndarray:
    """Colours (n, 3) on a circle of hues."""
    values = np.broadcast_to(value, hue.shape)
    return np.float32([colorsys.hsv_to_rgb(h, saturation, v) for h, v in zip(hue, values, strict=True)])


def _paint(canvas: np.ndarray, cover: np.ndarray, colour: ArrayLike, light: np.ndarray | None = None) -> None:
    """Lay a colour, (3,) or (n, 3), times `light` (n, h, w), on a canvas (n, 3, h, w) where `cover` (n, h, w) says."""
    colour = np.broadcast_to(np.float32(colour), canvas.shape[:2])
    for channel in range(3):
        plane, tone = canvas[:, channel], colour[:, channel, None, None]
        plane += cover * ((tone if light is None else tone * light) - plane)


class _Sketch:
    """Some faces on their canvas; (x, y) is the image, (u, v) the tilted head, (a, v) the face as the yaw turns it."""

    def __init__(self, factors: FaceFactors) -> None:
        self.factors = factors
        self.f = FaceFactors(**{name: np.float32(getattr(factors, name))[:, None, None] for name in RANGES})
        axis = _ZOOM * ((np.arange(SIDE, dtype=np.float32) + 0.5) / (SIDE / 2) - 1)
        self.x, self.y = axis[None, None, :], axis[None, :, None] + np.float32(_LOW)
        tilt, yaw = np.deg2rad(self.f.tilt), np.deg2rad(YAW_DEGREES * self.f.yaw)
        self.u = self.x * np.cos(tilt) + (self.y - 0.7) * np.sin(tilt)
        self.v = (self.y - 0.7) * np.cos(tilt) - self.x * np.sin(tilt) + 0.64
        globe = np.sqrt(np.maximum(0.64**2 - self.u * self.u, 0.02))
        self.a = self.u * np.cos(yaw) - globe * np.sin(yaw)
        below = np.maximum(self.v, 0)
        self.head = _ellipse(self.u, self.v - 0.03, 0.50 * self.f.face_width * (1 - 0.28 * below * below), 0.60)
        self.canvas = np.empty((len(factors), 3, SIDE, SIDE), np.float32)
        self._mix_colours()

    def _mix_colours(self) -> None:
        f = self.factors
        place = f.skin * (len(_SKIN_RGB) - 1)
        low = np.minimum(place.astype(int), len(_SKIN_RGB) - 2)
        share = np.float32(place - low)[:, None]
        self.skin = _SKIN_RGB[low] * (1 - share) + _SKIN_RGB[low + 1] * share
        self.hair = (_HAIR_RGB[f.hair_colour] * np.float32(f.hair_shade)[:, None]).clip(0, 1)
        rosy = np.float32([0.12, 0, 0.03]) * np.float32(1 + f.skin)[:, None]
        natural = self.skin * np.float32([0.72, 0.46, 0.48]) + rosy
        self.lips = np.where(f.lipstick[:, None] > 0, _LIPSTICK_RGB, natural)

    def face(self) -> np.ndarray:
        """All layers, back to front: float (n, 3, 64, 64), about 0 to 1."""
        f = self.factors
        self._background()
        for style, look in enumerate(_STYLES.values()):
            if look.mane:
                self._only(f.hair_style == style, _Sketch._mane)
        self._body()
        self._only(~np.isin(f.hair_style, _EARS_HIDDEN), _Sketch._ears)
        self._head()
        self._nose()
        self._only(f.beard > 0, _Sketch._beard)
        self._eyes()
        self._mouth()
        for style in range(1, len(_STYLES)):
            self._only(f.hair_style == style, _Sketch._crown)
        self._brows()
        self._only(f.hat > 0, _Sketch._hat)
        self._only(f.glasses > 0, _Sketch._glasses)
        return self.canvas

    def _only(self, chosen: np.ndarray, layer: Callable[["_Sketch"], None]) -> None:
        """Paint a layer on the chosen faces, a mask (n,), and leave the others as they are."""
        if not chosen.any():
            return
        part = copy(self)
        part.factors, part.f = self.factors[chosen], self.f[chosen]
        for name in ("u", "v", "a", "head", "canvas", "skin", "hair", "lips"):
            setattr(part, name, getattr(self, name)[chosen])
        layer(part)
        self.canvas[chosen] = part.canvas

    def _window(self, top: float, bottom: float, half_width: float = 1.0) -> tuple[slice, slice]:
        """Rows and columns of the image between two heights y and within a distance of the middle."""
        rows = (np.array([top, bottom]) - _LOW + _ZOOM) / _PIXEL
        first = max(0, int((_ZOOM - half_width) / _PIXEL))
        return slice(max(0, int(rows[0])), int(rows[1]) + 1), slice(first, SIDE - first)

    def _background(self) -> None:
        f = self.factors
        glow = 1.10 - 0.22 * (self.x**2 + (self.y + 0.1) ** 2)
        self.canvas[:] = (
            _hsv(0.08 + 0.58 * f.background_hue, 0.30, 0.52 + 0.40 * f.background_lightness)[:, :, None, None]
            * glow[:, None]
        )

    def _lumps(self, size: float) -> np.ndarray | float:
        return size * np.sin(15 * self.u) * np.sin(15 * self.v + 0.6) if size else 0.0

    def _hair_light(self, level: float, lumps: ArrayLike = 0.0) -> np.ndarray:
        """How bright the hair is (n, h, w): strands, and a soft band of gloss across the crown."""
        height = (self.v + 0.50 + 0.25 * self.u * self.u) * 10
        gloss = 0.32 * np.exp(-height * height)
        return level * (1 + gloss) + 0.05 * np.sin(34 * self.a) + 3.5 * lumps + 0.15 * self.f.light * self.u

    def _mane(self) -> None:
        look = _STYLES[HAIR_STYLES[self.factors.hair_style[0]]]
        centre, width, height = look.mane
        lumps = self._lumps(look.lumps)
        distance = _ellipse(self.u, self.v - centre, width, height) + lumps
        if look.length > 0:
            sides = np.abs(self.u) - width * (1 - 0.12 * np.maximum(self.v, 0))
            distance = np.minimum(distance, np.maximum(np.maximum(sides, self.v - look.length), -self.v))
        _paint(self.canvas, _cover(distance), self.hair, self._hair_light(1.0 if look.bun else 0.78, lumps))

    def _body(self) -> None:
        rows, _ = self._window(0.45, 1)
        canvas, x, y = self.canvas[:, :, rows], self.x, self.y[:, rows]
        lit = 1 + 0.25 * self.f.light * x
        _paint(
            canvas,
            _cover(_ellipse(x, y - 1.22, 0.80, 0.50)),
            _hsv(0.08 + 0.58 * self.factors.clothes_hue, 0.50, 0.72),
            lit,
        )
        neck = np.minimum(np.maximum(np.abs(x) - 0.17, y - 0.80), _ellipse(x, y - 0.78, 0.22, 0.10))
        _paint(canvas, _cover(neck), self.skin, 0.86 - 0.16 * np.clip((0.85 - y) * 4, 0, 1) + 0.08 * self.f.light * x)

    def _ears(self) -> None:
        rows, columns = self._window(-0.3, 0.45)
        part = np.s_[..., rows, columns]
        side = np.abs(self.a[part] * 0.55 + self.u[part] * 0.45) - 0.50 * self.f.face_width
        ear = _ellipse(side, self.v[part] - 0.06, 0.085, 0.12)
        _paint(self.canvas[part], _cover(ear), self.skin * np.float32([0.93, 0.86, 0.85]))

    def _head(self) -> None:
        rows, columns = self._window(-0.62, 0.76, 0.68)
        part = np.s_[..., rows, columns]
        canvas, u, v, a, head = (getattr(self, name)[part] for name in ("canvas", "u", "v", "a", "head"))
        bright = 1.02 + 0.36 * self.f.light * u - 0.10 * (v + 0.1) ** 2 - 0.30 * np.maximum(head + 0.16, 0)
        _paint(canvas, _cover(head), self.skin, bright)
        across, down = (np.abs(a) - 0.29) / 0.11, (v - 0.24) / 0.085
        rosy = np.exp(-across * across - down * down) * (0.10 + 0.32 * self.f.blush)
        _paint(canvas, rosy * _cover(head), self.skin * np.float32([1.05, 0.55, 0.58]), bright)

    def _nose(self) -> None:
        part = np.s_[..., *self._window(0.02, 0.45, 0.45)]
        a, v = self.a[part], self.v[part]
        shade = np.exp(-((a / 0.075) ** 2) - ((v - 0.235) / 0.035) ** 2)
        shine = np.exp(-(((a - 0.03 * self.f.light) / 0.035) ** 2) - ((v - 0.16) / 0.06) ** 2)
        self.canvas[part] *= (1 - 0.30 * shade + 0.09 * shine)[:, None]

    def _beard(self) -> None:
        bare = _ellipse(self.a, self.v - 0.20, 0.43, 0.37)
        distance = np.maximum(np.maximum(self.head - 0.03, -bare), 0.06 - self.v)
        _paint(self.canvas, _cover(distance), self.hair, 0.90 + 0.25 * self.f.light * self.u)

    def _eyes(self) -> None:
        part = np.s_[..., *self._window(-0.22, 0.36, 0.62)]
        canvas, a, v, tall = self.canvas[part], self.a[part], self.v[part] - 0.02, 0.14 * self.f.eye_openness
        eye = _ellipse(np.abs(a) - 0.215, v, 0.122, tall)
        inside = _cover(eye)
        _paint(canvas, inside, (1, 1, 1), 0.98 - 0.22 * np.clip(-v * 8, 0, 1))
        local, iris = np.where(a < 0, a + 0.205, a - 0.205), _EYE_RGB[self.factors.eye_colour]
        _paint(canvas, _cover(_ellipse(local, v, 0.083, 0.088)) * inside, iris)
        _paint(canvas, _cover(_ellipse(local, v, 0.046, 0.050)) * inside, iris * 0.12)
        _paint(canvas, _cover(_ellipse(local - 0.03, v + 0.035, 0.028, 0.030)) * inside, (1, 1, 1))
        lash = np.maximum(np.abs(eye - 0.012) - 0.017, v + 0.35 * tall)
        _paint(canvas, _cover(lash) * 0.9, self.skin * 0.16 + 0.02)

    def _brows(self) -> None:
        part = np.s_[..., *self._window(-0.45, 0.06, 0.62)]
        f, side = self.f, np.abs(self.a[part]) - 0.225
        height = -0.225 - 0.05 * f.brow_raise + 1.6 * side * side + 0.28 * f.brow_angle * side
        thick = (0.018 + 0.026 * f.brow_thickness) * (1.2 - 2.2 * np.maximum(side, 0))
        distance = np.maximum(np.abs(self.v[part] - height) - thick, np.abs(side) - 0.125)
        _paint(self.canvas[part], _cover(distance), self.hair * 0.62 + self.skin * 0.06)

    def _mouth(self) -> None:
        part = np.s_[..., *self._window(0.18, 0.74, 0.55)]
        canvas, a, v, f = self.canvas[part], self.a[part], self.v[part], self.f
        half = 0.19 + 0.03 * f.mouth_curvature
        t2 = (a / half) ** 2
        bow = v - 0.385 - 0.155 * f.mouth_curvature * (0.38 - t2)
        steep = np.sqrt(1 + (0.31 * f.mouth_curvature * a / half**2) ** 2)
        gape = 0.14 * f.mouth_openness * np.maximum(1 - t2, 0)
        upper, lower, beside = (-bow - 0.5 * gape) / steep, (bow - 0.5 * gape) / steep, np.abs(a) - half
        rim = (0.028 + 0.012 * f.lipstick) * (1 - 0.45 * np.minimum(t2, 1))
        _paint(canvas, _cover(np.maximum(np.maximum(upper - rim, lower - rim * 1.35), beside - 0.012)), self.lips)
        inside = _cover(np.maximum(np.maximum(upper, lower), beside))
        _paint(canvas, inside, (0.36, 0.07, 0.09))
        _paint(canvas, inside * _cover(bow + 0.02 * gape) * (f.mouth_openness > 0), (0.98, 0.96, 0.93))
        tongue = _ellipse(a, bow - 0.6 * gape, 0.10, 0.05)
        _paint(canvas, inside * _cover(tongue) * (f.mouth_openness > 0), (0.85, 0.36, 0.38))

    def _crown(self) -> None:
        look = _STYLES[HAIR_STYLES[self.factors.hair_style[0]]]
        (middle, slope, bend), a, v = look.line, self.a, self.v
        lumps = self._lumps(look.lumps)
        line = middle + slope * a + bend * a * a + 0.35 * lumps
        if middle > -0.25:  # bangs are cut unevenly
            line = line + 0.012 * np.sin(38 * a)
        crown = _ellipse(self.u, v - 0.02, *look.crown) + lumps
        shadow = np.clip((line + 0.07 - v) * 14, 0, 1) * (self.head < 0)
        self.canvas *= (1 - 0.13 * shadow)[:, None]
        distance = np.maximum(np.maximum(crown, (v - line) * 0.8), v - 0.12)
        _paint(self.canvas, _cover(distance), self.hair, self._hair_light(1.0, lumps))

    def _hat(self) -> None:
        u, v = self.u, self.v
        edge = -0.30 + 0.10 * u * u
        dome = np.maximum(_ellipse(u, v + 0.10, 0.57, 0.64), v - edge)
        pompon = _ellipse(u, v + 0.75, 0.13, 0.12)
        band = np.maximum(np.abs(u) - 0.585 + 0.2 * np.abs(v - edge + 0.08), np.abs(v - edge + 0.06) - 0.085)
        wool, knit = _hsv(0.9 * self.factors.hat_hue, 0.58, 0.80), 1 + 0.06 * np.sin(30 * u) + 0.2 * self.f.light * u
        _paint(self.canvas, _cover(np.minimum(dome, pompon)), wool, knit)
        _paint(self.canvas, _cover(band), wool * 0.55 + 0.42, knit)

    def _glasses(self) -> None:
        side, v = np.abs(self.a) - 0.225, self.v - 0.03
        corner = np.maximum(np.abs(side) - 0.135, 0) ** 2 + np.maximum(np.abs(v) - 0.095, 0) ** 2
        lens = np.where(self.f.glasses == 1, _ellipse(side, v, 0.175, 0.165), np.sqrt(corner) - 0.045)
        bridge = np.maximum(np.abs(v + 0.03) - 0.018, np.abs(self.a) - 0.06)
        arms = np.maximum(np.maximum(np.abs(v + 0.04) - 0.016, 0.16 - side), self.head)
        _paint(self.canvas, _cover(lens) * 0.14, (1, 1, 1))
        _paint(self.canvas, _cover(np.minimum(np.minimum(np.abs(lens) - 0.021, bridge), arms)), _FRAME_RGB)
