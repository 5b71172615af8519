"""Figures: every function draws arrays on the axes it is given, and returns the axes; `show` displays the result."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

DPI = 120  # dots per inch of every figure that `show` displays
SMALLEST = 9  # points; smaller text cannot be read from the last row
COLOURS = ("#0b5fa5", "#d1495b", "#2e8b57", "#e0a100", "#6a4c93")  # distinct in greyscale and for colour-blind readers
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)))
CLASS_COLOURS = (  # ten that a reader with any two kinds of cones can tell apart
    *("#0000cc", "#e6b300", "#4d4d00", "#00b3e6", "#99804d"),
    *("#66cc99", "#000000", "#6680ff", "#1a0066", "#4d6699"),
)


def show(figure: Figure, seen: str) -> None:
    """Display a figure at DPI; its alt text is its titles, followed by `seen`: what is to be seen in it."""
    titles = [figure.get_suptitle(), *(ax.get_title() for ax in figure.axes)]
    alt = ". ".join([*(title.replace("\n", " ") for title in titles if title), seen])
    plt.close(figure)  # so that the notebook does not display it once more, without the text
    figure.set_dpi(DPI)
    display(figure, metadata={"image/png": {"alt": alt}})


def image_grid(ax: Axes, images: ArrayLike, *, columns: int = 8, title: str = "", captions: Sequence[str] = ()) -> Axes:
    """Images (n, c, h, w) in [0, 1] or uint8 as one sheet, row by row, with an optional short caption under each."""
    height = np.shape(images)[-2]
    sheet, (tall, wide) = _sheet(images, columns, below=height // 3 if captions else 0)
    _show(ax, sheet, title)
    for i, caption in enumerate(captions):
        x, y = (i % columns + 0.5) * wide - 1, i // columns * tall + height
        ax.text(x, y, caption, ha="center", va="top", fontsize=SMALLEST)
    return ax


def image_rows(ax: Axes, rows: Mapping[str, ArrayLike], *, title: str = "", captions: Sequence[str] = ()) -> Axes:
    """Rows of images under each other, each named at its left: {"original": (n, c, h, w), "reconstruction": ...}.

    `captions` name the columns, below the last row.
    """
    stacked = [_as_pixels(images) for images in rows.values()]
    height, width = (side + 1 for side in stacked[0].shape[2:])
    sheet, _ = _sheet(np.concatenate(stacked), max(len(images) for images in stacked))
    _show(ax, sheet, title)
    ax.set_yticks([(i + 0.5) * height - 0.5 for i in range(len(rows))], list(rows), fontsize=SMALLEST)
    ax.set_xticks([(i + 0.5) * width - 0.5 for i in range(len(captions))], list(captions), fontsize=SMALLEST)
    ax.tick_params(length=0)
    return ax


def loss_curves(
    ax: Axes, curves: Mapping[str, Sequence[float]], *, title: str = "", ylabel: str = "nats per image"
) -> Axes:
    """One line per named curve against the epoch, each labelled; drawn apart by colour and by line style."""
    for (label, values), colour, style in zip(curves.items(), _cycle(COLOURS), _cycle(STYLES), strict=False):
        ax.plot(range(1, len(values) + 1), values, color=colour, linestyle=style, marker="o", markersize=3, label=label)
    ax.set(xlabel="epoch", ylabel=ylabel, title=title)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(frameon=False)
    return ax


def loss_parts(axes: Sequence[Axes], runs: Mapping[str, Mapping[str, Sequence[float]]]) -> Sequence[Axes]:
    """Each part of the loss on its own axes, all runs on each: {"one-cycle": {"loss": [...], ...}, ...}."""
    names = next(iter(runs.values()))
    for ax, part in zip(axes, names, strict=True):
        loss_curves(ax, {run: parts[part] for run, parts in runs.items()}, title=part)
    return axes


def kl_per_dimension(ax: Axes, kl: ArrayLike, *, threshold: float = 0.01, title: str = "") -> Axes:
    """Mean KL of every latent dimension (d,), largest first; those below `threshold` nats are hatched as inactive."""
    kl = np.sort(np.asarray(kl, dtype=float))[::-1]
    active = kl > threshold
    bars = ax.bar(range(len(kl)), kl, color=np.where(active, COLOURS[0], "white"), edgecolor=COLOURS[0])
    for bar, is_active in zip(bars, active, strict=True):
        bar.set_hatch("" if is_active else "////")
    ax.set(xlabel="latent dimension, sorted", ylabel="KL, nats per image", title=title)
    ax.xaxis.get_major_locator().set_params(integer=True)
    return ax


def heat_map(
    ax: Axes, values: ArrayLike, *, rows: Sequence[str], columns: Sequence[str], limit: float, title: str = ""
) -> Axes:
    """A table of signed numbers (rows, columns), each in its cell: blue below zero, red above, full at +-limit."""
    values = np.asarray(values, dtype=float)
    if values.shape != (len(rows), len(columns)):
        raise ValueError(f"Expected values of shape ({len(rows)}, {len(columns)}), got {values.shape}.")
    ax.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    ax.set_xticks(range(len(columns)), list(columns), rotation=25, ha="right")
    ax.set_yticks(range(len(rows)), list(rows))
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if abs(value) > 0.6 * limit else "black"
        ax.text(column, row, f"{value:+.2f}", ha="center", va="center", color=colour)
    ax.set(title=title)
    return ax


def latent_scatter(
    ax: Axes, codes: ArrayLike, labels: ArrayLike, names: Sequence[str] = (), *, most: int = 1500, title: str = ""
) -> Axes:
    """The first `most` codes (n, 2) as dots coloured by label (n,), each class's name at the median of all its codes.

    Names stand on the map itself, so that nobody has to match colours with a legend.
    """
    codes, labels = np.asarray(codes, dtype=float), np.asarray(labels)
    if codes.ndim != 2 or codes.shape[1] != 2 or labels.shape != codes.shape[:1]:
        raise ValueError(f"Expected codes (n, 2) and labels (n,), got {codes.shape} and {labels.shape}.")
    halo = [withStroke(linewidth=3, foreground="white")]
    for label, colour in zip(np.unique(labels), _cycle(CLASS_COLOURS)):
        shown, own = codes[:most][labels[:most] == label], codes[labels == label]
        ax.scatter(*shown.T, s=7, color=colour, linewidths=0, alpha=0.7)
        name = names[int(label)] if len(names) else str(label)
        x, y = np.median(own, axis=0)
        style = {"size": 13, "weight": "bold", "path_effects": halo, "clip_on": True}
        ax.text(x, y, name, color=colour, ha="center", va="center", **style)
    ax.set(xlabel="z[0]", ylabel="z[1]", title=title, aspect="equal")
    return ax


def path_on_scatter(ax: Axes, paths: Mapping[str, ArrayLike]) -> Axes:
    """Named paths (steps, 2) over a map of codes: one line each with a dot at every step, drawn apart, in a legend."""
    halo = [withStroke(linewidth=4, foreground="white")]  # zorder: over the dots, under the names
    for (name, path), style in zip(paths.items(), _cycle(STYLES)):
        dots = {"color": COLOURS[1], "linestyle": style, "marker": "o", "markersize": 3.5, "zorder": 2.5}
        ax.plot(*np.asarray(path).T, **dots, path_effects=halo, label=name)
    ax.legend(loc="upper left", fontsize=SMALLEST, handlelength=4)
    return ax


def manifold(ax: Axes, images: ArrayLike, coordinates: ArrayLike, *, title: str = "") -> Axes:
    """Decoded images (n * n, c, h, w) of `manifold_grid`'s coordinates (n * n, 2), with those along the two edges."""
    coordinates = np.asarray(coordinates)
    n = math.isqrt(len(coordinates))
    height, width = (side + 1 for side in np.shape(images)[-2:])
    image_grid(ax, images, columns=n, title=title)
    some = np.unique(np.linspace(0, n - 1, 5).round().astype(int))
    ax.set_xticks((some + 0.5) * width - 1, [f"{z:.1f}" for z in coordinates[some, 0]])
    ax.set_yticks((some + 0.5) * height - 1, [f"{z:.1f}" for z in coordinates[some * n, 1]])
    ax.tick_params(length=0)
    ax.set(xlabel="z[0]", ylabel="z[1]")
    return ax


def _as_pixels(images: ArrayLike) -> np.ndarray:
    pixels = np.asarray(images)
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3):
        raise ValueError(f"Expected images (n, 1 or 3, h, w), got shape {pixels.shape}. Add or move the channel axis.")
    return pixels / 255 if pixels.dtype == np.uint8 else pixels.clip(0, 1)


def _sheet(images: ArrayLike, columns: int, below: int = 0) -> tuple[np.ndarray, tuple[int, int]]:
    """Images laid out with white gaps (one pixel, and `below` more under each), as (H, W[, 3]), and one cell's size."""
    pixels = np.pad(_as_pixels(images), ((0, 0), (0, 0), (0, 1 + below), (0, 1)), constant_values=1.0)
    n, channels, height, width = pixels.shape
    rows = -(-n // columns)
    pixels = np.concatenate([pixels, np.ones((rows * columns - n, channels, height, width))])
    sheet = pixels.reshape(rows, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    sheet = sheet.reshape(rows * height, columns * width, channels)[:-1, :-1]
    return (sheet[..., 0] if channels == 1 else sheet), (height, width)


def _show(ax: Axes, sheet: np.ndarray, title: str) -> None:
    ax.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set(xticks=[], yticks=[], title=title)
    plt.setp(ax.spines.values(), visible=False)


def _cycle(values: Sequence) -> list:
    return list(values) * 10
