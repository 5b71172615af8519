"""Every model of lesson 11 with the same small budget and three seeds: `python -m benchmarks.comparison`.

Each trains for so many seconds of processor time on one core, on real MNIST at a constant rate, and is then measured
as in the lesson. Rows go to weights/comparison.json as they come; those that are there are not run again.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from course_utils.batching import to_unit
from course_utils.data import load
from course_utils.files import atomic_path
from course_utils.latent import decode, encode, posterior
from course_utils.models import ConvVAE
from course_utils.objectives import negative_elbo, reparameterize
from course_utils.pretrained import weights_dir
from course_utils.runtime import seed_everything
from course_utils.training import evaluate, fit
from course_utils.variants.adversarial import Player, fit_players
from course_utils.variants.averaging import Averaged
from course_utils.variants.code_prior import CodePrior, code_cost, sample_codes
from course_utils.variants.diffusion import sample, squared_error
from course_utils.variants.diffusion_bound import bound
from course_utils.variants.flow_matching import carry
from course_utils.variants.games import gan, vae_gan
from course_utils.variants.judge import load_judge
from course_utils.variants.players import VAEGAN, Critic, Generator
from course_utils.variants.quantized import VQVAE, vq_loss
from course_utils.variants.reference import load_reference
from course_utils.variants.settled import LatentDiffusion, LatentFlow, PixelDiffusion

DRAWS, SIZE = 1_000, (1, 28, 28)
Draw = Callable[[int], Tensor]
Trained = tuple[Draw, float | None]  # what draws pictures, and the bound in nats where there is one


class Timed:
    """A function that ends the training, as Ctrl-C does, once this process has computed for so many more seconds."""

    def __init__(self, function: Callable, seconds: float) -> None:
        self.function, self.end = function, time.process_time() + seconds

    def __call__(self, *inputs: Tensor) -> Any:
        if time.process_time() > self.end:
            raise KeyboardInterrupt
        return self.function(*inputs)


class Contest:
    """One seed: the data, the budget, and a way to train and draw for each model."""

    def __init__(self, seed: int, seconds: float) -> None:
        self.generator, self.seconds = seed_everything(seed), seconds
        self.train, self.test = load("mnist", "train", "real").images, load("mnist", "test", "real").images[:2_000]

    def fit(self, model: nn.Module, data: Tensor, objective: Callable, share: float = 1.0, **plan: Any) -> nn.Module:
        """The model after its share of the budget."""
        plan = {"learning_rate": 1e-3, "schedule": "constant", "generator": self.generator, "progress": False} | plan
        fit(model, data, Timed(objective, share * self.seconds), epochs=10_000, **plan)
        return model

    def vae(self) -> Trained:
        model = self.fit(ConvVAE(), self.train, negative_elbo)
        return self.decoder(model, self.noise), evaluate(model, self.test, negative_elbo)["loss"]

    def vae_mixture(self) -> Trained:
        model = self.fit(ConvVAE(), self.train, negative_elbo)
        mixture = GaussianMixture(10, random_state=0).fit(self.codes(model, self.train[:20_000]).double().numpy())
        z = self.codes(model, self.test)
        gain = torch.from_numpy(mixture.score_samples(z.double().numpy())) - log_normal(z)
        nats = evaluate(model, self.test, negative_elbo)["loss"] - gain.mean().item()
        return self.decoder(model, lambda n: torch.from_numpy(mixture.sample(n)[0]).float()), nats

    def vq(self) -> Trained:
        model = self.fit(VQVAE(), self.train, vq_loss, 0.4, learning_rate=3e-3)
        prior = self.fit(CodePrior(), encode(model, self.train), code_cost, 0.6, batch_size=64)
        nats = evaluate(model, self.test, vq_loss)["nll"] + evaluate(prior, encode(model, self.test), code_cost)["nats"]
        return self.decoder(model, lambda n: sample_codes(prior, n, self.generator)), nats

    def latent_diffusion(self) -> Trained:
        vae, model = self.latent(LatentDiffusion())
        mu, logvar = posterior(vae, self.test)
        entropy = 0.5 * (1 + torch.tensor(2 * torch.pi).log() + logvar).sum(dim=1)
        price = bound(model, reparameterize(mu, logvar, self.generator), self.generator, sigma=0.02).bound
        nats = evaluate(vae, self.test, negative_elbo)["nll"] + (price - entropy).mean().item()
        return self.decoder(vae, lambda n: sample(model, self.noise(n))), nats

    def latent_flow(self) -> Trained:
        vae, model = self.latent(LatentFlow())
        return self.decoder(vae, lambda n: carry(model, self.noise(n))), None

    def pixel_diffusion(self) -> Trained:
        model = self.averaged(PixelDiffusion(), self.train)
        parts = bound(model, to_unit(self.test), self.generator, sigma=0.01, levels=256)
        return lambda n: sample(model, torch.randn(n, *SIZE, generator=self.generator)).clamp(
            0, 1
        ), parts.bound.mean().item()

    def gan(self) -> Trained:
        drawn = Generator()
        self.play(gan(drawn, Critic()))
        return self.decoder(drawn, lambda n: torch.randn(n, 64, generator=self.generator)), None

    def vae_gan(self) -> Trained:
        model = VAEGAN()
        self.play(vae_gan(model, Critic()))
        return self.decoder(model, self.noise), None

    def play(self, both: dict[str, Player]) -> None:
        """The game for the whole budget."""
        first = next(iter(both.values()))
        first.loss = Timed(first.loss, self.seconds)
        fit_players(both, self.train, epochs=10_000, generator=self.generator, batch_size=64, progress=False)

    def latent(self, model: nn.Module) -> tuple[nn.Module, nn.Module]:
        """A VAE trained for half of the time, and the model on its codes for the other half."""
        vae = self.fit(ConvVAE(), self.train, negative_elbo, 0.5)
        return vae, self.averaged(model, self.codes(vae, self.train), 0.5, batch_size=256)

    def averaged(self, model: nn.Module, data: Tensor, share: float = 1.0, **plan: Any) -> nn.Module:
        averaged = model.network = Averaged(model.network)
        self.fit(model, data, squared_error, share, **plan)
        model.network = averaged.average
        return model.eval()

    def codes(self, vae: nn.Module, images: Tensor) -> Tensor:
        return reparameterize(*posterior(vae, images), self.generator)

    def noise(self, n: int) -> Tensor:
        return torch.randn(n, 20, generator=self.generator)

    def decoder(self, model: nn.Module, draw: Draw) -> Draw:
        return lambda n: decode(model, draw(n))


MODELS: dict[str, Callable[[Contest], Trained]] = {
    "VAE": Contest.vae,
    "VAE + mixture": Contest.vae_mixture,
    "VQ + prior": Contest.vq,
    "GAN": Contest.gan,
    "VAE-GAN": Contest.vae_gan,
    "latent diffusion": Contest.latent_diffusion,
    "latent flow": Contest.latent_flow,
    "pixel diffusion": Contest.pixel_diffusion,
}


def log_normal(z: Tensor) -> Tensor:
    """log N(z; 0, I): (n, d) -> (n,)."""
    return torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(dim=1)


def row(name: str, seed: int, seconds: float) -> dict[str, Any]:
    """One model from one seed: its measures, its bound, and the processor time of a thousand draws."""
    draw, nats = MODELS[name](Contest(seed, seconds))
    start = time.process_time()
    pictures = draw(DRAWS)
    took = 1_000 * (time.process_time() - start) / DRAWS
    scores = load_reference().scores(load_judge(), pictures)._asdict() | {"bound": nats, "sampling": took}
    facts = {"model": name, "seed": seed, "seconds": seconds}
    return facts | {key: value if value is None else round(value, 3) for key, value in scores.items()}


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is missing in the table, seed by seed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.comparison", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args(argv)
    path = weights_dir() / "comparison.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    done = {(one["model"], one["seed"], one["seconds"]) for one in rows}
    for seed, name in itertools.product(arguments.seeds, arguments.models):
        if (name, seed, arguments.seconds) not in done:
            rows.append(row(name, seed, arguments.seconds))
            print(rows[-1], flush=True)
            with atomic_path(path) as scratch:
                scratch.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
