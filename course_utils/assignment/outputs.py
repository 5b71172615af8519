"""What a kept run makes of images, and what it draws from the prior."""

import torch
from torch import Tensor

from course_utils.assignment.runs import read_run
from course_utils.batching import to_unit


@torch.no_grad()
def outputs(path: str, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A kept run's x, x_logits, mu, logvar for uint8 images (n, c, h, w), each decoded from its posterior mean."""
    model, x = read_run(path).model, to_unit(images)
    mu, logvar = model.encode(x)
    return x, model.decode(mu), mu, logvar


@torch.no_grad()
def samples(path: str, n: int, seed: int = 0) -> Tensor:
    """n pictures (n, c, h, w) from the prior, with the same latent vectors for every run."""
    model = read_run(path).model
    z = torch.randn(n, model.latent_dim, generator=torch.Generator().manual_seed(seed))
    return model.decode(z).sigmoid()
