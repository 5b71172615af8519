"""The weights that come with the course: verified before they are read, described, and what their cards say."""

import base64
import json
import re

import numpy as np
import pytest
import torch

from course_utils import pretrained
from course_utils.checkpoints import CheckpointError, save_checkpoint
from course_utils.data import load
from course_utils.models import ConvVAE
from course_utils.pretrained import checksums, fingerprints, load_pretrained, trained_on, weights_dir
from tools import weights

NAMES = sorted(weights.RECIPES)
OTHERS = sorted(weights.MAKERS)  # the variants' weights and their judge


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with one small set of weights and its checksum."""
    monkeypatch.setattr(pretrained, "weights_dir", lambda: tmp_path)
    save_checkpoint(tmp_path / "tiny", ConvVAE((1, 8, 8), 2, (4,), 8), half=True, epochs=1)
    weights.write_checksums(tmp_path)
    return tmp_path


def test_weights_come_back_in_float32_and_eval_mode(folder):
    model, facts = load_pretrained("tiny")
    assert not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert facts["epochs"] == 1


def test_one_changed_byte_is_refused(folder):
    path = folder / "tiny.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="differs from its checksum.*git checkout"):
        load_pretrained("tiny")


def test_a_missing_file_and_an_unknown_name_are_told_apart(folder):
    (folder / "tiny.safetensors").unlink()
    with pytest.raises(CheckpointError, match="There is no file at"):
        load_pretrained("tiny")
    with pytest.raises(ValueError, match="no weights called 'huge'. Choose one of: tiny"):
        load_pretrained("huge")


@pytest.mark.parametrize("name", NAMES)
def test_stored_weights_load_and_decode(name):
    model, facts = load_pretrained(name)
    with torch.no_grad():
        x_hat = model.decode(torch.randn(8, model.latent_dim, generator=torch.Generator().manual_seed(0))).sigmoid()
    assert x_hat.shape == (8, *model.image_shape)
    assert x_hat.std(dim=(1, 2, 3)).min() > 0.05  # pictures, not grey fields
    assert x_hat.std(dim=0).mean() > 0.02  # and not one picture eight times
    assert "stand-in" not in facts["data"] or name.startswith("drawn")


@pytest.mark.parametrize("name", NAMES)
def test_cards_are_complete_and_say_what_the_facts_say(name):
    _, facts = load_pretrained(name)
    text = (weights_dir() / f"{name}.md").read_text(encoding="utf-8")
    for row in ("data", "licence note", "recipe", "seed", "test −ELBO", "limits"):
        assert f"| {row} |" in text
    (stated,) = re.findall(r"test −ELBO \| (-?[\d.]+) nats per image", text)
    assert float(stated) == pytest.approx(facts["test_loss_in_half_precision"], abs=0.006)
    assert facts["data"] in text


def test_every_recipe_has_its_weights_and_all_together_are_small():
    assert sorted(checksums(weights_dir())) == sorted([*NAMES, *OTHERS])
    assert sum(path.stat().st_size for path in weights_dir().glob("*.safetensors")) <= 24e6


@pytest.mark.parametrize("name", OTHERS)
def test_cards_of_the_variants_weights_are_complete(name):
    facts = json.loads((weights_dir() / f"{name}.json").read_text(encoding="utf-8"))
    text = (weights_dir() / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {facts['model']}\n")
    for row in ("data", "licence note", "recipe", "seed", "limits", "size"):
        assert f"| {row} |" in text
    assert facts["data"] in text


def test_a_recipe_is_a_command_line_that_the_trainer_accepts():
    for recipe in weights.RECIPES.values():
        assert weights.train.parse(recipe.arguments.split()).seed == 0


def test_making_weights_trains_once_and_stores_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_DATA", "bundled")
    monkeypatch.setattr(weights, "weights_dir", lambda: tmp_path / "weights")
    monkeypatch.setattr(weights, "BUILD", tmp_path / "build")
    tiny = weights.Recipe("--epochs 1 --batch-size 512 --latent-dim 2", "For a test.", "None.", "All.")
    monkeypatch.setattr(weights, "RECIPES", {"tiny": tiny})
    monkeypatch.setattr(weights, "MAKERS", {})
    assert weights.main(["tiny"]) == 0
    first = (tmp_path / "weights" / "tiny.safetensors").read_bytes()
    monkeypatch.setattr(weights.train, "train", lambda arguments: pytest.fail("trained a finished run again"))
    assert weights.main([]) == 0
    assert (tmp_path / "weights" / "tiny.safetensors").read_bytes() == first
    assert checksums(tmp_path / "weights") == {"tiny": pretrained.sha256(tmp_path / "weights" / "tiny.safetensors")}
    assert weights.main(["huge"]) == 1
    assert "There is no recipe for 'huge'. Choose from: tiny." in capsys.readouterr().err


class Reader(torch.nn.Module):
    """In a VAE's place, with codes that are known: (brightness of the left half, 7); it decodes everything to grey."""

    def encode(self, x):
        z = torch.stack([x[..., :32].mean(dim=(1, 2, 3)), torch.full((len(x),), 7.0)], dim=1)
        return z, z

    def decode(self, z):
        return torch.zeros(len(z), 1, 64, 64)

    def parameters(self):
        yield torch.zeros(1)


@pytest.mark.parametrize(("options", "columns"), [([], slice(0, 32)), (["--mirror"], slice(0, 64))])
def test_smile_arithmetic_stores_means_over_faces_and_their_scores(monkeypatch, options, columns):
    monkeypatch.setenv("COURSE_DATA", "bundled")
    facts = weights.smile_arithmetic(weights.train.parse(["--data", "smiles", *options]), Reader())
    training, test = load("smiles", "train"), load("smiles", "test")
    left = training.images.numpy()[..., columns].mean(axis=(1, 2, 3)) / 255  # with mirror images both halves are left
    smiling = training.labels.numpy() == 1
    solemn = left[~smiling].mean()
    way = left[smiling].mean() - solemn
    assert facts["mean_code_not_smiling"] == pytest.approx([solemn, 7], abs=1e-5)
    assert facts["smile_direction"] == pytest.approx([way, 0], abs=1.1e-5)
    to_grey = ((test.images.numpy() / 255 - 0.5) ** 2).sum(axis=(1, 2, 3)).mean()
    assert facts["test_squared_error"] == pytest.approx(to_grey, rel=1e-4)
    projection = test.images.numpy()[..., :32].mean(axis=(1, 2, 3)) * np.sign(way)
    yes, no = projection[test.labels == 1], projection[test.labels == 0]
    wins = (yes[:, None] > no).mean() + 0.5 * (yes[:, None] == no).mean()
    assert facts["test_auc_of_smile_direction"] == pytest.approx(wins, abs=1e-3)


def test_digits_have_no_smile(monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "bundled")
    assert weights.smile_arithmetic(weights.train.parse([]), Reader()) == {}


def test_weights_know_their_training_faces_and_no_other_face():
    faces = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 1, 8, 8)
    facts = {"trained_on": fingerprints(faces[[3, 0]])}
    assert trained_on(facts, faces).tolist() == [True, False, False, True, False]
    assert not trained_on({}, faces).any()


def test_the_stored_faces_list_their_training_faces():
    _, facts = load_pretrained("faces-64")
    listed = np.frombuffer(base64.b64decode(facts["trained_on"]), np.uint32)
    (counted,) = re.findall(r"\(([\d,]+) train images", facts["data"])
    assert len(listed) == int(counted.replace(",", ""))
    assert len(set(listed.tolist())) > 0.99 * len(listed)
