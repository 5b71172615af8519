"""Two players: a game with a known equilibrium, resuming to the same result, a clean stop and errors in words."""

import json

import pytest
import torch
from torch import Tensor, nn

from course_utils.checkpoints import CheckpointError
from course_utils.training import TrainingDiverged
from course_utils.variants.adversarial import Player, fit_players

IMAGES = torch.full((64, 1, 2, 2), 0.5)
OPTIONS = {"epochs": 60, "batch_size": 16, "progress": False}


class Number(nn.Module):
    def __init__(self, start: float):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(start))


def game(start=(3.0, -2.0), rate=0.05, noise=0.0):
    """min over a, max over b of a² + 3ab - b² + 2a - b: a saddle where 2a + 3b = -2 and 3a - 2b = 1, so a = -1/13."""
    a, b = Number(start[0]), Number(start[1])

    def payoff(x: Tensor) -> Tensor:
        jitter = noise * torch.randn(len(x)).mean() + x.mean() - x.mean()
        return a.value**2 + 3 * a.value * b.value - b.value**2 + (2 + jitter) * a.value - b.value

    players = {"a": Player(a, payoff, rate), "b": Player(b, lambda x: -payoff(x), rate)}
    return players, a, b


def dice():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("start", [(3.0, -2.0), (-1.0, 1.0), (0.0, 5.0)])
def test_a_quadratic_game_ends_at_its_equilibrium(start):
    players, a, b = game(start)
    fit_players(players, IMAGES, generator=dice(), **OPTIONS | {"epochs": 200})
    assert a.value.item() == pytest.approx(-1 / 13, abs=5e-3)
    assert b.value.item() == pytest.approx(-8 / 13, abs=5e-3)


def test_a_player_moves_its_own_weights_only():
    players, a, b = game()
    players["b"].learning_rate = 1e-12
    fit_players(players, IMAGES, generator=dice(), **OPTIONS | {"epochs": 1})
    assert a.value.item() != 3.0
    assert b.value.item() == pytest.approx(-2.0, abs=1e-6)


def test_an_interrupted_game_resumes_to_the_same_numbers(tmp_path):
    whole, *numbers = game(noise=1.0)
    fit_players(whole, IMAGES, generator=dice(), **OPTIONS | {"epochs": 6})
    path = tmp_path / "game.safetensors"
    _play_until_interrupted(path, after=13)
    again, *resumed = game(noise=1.0)
    history = fit_players(again, IMAGES, generator=dice(), checkpoint=path, **OPTIONS | {"epochs": 6})
    assert [number.value.item() for number in resumed] == [number.value.item() for number in numbers]
    assert len(history.train) == 6


def _play_until_interrupted(path, after):
    players, *_ = game(noise=1.0)
    moves, payoff = [], players["a"].loss

    def interrupted(x):
        moves.append(x)
        if len(moves) > after:
            raise KeyboardInterrupt
        return payoff(x)

    players["a"].loss = interrupted
    history = fit_players(players, IMAGES, generator=dice(), checkpoint=path, **OPTIONS | {"epochs": 6})
    assert history.stopped == "interrupted in epoch 4 of 6"


def test_a_checkpoint_of_another_game_is_refused(tmp_path):
    path = tmp_path / "game.safetensors"
    fit_players(game()[0], IMAGES, generator=dice(), checkpoint=path, **OPTIONS | {"epochs": 1})
    with pytest.raises(CheckpointError, match="belongs to another game"):
        fit_players(game(rate=0.1)[0], IMAGES, generator=dice(), checkpoint=path, **OPTIONS | {"epochs": 1})


def test_a_lost_loss_names_the_player():
    players, *_ = game()
    players["b"].loss = lambda x: players["b"].network.value * float("nan")
    with pytest.raises(TrainingDiverged, match="epoch 1: the loss of 'b' is nan"):
        fit_players(players, IMAGES, generator=dice(), **OPTIONS)


def test_the_history_holds_means_over_the_images_and_can_be_written():
    players, a, _ = game(rate=1e-12)
    history = fit_players(players, IMAGES, generator=dice(), **OPTIONS | {"epochs": 1})
    assert history.column("a") == pytest.approx([9 - 18 - 4 + 6 + 2], rel=1e-5)
    assert history.column("b") == pytest.approx([5], rel=1e-5)
    json.dumps(history.train)


def test_conditions_stay_with_their_images():
    players, *_ = game(rate=1e-12)
    images, seen = torch.arange(64.0).div(100).view(64, 1, 1, 1).expand(-1, -1, 2, 2), []
    payoff = players["a"].loss
    players["a"].loss = lambda x, c: seen.append((x[:, 0, 0, 0], c)) or payoff(x)
    players["b"].loss = lambda x, c: -payoff(x)
    fit_players(players, images, conditions=torch.arange(64), generator=dice(), **OPTIONS | {"epochs": 1})
    pixels, conditions = (torch.cat(column) for column in zip(*seen, strict=True))
    assert sorted(conditions.tolist()) == list(range(64)) != conditions.tolist()
    torch.testing.assert_close(pixels, conditions / 100)
