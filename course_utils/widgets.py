"""Sliders that redraw a picture; a page without a kernel shows a static sheet in their place."""

import base64
from collections.abc import Callable, Sequence
from html import escape
from io import BytesIO

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike
from PIL import Image

from course_utils.plotting import CLASS_COLOURS, latent_scatter

# The handler stands in the attribute, not in a script: a copy of the map in another notebook finds its own digit.
_POINTER_MAP = """<div style="background: white; color: black; padding: 6px">
<p style="margin: 0 0 6px"><b>{title}</b></p>
<div style="display: flex; flex-wrap: wrap; gap: 12px; align-items: center">
<img width="{side}" height="{side}" style="touch-action: none; cursor: crosshair" src="{map}" alt="{title}. A map: \
every code is a dot in the colour of its class, whose name stands at its median." onpointermove="\
const box = this.getBoundingClientRect(), digit = this.nextElementSibling, n = {places}, \
at = (share) => Math.min(n - 1, Math.max(0, Math.floor(n * share))), \
column = at((event.clientX - box.left) / box.width), row = at((event.clientY - box.top) / box.height), \
z = [column - (n - 1) / 2, (n - 1) / 2 - row].map((k) => ({step} * k).toFixed(1)); \
digit.firstElementChild.style.backgroundPosition = `${{-column * {shown}}}px ${{-row * {shown}}}px`; \
digit.lastElementChild.textContent = `z = (${{z.join(', ')}})`;">
<div><div style="width: {shown}px; height: {shown}px; background: url({sheet}) {middle}px {middle}px / {places}00% \
{places}00%; image-rendering: pixelated" role="img" aria-label="the decoded digit at this place"></div>
<p style="margin: 6px 0; text-align: center">z = (0.0, 0.0)</p></div>
</div></div>"""

FILM_COLOURS = 48


def latent_explorer(
    decode: Callable[[np.ndarray], ArrayLike],
    codes: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    names: Sequence[str] = (),
    *,
    base: ArrayLike = (0.0, 0.0),
    dims: tuple[int, int] = (0, 1),
    limit: float = 3.0,
    side: int = 280,
) -> ipywidgets.HBox:
    """Two sliders that move z from `base` (d,) along two dimensions, beside the decoded image.

    `decode` maps float32 z (1, d) to images (1, 1 or 3, h, w) in [0, 1]. With codes (n, 2) and labels (n,), a map shows
    where z is. The box carries its parts: `sliders`, `picture` and `map` (None without codes), both PNG.
    """
    base = np.asarray(base, dtype=np.float32)
    sliders = [_slider(f"z[{dim}]", float(base[dim]), limit) for dim in dims]
    picture = ipywidgets.Image(format="png", width=side, height=side)
    chart = None if codes is None else _Map(codes, labels, names, side, limit)

    def redraw(_: object = None) -> None:
        z = base.copy()
        z[list(dims)] = [slider.value for slider in sliders]
        picture.value = _png(_enlarged(np.asarray(decode(z[None]))[0], side))
        if chart is not None:
            chart.mark(*z[list(dims)])

    for slider in sliders:
        slider.observe(redraw, names="value")
    redraw()
    maps = [chart.picture] if chart is not None else []
    box = ipywidgets.HBox([ipywidgets.VBox([*sliders, picture]), *maps])
    box.sliders, box.picture, box.map = sliders, picture, maps[0] if maps else None
    return box


def pointer_map(
    decode: Callable[[np.ndarray], ArrayLike],
    codes: ArrayLike,
    labels: ArrayLike,
    names: Sequence[str] = (),
    *,
    title: str = "",
    limit: float = 3.0,
    places: int = 21,
    side: int = 480,
) -> HTML:
    """A map of all codes (n, 2) by label (n,), beside it the decoded image of the place under the pointer.

    `decode` maps float32 z (n, 2) to grey images (n, 1, h, w) in [0, 1]. It is asked once, for the middles of
    `places` x `places` squares of the map, which therefore needs no kernel; without scripts the middle one stays.
    """
    line = (np.arange(places, dtype=np.float32) - (places - 1) / 2) * (2 * limit / places)
    grid = np.stack([np.tile(line, places), np.repeat(line[::-1], places)], axis=1)
    parts = {
        "title": escape(title),
        "map": _embedded(_full_map(codes, labels, names, side, limit), colours=32),
        "sheet": _embedded(_page(np.asarray(decode(grid)), places), colours=8),
        "places": places,
        "step": 2 * limit / places,
        "side": side,
        "shown": side // 2,
        "middle": -(places // 2) * (side // 2),
    }
    return HTML(_POINTER_MAP.format_map(parts))


def smile_slider(
    decode: Callable[[np.ndarray], ArrayLike],
    z: ArrayLike,
    direction: ArrayLike,
    *,
    limit: float = 3.0,
    side: int = 256,
) -> ipywidgets.VBox:
    """One slider for alpha above the decoded z + alpha * direction, both (d,); `decode` as for `latent_explorer`.

    The box carries its parts: `slider` and `picture`, a PNG.
    """
    z, direction = np.asarray(z, dtype=np.float32), np.asarray(direction, dtype=np.float32)
    if z.ndim != 1 or z.shape != direction.shape:
        raise ValueError(f"Expected z and direction of one length (d,), got {z.shape} and {direction.shape}.")
    slider = _slider("alpha", 0.0, limit)
    picture = ipywidgets.Image(format="png", width=side, height=side)

    def redraw(_: object = None) -> None:
        edited = z + np.float32(slider.value) * direction
        picture.value = _png(_enlarged(np.asarray(decode(edited[None]))[0], side))

    slider.observe(redraw, names="value")
    redraw()
    box = ipywidgets.VBox([slider, picture])
    box.slider, box.picture = slider, picture
    return box


def plot_sliders(
    draw: Callable[..., object], *, size: tuple[float, float] = (6.0, 3.2), **ranges: tuple[float, float, float]
) -> ipywidgets.VBox:
    """A slider for each range (lowest, highest, start) above a plot: `draw(axes, name=value, ...)` on empty axes.

    The figure is `size` inches large. The box carries its parts: `sliders` and `picture`, a PNG.
    """
    figure = Figure(size, dpi=100, layout="constrained")
    axes = figure.add_subplot()
    sliders = {name: _between(name, *limits) for name, limits in ranges.items()}
    picture = ipywidgets.Image(format="png")

    def redraw(_: object = None) -> None:
        axes.clear()
        draw(axes, **{name: slider.value for name, slider in sliders.items()})
        buffer = BytesIO()
        figure.savefig(buffer, format="png", pil_kwargs={"compress_level": 1})
        picture.value = buffer.getvalue()
        figure.set_layout_engine("none")  # laid out at the first drawing; once more each time would double the wait

    for slider in sliders.values():
        slider.observe(redraw, names="value")
    redraw()
    box = ipywidgets.VBox([*sliders.values(), picture])
    box.sliders, box.picture = list(sliders.values()), picture
    return box


def _between(name: str, low: float, high: float, start: float) -> ipywidgets.FloatSlider:
    return ipywidgets.FloatSlider(value=start, min=low, max=high, step=(high - low) / 100, description=name)


def animation(frames: ArrayLike, *, seen: str, milliseconds: int = 120, side: int = 256) -> HTML:
    """Images (n, 1 or 3, h, w) in [0, 1] as a film that plays without a kernel; `seen` is its alt text."""
    shown = (Image.fromarray(_enlarged(frame, frame.shape[1]).copy()) for frame in np.asarray(frames))
    pictures = [picture.quantize(FILM_COLOURS, dither=Image.Dither.NONE) for picture in shown]
    buffer = BytesIO()
    pictures[0].save(buffer, format="gif", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0)
    data = base64.b64encode(buffer.getvalue()).decode()
    style = f"width: {side}px; image-rendering: pixelated"
    return HTML(f'<img src="data:image/gif;base64,{data}" alt="{escape(seen)}" style="{style}">')


class _Map:
    """A scatter of codes that is rendered once; marking a place only repaints a small cross on a copy."""

    def __init__(
        self, codes: ArrayLike, labels: ArrayLike | None, names: Sequence[str], side: int, limit: float
    ) -> None:
        figure, ax = plt.subplots(figsize=(side / 100 * 1.3, side / 100 * 1.3), dpi=100)
        if labels is None:
            labels, names = np.zeros(len(np.asarray(codes)), int), [""]
        latent_scatter(ax, codes, labels, names)
        ax.set(xlim=(-limit, limit), ylim=(-limit, limit))
        figure.tight_layout()
        figure.canvas.draw()
        self.background = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
        self.to_pixels = ax.transData.frozen().transform
        plt.close(figure)
        self.picture = ipywidgets.Image(format="png")

    def mark(self, x: float, y: float) -> None:
        """Paint a black cross with a white edge at (x, y); the axes' margin is wider than the cross."""
        image = self.background.copy()
        column, row = self.to_pixels((x, y)).round().astype(int)
        row = len(image) - 1 - row
        for colour, half, reach in ((255, 2, 9), (0, 1, 8)):
            image[row - half : row + half, column - reach : column + reach] = colour
            image[row - reach : row + reach, column - half : column + half] = colour
        self.picture.value = _png(image)


def _full_map(codes: ArrayLike, labels: ArrayLike, names: Sequence[str], side: int, limit: float) -> np.ndarray:
    """All codes on axes that fill the picture, so that a place is a share of its sides: (side, side, 3) uint8."""
    codes, labels = np.asarray(codes), np.asarray(labels)
    figure = Figure((side / 100, side / 100), dpi=100)
    canvas, ax = FigureCanvasAgg(figure), figure.add_axes((0, 0, 1, 1))
    latent_scatter(ax, codes, labels, names, most=0)
    for label, colour in zip(np.unique(labels), CLASS_COLOURS * 10):
        ax.scatter(*codes[labels == label].T, s=3, color=colour, linewidths=0, antialiased=False, zorder=0.5)
    for text in ax.texts:
        text.set(size=18, path_effects=[withStroke(linewidth=5, foreground="white")])
    inside = np.linspace(-limit, limit, 7)[1:-1]
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=inside, yticks=inside)
    ax.tick_params(direction="in", pad=-16)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def _page(images: np.ndarray, columns: int) -> np.ndarray:
    """Grey images (n, 1, h, w) in [0, 1], row by row without gaps -> (H, W, 3) uint8."""
    pixels = (images[:, 0].clip(0, 1) * 255).round().astype(np.uint8)
    rows = pixels.reshape(-1, columns, *pixels.shape[1:]).transpose(0, 2, 1, 3)
    return np.repeat(rows.reshape(-1, columns * pixels.shape[2], 1), 3, axis=2)


def _embedded(pixels: np.ndarray, colours: int) -> str:
    """A PNG of few colours as a data URL."""
    buffer = BytesIO()
    Image.fromarray(pixels).quantize(colours, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _slider(name: str, value: float, limit: float) -> ipywidgets.FloatSlider:
    return ipywidgets.FloatSlider(value=value, min=-limit, max=limit, step=limit / 60, description=name)


def _enlarged(image: np.ndarray, side: int) -> np.ndarray:
    """(c, h, w) in [0, 1] -> (H, W, 3) uint8, every pixel repeated to make about `side` of them."""
    times = max(side // image.shape[1], 1)
    pixels = (image.clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)
    return np.broadcast_to(pixels.repeat(times, 0).repeat(times, 1), (*np.multiply(pixels.shape[:2], times), 3))


def _png(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    plt.imsave(buffer, np.ascontiguousarray(pixels), format="png", pil_kwargs={"compress_level": 1})
    return buffer.getvalue()
