"""The training loop: it learns, repeats, resumes to the same result, stops cleanly and says why it cannot go on."""

import math
from typing import NamedTuple

import pytest
import torch
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from torch import Tensor, nn

from course_utils import training
from course_utils.checkpoints import CheckpointError
from course_utils.models import ConvAutoencoder, ConvVAE
from course_utils.objectives import bernoulli_nll, negative_elbo
from course_utils.training import TrainingDiverged, evaluate, fit

IMAGES = torch.randint(0, 256, (40, 1, 1, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)).repeat(
    1, 1, 8, 8
)
QUIET = {"batch_size": 16, "progress": False}


class Distance(NamedTuple):
    loss: Tensor


class OneNumber(nn.Module):
    """A model so small that Adam's steps can be computed by hand."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(0.0))

    def forward(self, x):
        return (self.w.expand(len(x)),)


def distance_to_one(x, w):
    return Distance((w - 1.0) ** 2)


def small_vae(seed=0):
    torch.manual_seed(seed)
    return ConvVAE((1, 8, 8), latent_dim=2, channels=(4,), hidden=8)


def dice(seed=0):
    return torch.Generator().manual_seed(seed)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_one_adam_step_moves_by_the_learning_rate():
    model = OneNumber()
    fit(
        model,
        IMAGES,
        distance_to_one,
        epochs=1,
        generator=dice(),
        batch_size=40,
        learning_rate=0.1,
        schedule="constant",
        progress=False,
    )
    assert model.w.item() == pytest.approx(0.1, rel=1e-5)


def test_history_holds_the_mean_over_images_not_over_batches():
    model = OneNumber()
    history = fit(
        model,
        IMAGES,
        lambda x, w: Distance(x.mean(dim=(1, 2, 3)) + 0 * w),
        epochs=1,
        generator=dice(),
        batch_size=32,
        progress=False,
    )
    assert history.column("loss") == [pytest.approx(IMAGES.double().mean().item() / 255, rel=1e-4)]


def test_one_cycle_rises_to_the_peak_and_falls_to_nothing(monkeypatch):
    rates = []
    original = training._Run.step

    def spy(self, x):
        rates.append(self.optimizer.param_groups[0]["lr"])
        return original(self, x)

    monkeypatch.setattr(training._Run, "step", spy)
    fit(OneNumber(), IMAGES, distance_to_one, epochs=10, generator=dice(), learning_rate=0.5, **QUIET)
    assert len(rates) == 30
    assert max(rates) == pytest.approx(0.5, rel=1e-2)
    assert rates[0] == pytest.approx(0.5 / 25)
    assert rates[-1] < 0.01


def test_fit_lowers_the_loss_of_a_vae_and_reports_both_parts():
    model = small_vae()
    before = evaluate(model, IMAGES, negative_elbo)
    history = fit(
        model, IMAGES, negative_elbo, epochs=60, generator=dice(), test_images=IMAGES, learning_rate=1e-2, **QUIET
    )
    after = evaluate(model, IMAGES, negative_elbo)
    assert after["loss"] < 0.9 * before["loss"]
    assert after == history.test[-1]
    assert [set(losses) for losses in history.train] == [{"loss", "nll", "kl"}] * 60
    assert not model.training


def test_float_images_train_like_uint8_images():
    first, second = small_vae(), small_vae()
    fit(first, IMAGES, negative_elbo, epochs=2, generator=dice(), **QUIET)
    fit(second, IMAGES / 255, negative_elbo, epochs=2, generator=dice(), **QUIET)
    torch.testing.assert_close(weights(first), weights(second))


def test_the_generator_alone_decides_the_run():
    runs = []
    for seed in (0, 0, 1):
        model = small_vae()
        torch.manual_seed(seed + 100 * len(runs))  # the global state must not matter
        fit(model, IMAGES, negative_elbo, epochs=2, generator=dice(seed), **QUIET)
        runs.append(weights(model))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_the_global_random_state_is_left_alone():
    torch.manual_seed(7)
    expected = torch.rand(1)
    model = small_vae()
    torch.manual_seed(7)
    fit(model, IMAGES, negative_elbo, epochs=1, generator=dice(), **QUIET)
    evaluate(model, IMAGES, negative_elbo)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("schedule", ["one-cycle", "constant"])
@pytest.mark.parametrize(
    "make",
    [small_vae, lambda: ConvVAE((1, 8, 8), 2, (4, 4), 8), lambda: ConvAutoencoder((1, 8, 8), 2, (4,), 8)],
    ids=["one layer", "several channels in", "autoencoder"],
)
def test_an_interrupted_run_resumes_to_the_same_weights(tmp_path, monkeypatch, schedule, make):
    options = {"epochs": 4, "schedule": schedule, **QUIET}
    torch.manual_seed(0)
    whole = make()
    objective = negative_elbo
    if isinstance(whole, ConvAutoencoder):
        objective = lambda x, x_logits: Distance(bernoulli_nll(x_logits, x))  # noqa: E731
    torch.manual_seed(0)
    halves = make()
    expected = fit(whole, IMAGES, objective, generator=dice(), **options)

    interrupt_in_epoch(monkeypatch, 3)
    stopped = fit(halves, IMAGES, objective, generator=dice(), checkpoint=tmp_path / "run", **options)
    monkeypatch.undo()
    assert stopped.stopped == "interrupted in epoch 3 of 4"
    assert len(stopped.train) == 2

    torch.manual_seed(99)
    fresh = make()
    resumed = fit(fresh, IMAGES, objective, generator=dice(5), checkpoint=tmp_path / "run", **options)
    assert torch.equal(weights(fresh), weights(whole))
    assert resumed.train == expected.train
    assert resumed.stopped == ""


def interrupt_in_epoch(monkeypatch, number):
    original, calls = training._Run.step, []

    def step(self, x):
        calls.append(1)
        if len(calls) > (number - 1) * 3 + 1:
            raise KeyboardInterrupt
        return original(self, x)

    monkeypatch.setattr(training._Run, "step", step)


def test_ctrl_c_keeps_what_was_learned(monkeypatch):
    model, before = small_vae(), weights(small_vae())
    interrupt_in_epoch(monkeypatch, 1)
    history = fit(model, IMAGES, negative_elbo, epochs=5, generator=dice(), **QUIET)
    assert history.stopped == "interrupted in epoch 1 of 5"
    assert not torch.equal(weights(model), before)


def test_a_finished_run_is_not_trained_again(tmp_path):
    model = small_vae()
    options = {"epochs": 2, "checkpoint": tmp_path / "run", **QUIET}
    first = fit(model, IMAGES, negative_elbo, generator=dice(), **options)
    trained = weights(model)
    again = fit(model, IMAGES, negative_elbo, generator=dice(), **options)
    assert torch.equal(weights(model), trained)
    assert again.train == first.train


def test_a_checkpoint_of_another_run_is_refused_in_words(tmp_path):
    fit(small_vae(), IMAGES, negative_elbo, epochs=1, generator=dice(), checkpoint=tmp_path / "run", **QUIET)
    with pytest.raises(CheckpointError, match="belongs to another run.*'epochs': 1.*'epochs': 2.*Delete the file"):
        fit(small_vae(), IMAGES, negative_elbo, epochs=2, generator=dice(), checkpoint=tmp_path / "run", **QUIET)


class Computes(nn.Module):
    """Notes the type in which the training loop lets a matrix product be computed."""

    def __init__(self):
        super().__init__()
        self.w, self.dtypes = nn.Parameter(torch.ones(8, 1)), set()

    def forward(self, x):
        product = x.flatten(1)[:, :8] @ self.w
        self.dtypes.add(product.dtype)
        return (product.float()[:, 0],)


def computed_in(**options):
    model = Computes()
    fit(model, IMAGES, distance_to_one, epochs=1, generator=dice(), **QUIET, **options)
    (dtype,) = model.dtypes
    return dtype


def test_the_argument_decides_the_precision_before_the_environment(monkeypatch):
    for setting in ("auto", "float32", "bfloat16"):
        monkeypatch.setenv("COURSE_PRECISION", setting)
        assert computed_in(precision="float32") == torch.float32
        assert computed_in(precision="bfloat16") == torch.bfloat16


def test_auto_is_what_the_environment_says_and_else_what_the_processor_has(monkeypatch):
    for setting in ("float32", "bfloat16"):
        monkeypatch.setenv("COURSE_PRECISION", setting)
        assert computed_in() == getattr(torch, setting)
    monkeypatch.delenv("COURSE_PRECISION")
    for capability, native, expected in (
        ("AVX512", True, torch.bfloat16),
        ("AVX512", False, torch.float32),
        ("AVX2", True, torch.float32),
    ):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda capability=capability: capability)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda native=native: {"avx512_bf16": native})
        assert computed_in() == expected


def test_an_unknown_precision_in_the_environment_is_refused_in_words(monkeypatch):
    monkeypatch.setenv("COURSE_PRECISION", "fast")
    with pytest.raises(ValueError, match="COURSE_PRECISION must be one of auto, float32, bfloat16; it is 'fast'"):
        computed_in()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_either_precision_lowers_the_loss_in_float32_weights(precision):
    model = small_vae()
    before = evaluate(model, IMAGES, negative_elbo)["loss"]
    fit(model, IMAGES, negative_elbo, epochs=60, generator=dice(), learning_rate=1e-2, precision=precision, **QUIET)
    assert evaluate(model, IMAGES, negative_elbo)["loss"] < 0.9 * before
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_run_goes_on_in_its_own_precision_or_not_at_all(tmp_path, monkeypatch):
    options = {"epochs": 4, "checkpoint": tmp_path / "run", **QUIET}
    interrupt_in_epoch(monkeypatch, 3)
    fit(small_vae(), IMAGES, negative_elbo, generator=dice(), precision="float32", **options)
    monkeypatch.undo()
    monkeypatch.setenv("COURSE_PRECISION", "bfloat16")
    with pytest.raises(CheckpointError, match="'precision': 'float32'.*'precision': 'bfloat16'.*COURSE_PRECISION"):
        fit(small_vae(), IMAGES, negative_elbo, generator=dice(), **options)
    monkeypatch.setenv("COURSE_PRECISION", "float32")
    resumed = fit(small_vae(), IMAGES, negative_elbo, generator=dice(), **options)
    assert len(resumed.train) == 4


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (lambda x, x_logits, mu, logvar: negative_elbo(x, x_logits, mu, logvar + 1e4), "kl is inf.*log-variance"),
        (
            lambda x, x_logits, mu, logvar: negative_elbo(x, x_logits * math.nan, mu, logvar),
            "nll is nan.*reconstruction",
        ),
        (lambda x, x_logits, mu, logvar: Distance(mu.sum(dim=1) * math.inf), "loss is .*step"),
    ],
)
def test_a_lost_loss_stops_with_its_likely_cause(objective, message):
    with pytest.raises(TrainingDiverged, match=f"diverged in epoch 1: {message}.*learning rate below 0.003"):
        fit(small_vae(), IMAGES, objective, epochs=1, generator=dice(), **QUIET)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be positive, got 0"),
        ({"batch_size": -1}, "batch_size must be positive"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"schedule": "linear"}, "schedule must be one of one-cycle, constant, got 'linear'"),
        ({"precision": "float8"}, "precision must be one of auto, float32, bfloat16, got 'float8'"),
        ({"images": IMAGES[:0]}, "images must be positive, got 0"),
    ],
)
def test_bad_arguments_are_refused_in_words(options, message):
    options = {"images": IMAGES, "epochs": 1, "generator": dice(), "progress": False} | options
    with pytest.raises(ValueError, match=message):
        fit(small_vae(), options.pop("images"), negative_elbo, **options)


def test_evaluate_is_the_mean_of_all_images_whatever_the_batch_size():
    model = OneNumber()
    parts = [
        evaluate(model, IMAGES, lambda x, w: Distance(x.mean(dim=(1, 2, 3))), batch_size=n)["loss"] for n in (7, 40)
    ]
    assert parts == [pytest.approx(IMAGES.double().mean().item() / 255)] * 2


def test_evaluate_has_fixed_noise_and_keeps_the_mode():
    model = small_vae().train()
    first, again, other = (evaluate(model, IMAGES, negative_elbo, seed=seed)["nll"] for seed in (0, 0, 1))
    assert first == again != other
    assert model.training


class Told(nn.Module):
    """Predicts w times what it is told about an image: the loss vanishes where the pairs are kept and w = 1."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(0.0))

    def forward(self, x, c):
        return (self.w * c,)


def distance_to_pixel(x, told):
    return Distance((told - x[:, 0, 0, 0]) ** 2)


def test_conditions_reach_the_model_beside_their_images_in_fit_and_evaluate():
    model, told = Told(), IMAGES[:, 0, 0, 0] / 255
    options = {"generator": dice(), "epochs": 40, "learning_rate": 0.1, **QUIET}
    history = fit(
        model, IMAGES, distance_to_pixel, conditions=told, test_images=IMAGES, test_conditions=told, **options
    )
    assert model.w.item() == pytest.approx(1.0, abs=1e-2)
    assert history.column("loss", "test")[-1] == pytest.approx(0.0, abs=1e-3)
    again = evaluate(model, IMAGES, distance_to_pixel, conditions=told, batch_size=7)["loss"]
    assert again == pytest.approx(0.0, abs=1e-3)
    shuffled = evaluate(model, IMAGES, distance_to_pixel, conditions=told.flip(0))["loss"]
    assert shuffled == pytest.approx((told - told.flip(0)).square().mean().item(), rel=0.1)


def test_evaluate_refuses_an_empty_set():
    with pytest.raises(ValueError, match="no images to evaluate"):
        evaluate(small_vae(), IMAGES[:0], negative_elbo)


def test_the_progress_bar_shows_both_parts_and_the_time_left(capsys):
    fit(small_vae(), IMAGES, negative_elbo, epochs=2, generator=dice(), batch_size=16)
    captured = capsys.readouterr()
    assert "2 epochs: 100%" in captured.err
    assert "6/6" in captured.err
    assert "nll" in captured.err
    assert "kl" in captured.err
    assert captured.out == ""


def test_in_a_notebook_a_finished_bar_and_a_stopped_one_leave_a_plain_line():
    source = (
        "from course_utils.progress import Bar\nfor done in (3, 1):\n    with Bar(total=3, desc='3 steps') as bar:\n"
    )
    nb = new_notebook(
        cells=[new_code_cell(source + "        bar.update(done)\n        bar.set_postfix_str('kl 1.0 nats')")]
    )
    NotebookClient(nb, timeout=120, extra_arguments=["--IPKernelApp.log_level=ERROR"]).execute()
    finished, stopped = (output.data for output in nb.cells[0].outputs)
    assert set(finished) == set(stopped) == {"text/plain"}
    assert finished["text/plain"].startswith("3 steps: 100%") and "kl 1.0 nats" in finished["text/plain"]
    assert stopped["text/plain"].startswith("3 steps:  33%")
