"""Those who make the variants' weights, each with an epoch on a few digits."""

import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from course_utils.checkpoints import read_facts
from course_utils.data import load
from tools import adversary_weights, comparison_weights, variant_weights, weights

MODULES = (adversary_weights, comparison_weights, variant_weights)
FEW = {"train": 96, "test": 1_000}  # the reference keeps a thousand features
RESUMED = ("mnist-gan", "mnist-vae-gan", "mnist-latent-flow")


@pytest.fixture
def few_digits(tmp_path, monkeypatch):
    """Folders of the test's own, few digits in every set, an epoch for every training and a hundred draws."""

    def few(name, split="train", choice=None):
        whole, which = load(name, split, "bundled"), torch.arange(FEW[split]) % 96
        return replace(whole, images=whole.images[which], labels=whole.labels[which])

    for module in MODULES:
        monkeypatch.setattr(module, "load", few)
        monkeypatch.setattr(module, "BUILD", tmp_path / "build")
        for count in (name for name in vars(module) if name.endswith("EPOCHS")):
            monkeypatch.setattr(module, count, 1)
    for module in (adversary_weights, comparison_weights):
        monkeypatch.setattr(module, "DRAWS", 100)
    monkeypatch.setattr(variant_weights, "weights_dir", lambda: tmp_path / "weights")
    return tmp_path / "weights"


@pytest.mark.parametrize("name", sorted(weights.MAKERS))
def test_what_is_made_is_stored_with_its_facts_and_its_card(name, few_digits):
    path = weights.MAKERS[name]()
    facts = read_facts(path)
    numbers = [value for value in facts.values() if isinstance(value, (int, float))]
    assert path == few_digits / f"{name}.safetensors"
    assert all(math.isfinite(number) for number in numbers)
    assert all(tensor.isfinite().all() for tensor in load_file(path).values())
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert facts["licence"] in card
    assert ("scikit-learn" in facts["data"]) == ("scikit-learn" in facts["licence"])  # who was shown is who is named


@pytest.mark.parametrize("name", RESUMED)
def test_a_finished_training_is_not_run_again(name, few_digits, monkeypatch):
    first = load_file(weights.MAKERS[name]())
    monkeypatch.setattr("course_utils.learner.torch.optim.Adam.step", lambda *_: pytest.fail("trained again"))
    again = load_file(weights.MAKERS[name]())
    assert all((first[key] == again[key]).all() for key in first | again)
