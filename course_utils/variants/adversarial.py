"""Two players, each with a network, a loss and an optimizer of its own, and the one loop that lets them play."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from course_utils.batching import batches
from course_utils.checkpoints import CheckpointError, read_facts, read_tensors, write_tensors
from course_utils.learner import Learner
from course_utils.progress import Bar, epochs_bar, in_words
from course_utils.training import History, TrainingDiverged


@dataclass
class Player:
    """A network and what it minimises, `loss(x)` -> a number; its gradient reaches this network's weights alone.

    With conditions it is `loss(x, c)`.
    """

    network: nn.Module
    loss: Callable[..., Tensor]
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)  # [Radford et al. 2016]: a long memory of the other's past moves misleads


def fit_players(
    players: Mapping[str, Player],
    images: Tensor,
    *,
    epochs: int,
    generator: torch.Generator,
    batch_size: int = 128,
    conditions: Tensor | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> History:
    """Let the players move in turn, once each a batch of images (n, c, h, w), uint8 or in [0, 1].

    Conditions (n, ...) are dealt out with the images.
    With `checkpoint`, every epoch is written there and an interrupted call goes on from the last one, to the same
    result. Ctrl-C returns early with `stopped` set.  CheckpointError for a checkpoint of another game, TrainingDiverged
    where a loss is infinite or not a number.
    """
    game = _Game(players, generator, {"epochs": epochs, "images": len(images), "batch_size": batch_size})
    if checkpoint is not None and Path(checkpoint).exists():
        game.resume(checkpoint)
    steps = math.ceil(len(images) / batch_size)
    with epochs_bar(epochs, steps, done=len(game.history.train), enabled=progress) as bar:
        try:
            while len(game.history.train) < epochs:
                game.epoch(images, conditions, bar)
                if checkpoint is not None:
                    game.save(checkpoint)
        except KeyboardInterrupt:
            game.history.stopped = f"interrupted in epoch {len(game.history.train) + 1} of {epochs}"
    for player in players.values():
        player.network.eval()
    return game.history


class _Game:
    def __init__(self, players: Mapping[str, Player], generator: torch.Generator, settings: dict[str, int]) -> None:
        self.players, self.generator, self.history = players, generator, History()
        self.learners = {name: _learner(name, player) for name, player in players.items()}
        rates = {name: [player.learning_rate, *player.betas] for name, player in players.items()}
        self.settings = settings | {"players": rates}

    def epoch(self, images: Tensor, conditions: Tensor | None, bar: Bar) -> None:
        start, totals = time.perf_counter(), dict.fromkeys(self.players, 0.0)
        device = next(next(iter(self.learners.values())).model.parameters()).device
        with torch.random.fork_rng():
            torch.manual_seed(int(torch.randint(2**62, (), generator=self.generator)))
            dealt = {"conditions": conditions, "generator": self.generator, "device": device}
            for batch in batches(images, self.settings["batch_size"], **dealt):
                batch = batch if isinstance(batch, tuple) else (batch,)
                losses = {name: self.move(name, *batch) for name in self.players}
                totals = {name: total + losses[name] * len(batch[0]) for name, total in totals.items()}
                bar.set_postfix_str(in_words(losses, unit=""), refresh=False)
                bar.update()
        self.history.train.append({name: total / len(images) for name, total in totals.items()})
        self.history.seconds += time.perf_counter() - start

    def move(self, name: str, *batch: Tensor) -> float:
        player, learner = self.players[name], self.learners[name]
        player.network.train()
        loss = player.loss(*batch)
        if not math.isfinite(loss.item()):
            raise TrainingDiverged(
                f"Training diverged in epoch {len(self.history.train) + 1}: the loss of {name!r} is {loss.item()}. "
                f"Build the networks afresh and try a learning rate below {player.learning_rate:g}."
            )
        weights = [weight for weight in player.network.parameters() if weight.requires_grad]
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.grad = gradient
        learner.optimizer.step()
        return loss.item()

    def save(self, path: str | Path) -> None:
        facts = {"settings": self.settings, "history": asdict(self.history)}
        facts["learners"] = {name: learner.facts() for name, learner in self.learners.items()}
        tensors = {"generator": self.generator.get_state()}
        for learner in self.learners.values():
            tensors |= learner.tensors()
        write_tensors(path, tensors, facts)

    def resume(self, path: str | Path) -> None:
        facts = read_facts(path)
        if facts.get("settings") != self.settings:
            raise CheckpointError(
                f"{path} belongs to another game: made with {facts.get('settings')}, this one has {self.settings}. "
                "Delete the file to start afresh, or call fit_players with the same settings."
            )
        expected = {"generator": self.generator.get_state()}
        for name, learner in self.learners.items():
            expected |= learner.expected(facts["learners"][name])
        tensors = read_tensors(path, expected)
        for name, learner in self.learners.items():
            learner.restore(tensors, facts["learners"][name])
        self.generator.set_state(tensors["generator"])
        self.history = History(**facts["history"])


def _learner(name: str, player: Player) -> Learner:
    adam = torch.optim.Adam(player.network.parameters(), lr=player.learning_rate, betas=player.betas)
    return Learner(player.network, adam, prefix=f"{name}.")
