"""`python -m course_utils.train` as a user calls it."""

import json
import os
import subprocess
import sys

import pytest

from course_utils import train
from course_utils.checkpoints import load_checkpoint
from course_utils.models import build
from course_utils.training import History

QUICK = ["--epochs", "1", "--batch-size", "256", "--latent-dim", "3"]


@pytest.fixture(autouse=True)
def bundled(monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "bundled")


def test_the_last_line_of_stdout_is_json_and_progress_goes_to_stderr(tmp_path):
    command = [sys.executable, "-m", "course_utils.train", *QUICK, "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout)  # stdout holds nothing else
    assert metrics["test_negative_elbo"] == pytest.approx(metrics["test_nll"] + metrics["test_kl"])
    assert metrics["unit"] == "nats per image"
    assert "stand-in for MNIST" in metrics["data"]
    assert "1 epoch: 100%" in done.stderr
    assert "in place of MNIST" in done.stderr
    model, facts = load_checkpoint(tmp_path / "run.safetensors", build)
    assert model.latent_dim == 3
    assert facts["test_negative_elbo"] == metrics["test_negative_elbo"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--latent-dim", "0"], "ValueError: Expected image_shape"),
        (["--epochs", "0"], "ValueError: epochs must be positive"),
        (["--model", "dcgan", "--data", "cifar10"], "ValueError: DCGANVAE is built for 28x28 images"),
        (["--learning-rate", "1e6"], "TrainingDiverged: Training diverged in epoch 1"),
        (["--sigma2", "-1"], "ValueError: sigma2 is a variance and must be positive"),
    ],
)
def test_foreseeable_faults_are_one_sentence_and_status_1(capsys, options, message):
    assert train.main([*QUICK, *options]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.strip().split("\n")[-1].startswith(message)
    assert "Traceback" not in captured.err


def test_an_unwritable_out_is_found_before_training(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(train, "fit", lambda *a, **k: pytest.fail("trained before looking at --out"))
    assert train.main([*QUICK, "--out", str(tmp_path / "file" / "run")]) == 1
    assert "Error" in capsys.readouterr().err
    assert train.main([*QUICK, "--out", str(tmp_path)]) == 1
    assert "is a folder" in capsys.readouterr().err


def test_real_data_that_are_missing_are_one_sentence(monkeypatch, tmp_path, capsys):
    from course_utils.sources import download

    monkeypatch.setenv("COURSE_DATA", "real")
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(download, "connection_problem", lambda address: "no network: pulled plug")
    assert train.main(QUICK) == 1
    assert "DataUnavailable: MNIST is not in" in capsys.readouterr().err


def test_ctrl_c_prints_the_metrics_so_far_and_exits_130(monkeypatch, capsys):
    from course_utils import training

    original = training._Run.step
    calls = []

    def step(self, x):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return original(self, x)

    monkeypatch.setattr(training._Run, "step", step)
    assert train.main(["--epochs", "2", "--batch-size", "256", "--latent-dim", "3"]) == 130
    captured = capsys.readouterr()
    assert json.loads(captured.out)["stopped"] == "interrupted in epoch 2 of 2"
    assert "Add --resume FILE next time to go on" in captured.err


def test_a_resumed_run_says_where_it_starts(tmp_path, capsys):
    command = [*QUICK, "--resume", str(tmp_path / "run")]
    assert train.main(command) == 0
    assert "starting anew, with the run kept in" in capsys.readouterr().err
    assert train.main(command) == 0
    assert "going on from" in capsys.readouterr().err


def test_mirror_adds_each_image_s_mirror_image_to_the_training_set_alone(monkeypatch):
    from course_utils import data

    seen = {}

    def spy(model, images, *args, **kwargs):
        seen["train"] = images
        return History(train=[{"loss": 0.0}])

    def spy_evaluate(model, images, *args, **kwargs):
        seen["test"] = images
        return {"loss": 0.0, "nll": 0.0, "kl": 0.0}

    monkeypatch.setattr(train, "fit", spy)
    monkeypatch.setattr(train, "evaluate", spy_evaluate)
    plain, test = data.load("mnist", "train").images, data.load("mnist", "test").images
    for options, expected in (([], len(plain)), (["--mirror"], 2 * len(plain))):
        train.train(train.parse([*QUICK, *options]))
        assert len(seen["train"]) == expected
        assert seen["test"].shape == test.shape
    first, last = seen["train"][3, 0], seen["train"][len(plain) + 3, 0]
    assert first.tolist() == [row[::-1] for row in last.tolist()] != last.tolist()


def test_a_mirrored_run_is_another_recipe():
    plain, mirrored = (train.recipe_of(train.parse(options)) for options in ([], ["--mirror"]))
    assert {name for name in plain if plain[name] != mirrored[name]} == {"mirror"}


@pytest.mark.parametrize(("data", "shape"), [("smiles", (1, 64, 64)), ("drawn_faces", (3, 64, 64))])
def test_faces_are_trained_in_their_own_size_and_colours(monkeypatch, tmp_path, data, shape):
    monkeypatch.setattr(train, "fit", lambda *a, **k: History(train=[{"loss": 0.0}]))
    monkeypatch.setattr(train, "evaluate", lambda *a, **k: {"loss": 0.0, "nll": 0.0, "kl": 0.0})
    options = ["--data", data, "--model", "face", "--latent-dim", "5", "--sigma2", "0.01"]
    train.train(train.parse([*options, "--out", str(tmp_path / "run")]))
    model, facts = load_checkpoint(tmp_path / "run.safetensors", build)
    assert (model.name, model.image_shape, model.latent_dim) == ("face", shape, 5)
    assert facts["recipe"]["sigma2"] == 0.01


def test_channels_are_those_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(train, "fit", lambda *a, **k: History(train=[{"loss": 0.0}]))
    monkeypatch.setattr(train, "evaluate", lambda *a, **k: {"loss": 0.0, "nll": 0.0, "kl": 0.0})
    options = ["--data", "drawn_laboratory", "--model", "face", "--channels", "4", "8", "--out", str(tmp_path / "run")]
    train.train(train.parse(options))
    model, _ = load_checkpoint(tmp_path / "run.safetensors", build)
    assert model.arguments["channels"] == (4, 8)
