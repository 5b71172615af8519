"""A history is what training from the run's seed gives, or it is named; honest ones never are."""

import dataclasses
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import torch

from course_utils.assignment.plan import RUNS, SIGMA2
from course_utils.assignment.runs import Run, RunUnfinished, seed_of, train_run
from course_utils.checkpoints import read_facts
from course_utils.data import DataUnavailable
from course_utils.models import ConvVAE, VAEOutput, build
from course_utils.objectives import negative_elbo
from grading import replay

NUMBER = 20261120
TINY = {"channels": (4, 8), "hidden": 16, "latent_dim": 3}
EPOCHS = 2  # that are really trained


class OtherNoise(ConvVAE):
    """As honest as any, but its noise is drawn in another order."""

    def forward(self, x, generator=None):
        mu, logvar = self.encode(x)
        return VAEOutput(self.decode(mu + (0.5 * logvar).exp() * torch.randn(mu.shape[::-1]).T), mu, logvar)


def trained(folder: Path, name: str, model: type[ConvVAE] = ConvVAE, stops: tuple[int, ...] = (25,)) -> Run:
    """What `train_run` records of its first epochs, with an interrupt in each of these steps; then one line goes on."""
    path, plan = folder / f"{name}.safetensors", RUNS[name]
    elbo = partial(negative_elbo, sigma2=None if name == "bce" else SIGMA2)
    for stop in stops:
        steps = iter(range(stop))

        def objective(*words, steps=steps):
            if next(steps, None) is None:
                raise KeyboardInterrupt
            return elbo(*words)

        with suppress(RunUnfinished):
            train_run(path, partial(model, **TINY), objective, "mnist", student_number=NUMBER, epochs=plan.epochs)
    (unfinished,) = (folder / "unfinished").glob("*.safetensors")
    recorded = read_facts(unfinished)["history"]["train"]
    assert len(recorded) == EPOCHS
    seed = seed_of(NUMBER)
    facts = {"history": [*recorded, *98 * recorded[-1:]], "seed": seed, "student": NUMBER, "bundled": True}
    facts |= {"model": "conv", "arguments": ConvVAE(**TINY).arguments, "data_set": "mnist", "data": source()}
    return Run(build("conv", **TINY), facts, path)


def source() -> str:
    from course_utils.data import load

    return load("mnist", "train", "bundled").source


@pytest.fixture(scope="module")
def honest(tmp_path_factory) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_PRECISION", "float32")
        patch.setenv("COURSE_DATA", "bundled")
        return trained(tmp_path_factory.mktemp("runs"), "bce")


def told(run: Run, **measures) -> Run:
    """That run with other numbers in the first line of its history, its loss in step with them."""
    first, *rest = run.facts["history"]
    first = first | measures
    first["loss"] = first["bce"] + first["kl"]
    return dataclasses.replace(run, facts=run.facts | {"history": [first, *rest]})


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("threads", [1, 2])
def test_an_honest_history_is_never_named(honest, monkeypatch, precision, threads):
    monkeypatch.setenv("COURSE_PRECISION", precision)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert replay.doubt(honest) == ""
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("name", "model", "stops"),
    [("bce", OtherNoise, (25,)), ("mse", ConvVAE, (25,)), ("bce", ConvVAE, (5, 20, 16))],
    ids=["other noise", "another loss", "interrupted twice"],
)
def test_nor_is_one_of_other_noise_or_loss_or_after_interrupts(tmp_path, monkeypatch, name, model, stops):
    monkeypatch.setenv("COURSE_DATA", "bundled")
    monkeypatch.setenv("COURSE_PRECISION", "bfloat16")
    run = trained(tmp_path, name, model, stops)
    monkeypatch.setenv("COURSE_PRECISION", "float32")
    assert replay.doubt(run) == ""


@pytest.mark.parametrize(("part", "factor"), [("bce", 0.95), ("sse", 1.05), ("kl", 0.8)])
def test_another_number_in_the_first_line_is_named(honest, part, factor):
    number = honest.facts["history"][0][part]
    sentence = replay.doubt(told(honest, **{part: factor * number}))
    assert sentence.startswith(f"says {part} {factor * number:.1f} in epoch 1; trained again from its seed it is ")
    assert float(sentence.split()[-1].rstrip(".")) == pytest.approx(number, rel=0.01)


def test_somebody_elses_history_is_named(honest):
    facts = honest.facts | {"seed": seed_of(NUMBER + 1)}
    assert "trained again from its seed" in replay.doubt(dataclasses.replace(honest, facts=facts))


def test_a_loss_that_does_not_follow_from_its_parts_is_named(honest):
    history = [dict(entry) for entry in honest.facts["history"]]
    history[7]["loss"] += 30
    for other in (history, [entry | {"loss": "low"} for entry in history], [{"bce": 1, "sse": 1, "kl": 1}] * 100):
        facts = honest.facts | {"history": other}
        assert "another loss" in replay.doubt(dataclasses.replace(honest, facts=facts))


def test_of_a_long_epoch_the_beginning_decides(honest, monkeypatch):
    monkeypatch.setattr(replay, "STEPS", 8)
    monkeypatch.setattr(replay, "LONG_STEPS", 6)
    assert replay.doubt(honest) == ""
    first = honest.facts["history"][0]["bce"]
    for factor in (0.7, 1.3):
        assert "6 steps with" in replay.doubt(told(honest, bce=factor * first))


def test_where_it_cannot_be_known_nothing_is_said(honest, monkeypatch):
    wrong = told(honest, bce=1.0)
    elsewhere = dataclasses.replace(wrong, facts=wrong.facts | {"data": "a part of MNIST"})
    assert replay.doubt(elsewhere) == ""

    def unavailable(*words):
        raise DataUnavailable("no network")

    monkeypatch.setattr(replay, "_images", unavailable)
    assert replay.doubt(wrong) == ""


def test_a_giant_is_not_trained(honest, monkeypatch):
    monkeypatch.setattr(replay, "replayed", None)  # it must not be called
    facts = honest.facts | {"arguments": honest.facts["arguments"] | {"channels": (4096, 8)}}
    model = build("conv", **TINY)
    model.arguments = facts["arguments"]
    assert "too large" in replay.doubt(dataclasses.replace(honest, facts=facts, model=model))


def test_only_runs_that_lost_nothing_are_looked_at(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(replay, "read_run", lambda path: path)
    monkeypatch.setattr(replay, "doubt", lambda path: asked.append(path.stem) or "is odd.")
    found = replay.doubts(tmp_path, ["test-bce-objective", "test-run-mse-honest", "test-kl-shape"])
    assert asked == ["combined", "cifar10"]
    assert found == [f"HISTORY: runs/{name}.safetensors is odd. {replay.CURE}" for name in asked]
