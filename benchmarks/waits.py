"""How long a student waits for faces and for sliders: `python -m benchmarks.waits`, without data and without training.

Drawn faces stand in for CelebA's photographs, written in CelebA's own layout. Each figure has a yardstick that was
measured in the same run, since machines differ and are shared.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from course_utils.drawn_faces.drawing import draw
from course_utils.drawn_faces.factors import attributes, sample_factors
from course_utils.latent import decode
from course_utils.models import VAE, ConvVAE, FaceVAE
from course_utils.sources.celeba import write_celeba
from course_utils.widgets import latent_explorer, smile_slider

CELEBA = 202_599


def milliseconds(work: Callable[[float], object], values: np.ndarray) -> float:
    """Median wall clock of a call over `values`."""
    lasted = []
    for value in values:
        start = time.perf_counter()
        work(value)
        lasted.append(1_000 * (time.perf_counter() - start))
    return statistics.median(lasted)


CROP = """
import sys, time
from pathlib import Path
from course_utils.sources.celeba import read_celeba
start = time.perf_counter()
faces = sum(len(read_celeba(Path(sys.argv[1]), split)[0]) for split in ("train", "test"))
lasted, status = time.perf_counter() - start, Path("/proc/self/status")
peak = status.read_text().split("VmHWM:")[1].split()[0] if status.exists() else "nan"  # kB; Linux alone tells
print(faces, lasted, peak)
"""


def cropped(folder: Path) -> tuple[int, float, float]:
    """How many faces a process of its own crops from CelebA's files, its seconds, and the most memory it held, MB."""
    done = subprocess.run([sys.executable, "-c", CROP, str(folder)], stdout=subprocess.PIPE, text=True, check=True)
    number, lasted, peak = done.stdout.split()
    return int(number), float(lasted), float(peak) / 1e3


def faces(number: int) -> pd.DataFrame:
    """Draw `number` faces and crop them from CelebA's files: seconds, and minutes for as many as CelebA has."""
    factors = sample_factors(number, seed=0)
    start = time.perf_counter()
    images = draw(factors)
    drawing = 1_000 * (time.perf_counter() - start) / number
    with tempfile.TemporaryDirectory() as folder:
        write_celeba(Path(folder) / "celeba", images, *attributes(factors))
        done, lasted, peak = cropped(Path(folder))
    cropping = 1_000 * lasted / done
    rows = {
        "drawing": {"s per 1,000": drawing, "s for 6,000": 6 * drawing},
        "cropping": {"s per 1,000": cropping, "min for CelebA": cropping * CELEBA / 60_000, "peak, MB": peak},
    }
    return pd.DataFrame(rows).T.assign(ratio=lambda table: table["s per 1,000"] / drawing)


def redraws(moves: int = 30) -> pd.DataFrame:
    """Median milliseconds from a slider's move to the new picture, beside those of the network alone."""
    codes = np.random.default_rng(0).standard_normal((1_500, 2))
    decode_digit, decode_face = decoder(ConvVAE(latent_dim=2)), decoder(FaceVAE((1, 64, 64)))
    explorer = latent_explorer(decode_digit, codes, np.arange(1_500) % 10)
    smile = smile_slider(decode_face, np.zeros(200), np.ones(200))
    places = np.linspace(-2, 2, moves)
    rows = {}
    for name, slider, pictures, z in (
        ("explorer", explorer.sliders[0], decode_digit, np.ones((1, 2), np.float32)),
        ("smile slider", smile.slider, decode_face, np.ones((1, 200), np.float32)),
    ):
        moved = milliseconds(partial(setattr, slider, "value"), places)
        alone = milliseconds(lambda x, f=pictures, z=z: f(x * z), places)
        rows[name] = {"redraw, ms": moved, "network alone, ms": alone}
    table = pd.DataFrame(rows).T
    return table.assign(ratio=table["redraw, ms"] / table["network alone, ms"])


def decoder(model: VAE) -> Callable[[np.ndarray], np.ndarray]:
    """Images (n, c, h, w) in [0, 1] from float codes (n, d), as the lessons' sliders ask for them."""

    return lambda z: decode(model, torch.from_numpy(z).float()).numpy()


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waits", description=__doc__.split("\n")[0])
    parser.add_argument("--faces", type=int, default=2_000, help="to draw, to write in CelebA's layout, and to crop")
    arguments = parser.parse_args()
    print(redraws().round(2).to_string())
    print(faces(arguments.faces).round(2).to_string(na_rep=""))


if __name__ == "__main__":
    main()
