"""Checkpoints: what comes back is what went in; everything else is refused in one sentence."""

import json
import os
import pickle
import struct

import pytest
import torch
from safetensors.torch import save_file

from course_utils import checkpoints
from course_utils.checkpoints import CheckpointError, load_checkpoint, read_facts, save_checkpoint, write_tensors
from course_utils.models import ConvVAE, build


def small():
    return ConvVAE((1, 8, 8), latent_dim=2, channels=(4,), hidden=8)


@pytest.fixture
def saved(tmp_path):
    return save_checkpoint(tmp_path / "run", small(), epochs=3, seed=1, data="drawn by the test")


def test_weights_and_facts_come_back(tmp_path):
    model = small()
    path = save_checkpoint(tmp_path / "run.safetensors", model, epochs=3, data="drawn by the test")
    again, facts = load_checkpoint(path, build)
    assert path.name == "run.safetensors"
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert all(p.requires_grad for p in again.parameters())
    assert not again.training
    assert (facts["model"], facts["epochs"], facts["data"]) == ("conv", 3, "drawn by the test")
    assert again.arguments == model.arguments


def test_the_sidecar_says_the_same_as_the_file(saved):
    assert json.loads(saved.with_suffix(".json").read_text()) == read_facts(saved)


def test_channels_last_weights_are_stored(tmp_path):
    model = small().to(memory_format=torch.channels_last)
    again, _ = load_checkpoint(save_checkpoint(tmp_path / "run", model), build)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_others_may_read_a_checkpoint(saved):
    assert saved.stat().st_mode & 0o777 == saved.with_suffix(".json").stat().st_mode & 0o777


def test_batch_norm_buffers_come_back(tmp_path):
    model = build("dcgan")
    model(torch.rand(4, 1, 28, 28))
    again, _ = load_checkpoint(save_checkpoint(tmp_path / "run", model), build)
    assert torch.equal(model.state_dict()["encoder.trunk.0.1.running_mean"], again.encoder.trunk[0][1].running_mean)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(saved, monkeypatch):
    before = saved.read_bytes()

    def full_disk(path, content):
        with path.open("wb") as file:
            file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(saved, small())
    assert saved.read_bytes() == before
    assert sorted(os.listdir(saved.parent)) == ["run.json", "run.safetensors"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="There is no checkpoint at .*nothing"):
        load_checkpoint(tmp_path / "nothing", build)


def test_a_truncated_file_is_refused(saved):
    saved.write_bytes(saved.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="damaged or not a safetensors file"):
        load_checkpoint(saved, build)


def test_a_pickle_is_refused_and_not_run(saved):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(saved.parent / "trapped"),)

    saved.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(CheckpointError, match="damaged or not a safetensors file"):
        load_checkpoint(saved, build)
    assert not (saved.parent / "trapped").exists()


def test_a_foreign_safetensors_file_is_refused(tmp_path):
    save_file({"w": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="not one of this course"):
        load_checkpoint(tmp_path / "other.safetensors", build)


def test_an_oversized_file_is_refused_unread(saved, monkeypatch):
    monkeypatch.setattr(checkpoints, "MAX_BYTES", 100)
    with pytest.raises(CheckpointError, match="checkpoints of this course have at most"):
        load_checkpoint(saved, build)


def test_a_small_file_that_declares_a_giant_tensor_is_refused(tmp_path):
    header = json.dumps(
        {"__metadata__": {"facts": "{}"}, "w": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}}
    ).encode()
    (tmp_path / "giant").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(CheckpointError, match="damaged or not a safetensors file"):
        load_checkpoint(tmp_path / "giant", build)


def test_facts_that_ask_for_a_giant_model_are_refused_before_allocation(tmp_path):
    facts = {"model": "conv", "arguments": {"latent_dim": 10**9}}
    path = write_tensors(tmp_path / "giant", small().state_dict(), facts)
    with pytest.raises(CheckpointError, match="does not fit this model"):
        load_checkpoint(path, build)


@pytest.mark.parametrize(
    "facts", [{}, {"model": "conv"}, {"model": "resnet", "arguments": {}}, {"model": "conv", "arguments": {"x": 1}}]
)
def test_facts_that_name_no_model_are_refused(tmp_path, facts):
    path = write_tensors(tmp_path / "odd", small().state_dict(), facts)
    with pytest.raises(CheckpointError, match="does not say which model it holds"):
        load_checkpoint(path, build)


def test_tensors_of_another_model_are_named(tmp_path):
    facts = {"model": "conv", "arguments": small().arguments}
    path = write_tensors(tmp_path / "odd", {"encoder.mu.weight": torch.zeros(3, 3)}, facts)
    with pytest.raises(CheckpointError, match=r"does not fit this model: \d+ tensors differ"):
        load_checkpoint(path, build)


def test_facts_that_are_no_object_are_refused(tmp_path):
    path = write_tensors(tmp_path / "odd", small().state_dict(), [1, 2])
    with pytest.raises(CheckpointError, match="carries no facts"):
        load_checkpoint(path, build)


def test_half_precision_takes_half_the_bytes_and_comes_back_as_float32(tmp_path):
    model = ConvVAE()
    whole, half = (save_checkpoint(tmp_path / str(h), model, half=h).stat().st_size for h in (False, True))
    again, _ = load_checkpoint(tmp_path / "True.safetensors", build)
    assert half < 0.51 * whole
    for a, b in zip(model.parameters(), again.parameters(), strict=True):
        assert b.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


def test_whole_numbers_are_not_taken_for_weights(tmp_path):
    facts = {"model": "conv", "arguments": small().arguments}
    tensors = {name: tensor.to(torch.int64) for name, tensor in small().state_dict().items()}
    with pytest.raises(CheckpointError, match="does not fit this model"):
        load_checkpoint(write_tensors(tmp_path / "odd", tensors, facts), build)
