"""What the judge saw in MNIST's test images: with it, samples are measured where no image of MNIST is at hand."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from course_utils.batching import batches
from course_utils.pretrained import load_pretrained
from course_utils.variants.judge import Judge, judged
from course_utils.variants.measures import fine, gaussian_distance, moments, precision_recall


class Scores(NamedTuple):
    """Fréchet distance to the reference, shares of precision and recall, confidence, and fine power."""

    fd: float
    precision: float
    recall: float
    confidence: float
    fine: float


class Reference(nn.Module):
    """Features (few, 64) of some test images, and mean (64,), covariance (64, 64) and fine power of all of them."""

    name = "mnist-reference"
    features: Tensor
    mean: Tensor
    covariance: Tensor
    power: Tensor

    def __init__(self, few: int = 1_000) -> None:
        super().__init__()
        self.arguments = {"few": few}
        self.register_buffer("features", torch.zeros(few, 64, dtype=torch.float16))
        for name, shape in (("mean", (64,)), ("covariance", (64, 64)), ("power", ())):
            self.register_buffer(name, torch.zeros(shape))

    def scores(self, judge: Judge, images: Tensor) -> Scores:
        """Of pictures (n, 1, 28, 28), uint8 or in [0, 1]; precision and recall from as many as there are features."""
        seen = judged(judge, images)
        fd = gaussian_distance(*moments(seen.features), self.mean.double(), self.covariance.double())
        some = precision_recall(self.features.float(), seen.features[: len(self.features)])
        return Scores(fd, *some, seen.confidence.mean().item(), fine(images) / self.power.item())


def reference_of(judge: Judge, images: Tensor, generator: torch.Generator, few: int = 1_000) -> Reference:
    """The reference that these images make, `few` of them picked at random."""
    reference, seen = Reference(few), judged(judge, images).features
    picked = torch.randperm(len(images), generator=generator)[:few]
    values = {"features": seen[picked].half(), "power": torch.tensor(fine(images))}
    values |= dict(zip(("mean", "covariance"), (moment.float() for moment in moments(seen))))
    reference.load_state_dict(values)
    return reference


def load_reference() -> Reference:
    """What the course's judge saw in the 10,000 test images of MNIST."""
    return load_pretrained(Reference.name, lambda name, **arguments: {Reference.name: Reference}[name](**arguments))[0]


def nearest(images: Tensor, among: Tensor, batch_size: int = 200) -> tuple[Tensor, Tensor]:
    """Distance |x - y| to the nearest y `among` these, and its number: (n, ...), (m, ...) -> twice (n,)."""
    targets = torch.cat(list(batches(among.flatten(1), 10_000)))
    found = [torch.cdist(x, targets).min(dim=1) for x in batches(images.flatten(1), batch_size)]
    return torch.cat([near.values for near in found]), torch.cat([near.indices for near in found])
