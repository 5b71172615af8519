"""The recurrent VAE, against a GRU unrolled by hand and step-by-step drawing."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from course_utils.checkpoints import load_checkpoint, save_checkpoint
from course_utils.data import load
from course_utils.pretrained import load_pretrained
from course_utils.training import fit
from course_utils.variants.outlines import outline_elbo, outlines
from course_utils.variants.recurrent import RecurrentVAE, input_dropout

STEPS, D = 6, 3


def small(hidden: int = 5, **settings) -> RecurrentVAE:
    torch.manual_seed(0)
    return RecurrentVAE(latent_dim=D, hidden=hidden, steps=STEPS, **settings).eval()


@pytest.fixture
def x():
    return torch.randn(4, STEPS, 2, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def z():
    return torch.randn(4, D, generator=torch.Generator().manual_seed(2))


def gru(cell: torch.nn.GRU, inputs: Tensor, h: Tensor) -> Tensor:
    """The states (n, steps, hidden) of a GRU, gate by gate.  [Cho et al. 2014, as torch.nn.GRU words it]"""
    w_in, w_h = cell.weight_ih_l0.chunk(3), cell.weight_hh_l0.chunk(3)
    b_in, b_h = cell.bias_ih_l0.chunk(3), cell.bias_hh_l0.chunk(3)
    states = []
    for a in inputs.unbind(dim=1):
        reset, update, new = (a @ w.T + b for w, b in zip(w_in, b_in))
        reset = (reset + h @ w_h[0].T + b_h[0]).sigmoid()
        update = (update + h @ w_h[1].T + b_h[1]).sigmoid()
        new = (new + reset * (h @ w_h[2].T + b_h[2])).tanh()
        h = update * h + (1 - update) * new
        states.append(h)
    return torch.stack(states, dim=1)


def clock(n: int) -> Tensor:
    """Cosine and sine of the share of the way that is done: (n, steps, 2)."""
    around = [[math.cos(2 * math.pi * k / STEPS), math.sin(2 * math.pi * k / STEPS)] for k in range(STEPS)]
    return torch.tensor(around).expand(n, -1, -1)


def test_the_reader_is_a_gru_whose_states_are_averaged_beside_the_last(x):
    model = small()
    states = gru(model.reader, torch.cat([x, clock(4)], dim=2), torch.zeros(4, 5))
    expected = model.heads(torch.cat([states[:, -1], states.mean(dim=1)], dim=1))
    mu, logvar = model.encode(x)
    assert_close(torch.cat([mu, logvar], dim=1), expected)


@pytest.mark.parametrize("feedback", [True, False])
def test_the_pen_is_a_gru_that_hears_the_point_before(x, z, feedback):
    model = small(feedback=feedback)
    before = torch.zeros_like(x)
    if feedback:
        before[:, 1:] = x[:, :-1]
    heard = torch.cat([before, clock(4), z[:, None].expand(-1, STEPS, -1)], dim=2)
    states = gru(model.pen, heard, model.start(z).tanh())
    assert_close(model.told(z, x), model.point(states))


def test_told_its_own_drawing_the_model_draws_it_again(z):
    model = small()
    drawn = model.draw(z)
    assert_close(model.told(z, drawn), drawn)
    other = drawn.clone()
    other[:, 2] += 1.0
    changed = (model.told(z, other) - drawn).abs().amax(dim=(0, 2)) > 1e-6
    assert changed.tolist() == [False, False, False, True, True, True]  # a point speaks to those after it


def test_without_feedback_nobody_listens_to_the_points(x, z):
    model = small(feedback=False)
    assert_close(model.told(z, x), model.told(z, torch.zeros_like(x)))
    assert_close(model.draw(z), model.told(z, x))


def test_input_dropout_takes_whole_points_at_its_rate_and_scales_nothing():
    torch.manual_seed(0)
    heard = input_dropout(torch.full((400, 50, 2), 3.0), 0.3)
    assert set(heard.unique().tolist()) == {0.0, 3.0}
    assert torch.equal(heard[..., 0], heard[..., 1])
    assert abs((heard == 0).double().mean().item() - 0.3) < 5 * math.sqrt(0.3 * 0.7 / 20_000)


def test_dropout_is_for_training_only_and_at_one_it_is_no_feedback(x, z):
    model = small(dropout=1.0)
    silent = model.train().told(z, x)
    assert_close(silent, model.told(z, torch.zeros_like(x)))
    assert not torch.allclose(model.eval().told(z, x), silent)


def test_it_learns_circles_of_any_size_and_place():
    generator = torch.Generator().manual_seed(0)
    size = torch.rand(256, 1, 1, generator=generator) + 0.5
    place = 0.5 * torch.randn(256, 1, 2, generator=generator)
    circles = place + size * clock(256)
    model = small(hidden=32, feedback=False)
    settings = {"epochs": 15, "generator": generator, "batch_size": 32, "learning_rate": 2e-2, "progress": False}
    history = fit(model, circles, outline_elbo, **settings)
    assert history.train[-1]["loss"] < history.train[0]["loss"] - 100
    with torch.no_grad():
        error = (model.draw(model.encode(circles)[0]) - circles).square().mean().sqrt()
    assert error < 0.35 * circles.std()


def test_weights_come_back_from_a_file(tmp_path, z):
    model = small(dropout=0.5)
    path = save_checkpoint(tmp_path / "outlines", model)
    same, _ = load_checkpoint(path, lambda name, **arguments: {"recurrent": RecurrentVAE}[name](**arguments))
    assert_close(same.eval().draw(z), model.draw(z))


def test_the_weights_that_come_with_the_course_draw_what_they_read_as_well_as_their_facts_say():
    model, facts = load_pretrained("mnist-outlines", lambda name, **arguments: RecurrentVAE(**arguments))
    x = outlines(load("mnist", "test", "bundled").images)
    with torch.no_grad():
        drawn = model.draw(model.encode(x)[0])
    apart = 10 * (drawn - x).square().mean().sqrt().item()
    assert apart == pytest.approx(facts["pixels_apart"]["bundled"], abs=0.02)
    blank = 10 * (x - x.mean(dim=0)).square().mean().sqrt().item()
    assert apart < blank / 5


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda model: model.encode(torch.zeros(4, 2, STEPS)), r"Expected outlines \(n, 6, 2\), got shape \(4, 2, 6\)"),
        (lambda model: model.told(torch.zeros(4, D), torch.zeros(4, 5, 2)), "Expected outlines"),
        (lambda model: model.draw(torch.zeros(4, D + 1)), "Expected a float batch of latent vectors"),
        (lambda model: RecurrentVAE(dropout=1.5), "between 0 and 1, got 1.5"),
    ],
)
def test_what_does_not_fit_is_refused(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(small())
