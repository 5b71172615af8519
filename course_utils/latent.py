"""What a trained model's latent space holds."""

import torch
from torch import Tensor, nn

from course_utils.batching import batches


def encode(model: nn.Module, images: Tensor, batch_size: int = 500) -> Tensor:
    """Codes of a whole image set, (n, c, h, w) -> (n, d) on the CPU: posterior means of a VAE, z of an autoencoder."""
    return _over_batches(model, images, batch_size)[0]


def posterior(model: nn.Module, images: Tensor, batch_size: int = 500) -> tuple[Tensor, Tensor]:
    """Parameters of q(z | x) for a whole image set: (n, c, h, w) -> mu, logvar, each (n, d) on the CPU."""
    mu, logvar = _over_batches(model, images, batch_size)
    return mu, logvar


def _over_batches(model: nn.Module, images: Tensor, batch_size: int) -> list[Tensor]:
    """What `model.encode` returns, in eval mode and without gradients, so any number of images fits in memory."""
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    with torch.no_grad():
        outputs = [model.encode(x) for x in batches(images, batch_size, device=device)]
    model.train(was_training)
    columns = zip(*(output if isinstance(output, tuple) else (output,) for output in outputs), strict=True)
    return [torch.cat(column).cpu() for column in columns]
