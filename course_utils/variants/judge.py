"""A judge of digits: a small classifier whose features the measures compare."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from course_utils.batching import batches
from course_utils.models import MNIST_SHAPE, check_images
from course_utils.pretrained import load_pretrained


class Judge(nn.Module):
    """A small classifier of digits that shares nothing with the models it judges: (n, 1, 28, 28) -> logits (n, 10)."""

    name = "digit-judge"

    def __init__(self) -> None:
        super().__init__()
        self.arguments: dict[str, int] = {}
        first, second = nn.Conv2d(1, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1)
        body = [first, nn.ReLU(), nn.MaxPool2d(2), second, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.25)]
        self.body = nn.Sequential(*body, nn.Linear(64 * 7 * 7, 64), nn.ReLU())
        self.head = nn.Linear(64, 10)

    def features(self, x: Tensor) -> Tensor:
        """(n, 1, 28, 28) in [0, 1] -> (n, 64)."""
        check_images(x, MNIST_SHAPE)
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class Judged(NamedTuple):
    """What the judge sees in n pictures: features (n, 64), its certainty about the best digit (n,), that digit (n,)."""

    features: Tensor
    confidence: Tensor
    digit: Tensor


def load_judge() -> Judge:
    """The course's own judge in eval mode, trained on MNIST and on the bundled digits."""
    return load_pretrained(Judge.name, lambda name: {Judge.name: Judge}[name]())[0]


def judged(judge: Judge, images: Tensor, batch_size: int = 500) -> Judged:
    """Features, confidence and digit of pictures (n, 1, 28, 28), uint8 or in [0, 1], without gradient."""
    with torch.no_grad():
        features = torch.cat([judge.features(x) for x in batches(images, batch_size)])
        confidence, digit = judge.head(features).softmax(dim=1).max(dim=1)
    return Judged(features, confidence, digit)
