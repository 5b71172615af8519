"""A network and its optimizer, written down and taken up again together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Learner:
    """A model and the Adam that trains it; `prefix` tells it from others in the same checkpoint."""

    model: nn.Module
    optimizer: torch.optim.Adam
    prefix: str = ""

    def facts(self) -> dict[str, Any]:
        """What a checkpoint's header must say for `expected` and `restore`."""
        state = self.optimizer.state_dict()
        return {"groups": state["param_groups"], "updated": list(state["state"])}

    def tensors(self) -> dict[str, Tensor]:
        """Weights and moments by the names that they have in a checkpoint."""
        return self._named(self.optimizer.state_dict()["state"])

    def expected(self, facts: Mapping[str, Any]) -> dict[str, Tensor]:
        """Tensors with the names, shapes and dtypes that a checkpoint with these facts must hold."""
        return self._named(self._blank(facts))

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take up what `tensors` and `facts` wrote down."""
        self.model.load_state_dict({name: tensors[f"{self.prefix}model.{name}"] for name in self.model.state_dict()})
        blank = self._blank(facts)
        for i, state in blank.items():  # filled in place: fused Adam needs them laid out in memory like the weights
            for key, value in state.items():
                value.copy_(tensors[f"{self.prefix}optimizer.{i}.{key}"])
        self.optimizer.load_state_dict({"state": blank, "param_groups": facts["groups"]})

    def _blank(self, facts: Mapping[str, Any]) -> dict[int, dict[str, Tensor]]:
        parameters = list(self.model.parameters())
        return {i: _blank_adam_state(parameters[i]) for i in facts["updated"]}

    def _named(self, moments: Mapping[int, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        named = {f"{self.prefix}model.{name}": value for name, value in self.model.state_dict().items()}
        for i, state in moments.items():
            named |= {f"{self.prefix}optimizer.{i}.{key}": value for key, value in state.items()}
        return named


def _blank_adam_state(parameter: Tensor) -> dict[str, Tensor]:
    step = torch.zeros((), dtype=torch.float32)
    return {"step": step, "exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}
