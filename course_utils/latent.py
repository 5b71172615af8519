"""What a trained model's latent space holds, and paths and grids through it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

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


def decode(model: nn.Module, z: Tensor, batch_size: int = 500) -> Tensor:
    """Pictures of codes, (n, d) -> (n, c, h, w) in [0, 1] on the CPU: sigmoid of the logits, in eval mode."""
    with _evaluating(model) as device:
        pictures = [model.decode(part.to(device)).sigmoid().cpu() for part in z.split(batch_size)]
    return torch.cat(pictures)


def lerp(z0: Tensor, z1: Tensor, t: float | Sequence[float] | Tensor) -> Tensor:
    """The straight line (1 - t) z0 + t z1: codes (..., d) and t of any shape -> (*t.shape, ..., d)."""
    t = _beside(t, z0, z1)
    return (1 - t) * z0 + t * z1


def slerp(z0: Tensor, z1: Tensor, t: float | Sequence[float] | Tensor) -> Tensor:
    """The arc from z0 to z1: codes (..., d) and t of any shape -> (*t.shape, ..., d).  [Shoemake 1985; White 2016]

    The direction turns at constant speed through the smaller angle; the length goes linearly from |z0| to |z1|.
    Opposite vectors leave the plane of the arc open: one is chosen, always the same (d = 1 has none: the path crosses
    zero). A zero vector has no direction and takes that of the other, which makes the arc a straight line.
    """
    dtype, t = torch.result_type(z0, z1), _beside(t, z0, z1)
    (u0, length0), (u1, length1) = _polar(z0.double()), _polar(z1.double())
    u0, u1 = torch.where(length0 > 0, u0, u1), torch.where(length1 > 0, u1, u0)
    angle = 2 * torch.atan2((u0 - u1).norm(dim=-1, keepdim=True), (u0 + u1).norm(dim=-1, keepdim=True))
    arc = (t * angle).cos() * u0 + (t * angle).sin() * _perpendicular(u0, u1)
    return (((1 - t) * length0 + t * length1) * arc).to(dtype)


def traverse(z: Tensor, dim: int, offsets: Sequence[float] | Tensor) -> Tensor:
    """Copies of z with each offset added to dimension `dim`, z itself untouched: (..., d), (s,) -> (s, ..., d)."""
    offsets = torch.as_tensor(offsets, dtype=z.dtype, device=z.device)
    copies = z.expand(len(offsets), *z.shape).clone()
    copies[..., dim] += offsets.view(-1, *[1] * (z.dim() - 1))
    return copies


def attribute_direction(codes: Tensor, labels: Tensor) -> Tensor:
    """Mean code with the attribute minus mean code without it: (n, d), (n,) of True/False or 1/0 -> (d,).

    ValueError unless there is one label per code and both kinds of label occur.
    """
    if codes.dim() != 2 or labels.shape != codes.shape[:1]:
        raise ValueError(
            f"Expected codes (n, d) and one label each (n,), got {tuple(codes.shape)} and {tuple(labels.shape)}. "
            "Pick one attribute's column of labels."
        )
    found = labels.unique().tolist()
    if found not in ([False, True], [0, 1]):
        raise ValueError(f"Expected labels of two kinds, True/False or 1/0, both present; found {found[:5]}.")
    has = labels.bool()
    return codes[has].mean(dim=0) - codes[~has].mean(dim=0)


def active_units(mu: Tensor, threshold: float = 0.01) -> int:
    """Number of dimensions whose posterior mean varies over the images, Var(mu_j) > threshold: (n, d) -> int.

    ValueError for fewer than two images.  [Burda et al. 2016]
    """
    if mu.dim() != 2 or len(mu) < 2:
        raise ValueError(f"Expected posterior means (n, d) of at least 2 images, got shape {tuple(mu.shape)}.")
    return int((mu.var(dim=0) > threshold).sum())


def manifold_grid(n: int) -> Tensor:
    """n x n points of the plane, the middles of cells that are equally probable under N(0, I): -> (n * n, 2).

    In reading order: z[0] grows from left to right, z[1] falls from top to bottom, as on a plot.  [Kingma & Welling
    2014, D]
    """
    if n < 1:
        raise ValueError(f"The grid needs n of at least 1, got {n}.")
    middles = torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n).float()
    return torch.stack([middles.repeat(n), middles.flip(0).repeat_interleave(n)], dim=1)


def _beside(t: float | Sequence[float] | Tensor, z0: Tensor, z1: Tensor) -> Tensor:
    """t with one axis of size 1 for every axis of the codes, in their dtype and on their device."""
    t = torch.as_tensor(t, dtype=torch.result_type(z0, z1), device=z0.device)
    return t.reshape(t.shape + (1,) * max(z0.dim(), z1.dim()))


def _polar(z: Tensor) -> tuple[Tensor, Tensor]:
    """Direction (..., d), zero for a zero vector, and length (..., 1)."""
    length = z.norm(dim=-1, keepdim=True)
    return z / length.clamp_min(torch.finfo(z.dtype).tiny), length


def _perpendicular(u0: Tensor, u1: Tensor) -> Tensor:
    """The unit vector at a right angle to u0 on the side of u1, or on that of an axis where u1 points to no side."""
    axis = torch.zeros_like(u0).scatter_(-1, u0.abs().argmin(dim=-1, keepdim=True), 1.0)
    side = _rejected(u1, u0)
    side = torch.where(side.norm(dim=-1, keepdim=True) > 1e-12, side, _rejected(axis, u0))
    return _polar(_rejected(_polar(side)[0], u0))[0]  # a second time, against rounding


def _rejected(v: Tensor, u: Tensor) -> Tensor:
    """What remains of v without its part along the unit vector u."""
    return v - (v * u).sum(dim=-1, keepdim=True) * u


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[torch.device]:
    """Eval mode without gradients, and the model's device; its mode comes back afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield next(model.parameters()).device
    finally:
        model.train(was_training)


def _over_batches(model: nn.Module, images: Tensor, batch_size: int) -> list[Tensor]:
    """What `model.encode` returns, batch by batch, so that any number of images fits in memory."""
    with _evaluating(model) as device:
        outputs = [model.encode(x) for x in batches(images, batch_size, device=device)]
    columns = zip(*(output if isinstance(output, tuple) else (output,) for output in outputs), strict=True)
    return [torch.cat(column).cpu() for column in columns]
