"""A network together with the moving average of its weights, which jumps less than the last step's."""

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Averaged(nn.Module):
    """A network and the moving average of its weights: called in training it is the network, otherwise the average.

    The average of noisy steps is where a falling learning rate would have ended, at any time.  [Polyak & Juditsky 1992]
    """

    steps: Tensor

    def __init__(self, network: nn.Module, decay: float = 0.999) -> None:
        super().__init__()
        self.live, self.average, self.decay = network, copy.deepcopy(network).requires_grad_(False), decay
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, *inputs: Tensor) -> Any:
        if not self.training:
            return self.average(*inputs)
        if torch.is_grad_enabled():  # who only looks on does not train
            self.follow()
        return self.live(*inputs)

    @torch.no_grad()
    def follow(self) -> None:
        """Move the average towards the network; quickly at first, so that its start is soon forgotten."""
        decay = min(self.decay, (self.steps.item() + 1) / (self.steps.item() + 10))
        self.steps += 1
        for mean, weight in zip(self.average.parameters(), self.live.parameters()):
            mean.lerp_(weight, 1 - decay)


def with_statistics(network: nn.Module, inputs: Iterable[Tensor]) -> nn.Module:
    """The network in eval mode; its batch normalisation has the statistics that its weights give for these inputs."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momentum = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
    network.train()
    with torch.no_grad():
        for batch in inputs:
            network(batch)
    for norm, before in zip(norms, momentum, strict=True):
        norm.momentum = before
    return network.eval()
