"""Kept runs: trained once, resumed to the same result, tied to a student, measured by anyone, never by nbgrader."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from course_utils.assignment import plan, run_checks, runs
from course_utils.assignment.answers import CheckFailed
from course_utils.assignment.runs import RunUnfinished, read_run, seed_correlation, seed_of, train_run
from course_utils.checkpoints import CheckpointError
from course_utils.data import load
from course_utils.models import ConvVAE, VAEOutput
from course_utils.objectives import negative_elbo
from course_utils.sources.source import DataUnavailable

TINY = partial(ConvVAE, (1, 28, 28), 3, (4, 4), 8)


@pytest.fixture(autouse=True)
def bundled(monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "bundled")


def never(*_):
    raise AssertionError("nothing may be trained")


def trained(path, student=1, epochs=2, objective=negative_elbo, make=TINY):
    return train_run(path, make, objective, "mnist", student_number=student, epochs=epochs)


def same_weights(a, b):
    one, other = a.model.state_dict(), b.model.state_dict()
    return all(torch.equal(one[name], other[name]) for name in one | other)


def doubled(*output):
    return [2 * part for part in negative_elbo(*output)]


def interrupted_at(step, objective=negative_elbo):
    """The objective, stopped by Ctrl-C in that training step; twelve steps make an epoch."""
    sizes = []

    def stopped(x, *output):
        sizes.append(len(x))
        if sum(size > 4 for size in sizes) == step:  # four images are only looked at to tell one loss from another
            raise KeyboardInterrupt
        return objective(x, *output)

    return stopped


def test_a_run_is_trained_once_and_then_read(tmp_path):
    first = trained(tmp_path / "bce.safetensors")
    again = trained(tmp_path / "bce.safetensors", objective=never)
    assert same_weights(first, again)
    assert again.facts["epochs"] == len(again.facts["history"]) == 2
    assert again.facts["student"] == 1 and again.facts["bundled"] is True
    assert not (tmp_path / "unfinished" / "bce.safetensors").exists()
    assert "2 epochs on stand-in for MNIST" in str(again)


def test_an_interrupted_run_goes_on_to_the_same_weights(tmp_path):
    with pytest.raises(RunUnfinished, match="Interrupted in epoch 2 of 2. Run this cell again"):
        trained(tmp_path / "bce.safetensors", objective=interrupted_at(18))
    assert not (tmp_path / "bce.safetensors").exists()
    resumed = trained(tmp_path / "bce.safetensors")
    assert same_weights(resumed, trained(tmp_path / "whole" / "bce.safetensors"))


WIDER = partial(ConvVAE, (1, 28, 28), 4, (4, 4), 8)


@pytest.mark.parametrize("change", [{"student": 2}, {"objective": doubled}, {"make": WIDER}])
def test_an_interrupted_run_starts_afresh_when_number_loss_or_network_change(tmp_path, change, capsys):
    with pytest.raises(RunUnfinished):
        trained(tmp_path / "bce.safetensors", objective=interrupted_at(18))
    capsys.readouterr()
    changed = trained(tmp_path / "bce.safetensors", **change)
    assert "Your number, network or loss has changed since bce was interrupted" in capsys.readouterr().out
    assert same_weights(changed, trained(tmp_path / "whole" / "bce.safetensors", **change))
    assert list((tmp_path / "unfinished").iterdir()) == []


def test_going_back_to_the_old_loss_loses_nothing(tmp_path, capsys):
    file = tmp_path / "bce.safetensors"
    with pytest.raises(RunUnfinished):
        trained(file, objective=interrupted_at(18))
    with pytest.raises(RunUnfinished):
        trained(file, objective=interrupted_at(18, doubled))
    capsys.readouterr()
    calls = []
    trained(file, objective=lambda x, *output: calls.append(len(x)) or negative_elbo(x, *output))
    assert sum(size > 4 for size in calls) == 12  # the second epoch alone
    assert "afresh" not in capsys.readouterr().out
    assert list((tmp_path / "unfinished").iterdir()) == []


def test_a_finished_run_of_another_loss_is_read_and_says_so(tmp_path, capsys):
    trained(tmp_path / "bce.safetensors")
    trained(tmp_path / "bce.safetensors")
    assert "another network or loss" not in capsys.readouterr().out
    trained(tmp_path / "bce.safetensors", objective=doubled)
    assert "was trained with another network or loss than yours is now. Delete it" in capsys.readouterr().out


def test_nbgrader_trains_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "validate")
    with pytest.raises(RunUnfinished, match="There is no finished run at .*bce.safetensors"):
        trained(tmp_path / "bce.safetensors", objective=never)
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_somebody_else_or_of_another_length_is_not_overwritten(tmp_path):
    trained(tmp_path / "bce.safetensors")
    with pytest.raises(ValueError, match="holds a run of student 1 with 2 epochs; this one is for student 2"):
        trained(tmp_path / "bce.safetensors", student=2, objective=never)
    with pytest.raises(ValueError, match="with 3. Move that file away"):
        trained(tmp_path / "bce.safetensors", epochs=3, objective=never)


def test_weights_remember_whose_they_are(tmp_path):
    one, two = (trained(tmp_path / f"{student}.safetensors", student) for student in (1, 2))
    assert not same_weights(one, two)
    assert seed_correlation(one) > 0.9
    one.facts["seed"] = seed_of(2)
    assert abs(seed_correlation(one)) < 0.1  # three standard deviations of chance for so few weights
    assert seed_of(1) != seed_of(2) and seed_of(1) == seed_of(1)


def test_facts_are_measured_with_the_network_of_the_course(tmp_path):
    class Cheerful(ConvVAE):
        """Samples far too little noise."""

        def forward(self, x, generator=None):
            mu, logvar = self.encode(x)
            return VAEOutput(self.decode(mu), mu, logvar)

    run = trained(tmp_path / "bce.safetensors", make=partial(Cheerful, (1, 28, 28), 3, (4, 4), 8))
    assert type(run.model) is ConvVAE
    again = runs.measure(run.model, load("mnist", "test").images)
    assert run.facts["test"] == pytest.approx(again, rel=1e-5)


def test_common_measures_are_those_of_the_distributions():
    source = torch.Generator().manual_seed(0)
    x, x_logits = torch.rand(5, 1, 3, 3, generator=source).round(), torch.randn(5, 1, 3, 3, generator=source)
    mu, logvar = torch.randn(5, 2, generator=source), torch.randn(5, 2, generator=source)
    bce, sse, kl = runs.common(x, x_logits, mu, logvar)
    torch.testing.assert_close(bce, -Bernoulli(logits=x_logits).log_prob(x).sum(dim=(1, 2, 3)))
    picture = 1 / (1 + np.exp(-x_logits.numpy()))
    np.testing.assert_allclose(sse, ((picture - x.numpy()) ** 2).sum(axis=(1, 2, 3)), rtol=1e-5)
    torch.testing.assert_close(kl, kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum(dim=1))


def test_the_mean_image_is_measured_pixel_by_pixel():
    train = torch.tensor([0, 255, 255, 255], dtype=torch.uint8).view(4, 1, 1, 1)
    test = torch.tensor([255, 0], dtype=torch.uint8).view(2, 1, 1, 1)
    bce, sse = runs.mean_image_errors(train, test)
    assert bce == pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2)
    assert sse == pytest.approx((0.25**2 + 0.75**2) / 2)


def test_a_missing_and_a_foreign_file_are_told_apart(tmp_path):
    with pytest.raises(RunUnfinished, match="There is no finished run"):
        read_run(tmp_path / "bce.safetensors")
    (tmp_path / "bce.safetensors").write_bytes(b"PK not safetensors")
    with pytest.raises(CheckpointError, match="damaged or not a safetensors file"):
        read_run(tmp_path / "bce.safetensors")


# What the checks make of it, beyond tests/test_marking_runs.py


@pytest.mark.parametrize(("name", "expected"), [("bce", 120.0), ("mse", 60.0), ("combined", 90.0), ("cifar10", 120.0)])
def test_each_run_has_the_loss_that_its_task_gave_it(name, expected):
    measures = {"bce": 100.0, "sse": 4.0, "kl": 20.0}  # 4 / (2 * 0.05) = 40 and 4 / (2 * 0.02) = 100
    assert plan.RUNS[name].loss(measures) == pytest.approx(expected)


def test_a_run_on_images_that_are_not_here_is_marked_as_unverified(tmp_path, monkeypatch):
    trained(tmp_path / "bce.safetensors")

    def unavailable(run):
        raise DataUnavailable("MNIST is not in data and cannot be downloaded")

    monkeypatch.setattr(run_checks, "images_of", unavailable)
    assert run_checks.check_honest(tmp_path / "bce.safetensors").startswith("UNVERIFIED: ")
    share, sentence = run_checks.quality(tmp_path / "bce.safetensors")
    assert share == 1.0 and sentence.startswith("UNVERIFIED: ") and "cannot be downloaded" in sentence


def test_a_run_that_learned_too_little_gets_no_points_for_quality(tmp_path):
    trained(tmp_path / "bce.safetensors")
    share, sentence = run_checks.quality(tmp_path / "bce.safetensors")
    assert share == 0.0 and "the mean image has 177.7" in sentence
    with pytest.raises(CheckFailed, match="says 2 epochs and its history has 2; the task asks for 100"):
        run_checks.check_whole(tmp_path / "bce.safetensors", 100)


@pytest.mark.parametrize(
    ("bundled", "train_error", "gap", "learned"),
    [(True, 0.1, 1.0, True), (True, 0.1, 1.3, False), (False, 0.1, 1.0, False), (True, 0.9, 1.0, False)],
    ids=["no gap", "a gap", "a large set", "hardly trained"],
)
def test_test_images_were_learned_if_a_small_set_shows_no_gap(monkeypatch, bundled, train_error, gap, learned):
    source = torch.Generator().manual_seed(0)

    def errors(run, images, mean):
        level = train_error if len(images) > 300 else gap * train_error
        return level * torch.rand(len(images), generator=source).double().mul(0.4).exp()

    run = runs.Run(TINY(), {"bundled": bundled}, Path("bce.safetensors"))
    monkeypatch.setattr(run_checks, "images_of", lambda run: run_checks.images_for("mnist", "bundled", Path()))
    monkeypatch.setattr(run_checks, "_relative_errors", errors)
    assert run_checks._learned_the_test_images(run) is learned
