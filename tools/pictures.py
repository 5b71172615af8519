"""The README's pictures, taken from the outputs stored in the lessons: `python -m tools.pictures`."""

import base64
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "images"
CELLS = {
    "01_reparameterization": "running-mean-figure",
    "02_kl_divergence": "shape-figure",
    "03_elbo": "rise-figure",
    "04_mnist_conv_vae": "samples",
    "05_latent_interpolation": "manifold",
    "06_smile_arithmetic": "pretrained-figure",
    "07_conditions_and_beta": "style-figure",
    "08_better_priors": "five-rows",
    "09_discrete_codes": "four-figure",
    "10_adversaries": "pinwheel-figure",
    "11_vae_gan_diffusion": "the-figure",
    "12_sequences": "between-figure",
}


def picture(lesson: Path, cell_id: str) -> bytes:
    """The first PNG among the outputs of one cell.  LookupError names what is missing."""
    for cell in nbformat.read(lesson, as_version=4).cells:
        if cell.id == cell_id:
            for output in cell.get("outputs", []):
                if "image/png" in output.get("data", {}):
                    return base64.b64decode(output.data["image/png"])
    raise LookupError(f"{lesson.name} stores no figure in a cell {cell_id!r}; run `make store` or mend CELLS.")


def main() -> int:
    """Write docs/images/NN_name.png for every lesson."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, cell_id in CELLS.items():
        (FOLDER / f"{name}.png").write_bytes(picture(ROOT / "notebooks" / f"{name}.ipynb", cell_id))
    return 0


if __name__ == "__main__":
    sys.exit(main())
