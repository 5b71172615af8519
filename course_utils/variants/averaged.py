"""A running mean of a network's weights: what is drawn from it jumps less than the last step's."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Averaged(nn.Module):
    """A network in training; in eval mode, the network with a running mean of its weights.

    Every forward pass that trains makes the mean forget a share 1 - decay.
    """

    def __init__(self, network: nn.Module, decay: float = 0.999) -> None:
        super().__init__()
        self.network, self.decay = network, decay
        for name, weight in network.named_parameters():
            self.register_buffer(_buffer(name), weight.detach().clone())

    def forward(self, *inputs: Tensor) -> Any:
        if not self.training:
            return torch.func.functional_call(self.network, self.means(), inputs)
        if torch.is_grad_enabled():
            for name, weight in self.network.named_parameters():
                self.get_buffer(_buffer(name)).lerp_(weight.detach(), 1 - self.decay)
        return self.network(*inputs)

    def means(self) -> dict[str, Tensor]:
        """The running means by the names of the network's weights."""
        return {name: self.get_buffer(_buffer(name)) for name, _ in self.network.named_parameters()}

    def settled(self, inputs: Iterable[Tensor]) -> nn.Module:
        """The network itself in eval mode, the means put in the place of its weights.

        Its batch normalisation, if there is any, takes the statistics that the new weights give for these inputs.
        """
        self.network.load_state_dict(self.means(), strict=False)
        norms = [module for module in self.network.modules() if isinstance(module, nn.BatchNorm2d)]
        momentum = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over the batches
        self.network.train()
        with torch.no_grad():
            for batch in inputs:
                self.network(batch)
        for norm, before in zip(norms, momentum, strict=True):
            norm.momentum = before
        return self.network.eval()


def _buffer(name: str) -> str:
    return "mean_" + name.replace(".", "_")
