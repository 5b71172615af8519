"""Two games over digits against a critic: a generator that only draws, and a VAE that brings pictures back as well."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from course_utils.objectives import gaussian_kl
from course_utils.training import trains_in
from course_utils.variants.adversarial import Player
from course_utils.variants.averaging import Averaged
from course_utils.variants.players import VAEGAN, Critic, Generator, critic_loss, feature_loss, generator_loss

FOOLING = 20.0  # nats of likeness that a nat of the critic's doubt is worth to the VAE


def gan(generator: Generator | Averaged, critic: Critic) -> dict[str, Player]:
    """Critic and generator of pictures, as `fit_players` takes them.  [Goodfellow et al. 2014; Radford et al. 2016]"""
    latent_dim = _live(generator).latent_dim

    def fakes(x: Tensor) -> Tensor:
        return generator(torch.randn(len(x), latent_dim, device=x.device)).sigmoid().float()

    def of_critic(x: Tensor) -> Tensor:
        with torch.no_grad():
            x_hat = fakes(x)
        return critic_loss(critic(x).float(), critic(x_hat).float())

    def of_generator(x: Tensor) -> Tensor:
        return generator_loss(critic(fakes(x)).float())

    return _players({"critic": (critic, of_critic), "generator": (generator, of_generator)})


def vae_gan(model: VAEGAN | Averaged, critic: Critic) -> dict[str, Player]:
    """Critic and VAE: likeness in the critic's features, KL, and a critic to fool.  [Larsen et al. 2016, algorithm 1]

    Fakes are reconstructions and, as many again, draws from N(0, I).
    """
    live = _live(model)

    def pictures(x: Tensor) -> tuple[Tensor, Tensor]:
        output = model(x)
        drawn = live.decode(torch.randn(len(x), live.latent_dim, device=x.device))
        return torch.cat([output.x_logits, drawn]).sigmoid().float(), gaussian_kl(output.mu, output.logvar)

    def of_critic(x: Tensor) -> Tensor:
        with torch.no_grad():
            x_hat, _ = pictures(x)
        return critic_loss(critic(x).float(), critic(x_hat).float())

    def of_model(x: Tensor) -> Tensor:
        x_hat, kl = pictures(x)
        likeness = feature_loss(critic.features(x).float(), critic.features(x_hat[: len(x)]).float())
        return (likeness + kl).mean() + FOOLING * generator_loss(critic(x_hat).float())

    return _players({"critic": (critic, of_critic), "model": (model, of_model)})


def _live(network: nn.Module) -> nn.Module:
    return network.live if isinstance(network, Averaged) else network


def _players(moves: Mapping[str, tuple[nn.Module, Callable[[Tensor], Tensor]]]) -> dict[str, Player]:
    """Players who compute in what `fit` would compute in."""
    critic, _ = moves["critic"]
    device, dtype = next(critic.parameters()).device.type, getattr(torch, trains_in(critic))
    autocast = torch.autocast(device, dtype, enabled=dtype != torch.float32)
    return {name: Player(network, autocast(loss)) for name, (network, loss) in moves.items()}
