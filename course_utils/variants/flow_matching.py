"""Flow matching: a velocity that carries noise to data along ways that were straight before they were averaged."""

import torch
from torch import Tensor, nn


class Flow(nn.Module):
    """y_t = (1 - t) eps + t x_0, and a network that tells the velocity x_0 - eps at y_t.  [Lipman et al. 2023]

    x_0 is (x - centre) / scale. `fit` trains it with `squared_error`.
    """

    def __init__(self, network: nn.Module, *, centre: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        self.network, self.centre, self.scale = network, centre, scale

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted and true velocity at a time and with noise of its own drawing: (n, ...) -> twice (n, ...)."""
        x0 = (x - self.centre) / self.scale
        t, eps = torch.rand(len(x0), device=x0.device), torch.randn_like(x0)
        beside = t.view(-1, *[1] * (x0.dim() - 1))
        return self.network((1 - beside) * eps + beside * x0, t), x0 - eps


@torch.no_grad()
def carry(model: Flow, noise: Tensor, *, steps: int = 10, heun: bool = True) -> Tensor:
    """Noise (n, ...) carried along the velocity to data; Heun's steps call the network twice, Euler's once."""
    model.eval()
    y, dt = noise, 1 / steps
    for k in range(steps):
        t = torch.full(noise.shape[:1], k * dt)
        velocity = model.network(y, t)
        if heun:
            velocity = (velocity + model.network(y + dt * velocity, t + dt)) / 2
        y = y + dt * velocity
    return y * model.scale + model.centre
