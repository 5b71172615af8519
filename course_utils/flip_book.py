"""Pictures to play or to leaf through: they stay in a stored notebook and on its page, without kernel and network."""

import base64
from collections.abc import Callable, Sequence
from html import escape
from io import BytesIO

from IPython.display import HTML
from matplotlib.figure import Figure
from PIL import Image

COLOURS = 12  # of a palette: a page takes some 4 kB
TURN = "[...this.parentNode.querySelectorAll('img')].forEach((page, i) => page.hidden = i != this.value)"
PLAY = """const bar = this.nextElementSibling; clearInterval(bar.timer); bar.value = 0;
bar.timer = setInterval(() => { bar.dispatchEvent(new Event('input'));
if (bar.value == bar.max) { clearInterval(bar.timer); } else { bar.value++; } }, 350)"""


def flip_book(
    draw: Callable[[Figure, int], object], steps: Sequence[int], seen: str, *, size: tuple[float, float] = (7.0, 2.8)
) -> HTML:
    """A button and a slider above one picture for each of `steps`: `draw(figure, step)` on an empty figure.

    The figure is `size` inches large; `seen` says, for the alt text, what happens from the first step to the last.
    """
    pictures = [_page(draw, step, size) for step in steps]
    tags = [
        f'<img alt="{escape(seen)} Step {step}." src="data:image/png;base64,{picture}"{" hidden" if number else ""}>'
        for number, (step, picture) in enumerate(zip(steps, pictures, strict=True))
    ]
    button = f'<button onclick="{PLAY}">play</button>'
    bar = f'<input type="range" value="0" max="{len(steps) - 1}" aria-label="step" oninput="{TURN}">'
    return HTML(f"<div>{button} {bar}<br>{''.join(tags)}</div>")


def _page(draw: Callable[[Figure, int], object], step: int, size: tuple[float, float]) -> str:
    figure = Figure(size, dpi=75, layout="constrained")
    draw(figure, step)
    drawn, reduced = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png", pil_kwargs={"compress_level": 1})
    Image.open(drawn).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(reduced, "PNG", optimize=True)
    return base64.b64encode(reduced.getvalue()).decode()
