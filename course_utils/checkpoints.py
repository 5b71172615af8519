"""Checkpoints that cannot run code: safetensors, with a readable JSON copy of their facts beside them."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from course_utils.files import atomic_path

MAX_BYTES = 64 * 2**20
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.uint8: "U8",
}


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, foreign or too large; the message says which and what to do."""


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Path:
    """Write tensors and JSON facts as one safetensors file, atomically.  OSError if the disk refuses."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(Path(path)) as scratch:
        save_file(plain, scratch, metadata={"facts": json.dumps(facts)})
    return Path(path)


def read_facts(path: str | Path) -> dict[str, Any]:
    """The facts in a checkpoint's header.  CheckpointError for a missing, damaged, foreign or oversized file."""
    with _opened(path) as file:
        try:
            return dict(json.loads((file.metadata() or {})["facts"]))
        except (KeyError, ValueError, TypeError) as error:
            raise CheckpointError(
                f"{path} is a safetensors file but not one of this course: it carries no facts. "
                "Use a file written by save_checkpoint."
            ) from error


def read_tensors(path: str | Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors with exactly the names, shapes and dtypes of `expected`, all checked before any is allocated."""
    with _opened(path) as file:
        names = set(file.keys())
        differing = sorted(names ^ set(expected))
        for name in sorted(names & set(expected)):
            part = file.get_slice(name)
            if (part.get_shape(), part.get_dtype()) != (list(expected[name].shape), _DTYPES[expected[name].dtype]):
                differing.append(f"{name} ({part.get_dtype()} {part.get_shape()})")
        if differing:
            raise CheckpointError(
                f"{path} does not fit this model: {len(differing)} tensors differ, first {differing[0]}. "
                "Build the model with the arguments in the checkpoint's facts."
            )
        return {name: file.get_tensor(name) for name in names}


def save_checkpoint(path: str | Path, model: nn.Module, **facts: Any) -> Path:
    """Write `model` (with .name, .arguments) to PATH.safetensors and its facts to PATH.json; return the first."""
    path = Path(path).with_suffix(".safetensors")
    facts = {"model": model.name, "arguments": model.arguments, **facts}
    write_tensors(path, model.state_dict(), facts)
    with atomic_path(path.with_suffix(".json")) as scratch:
        scratch.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return path


def load_checkpoint(path: str | Path, build: Callable[..., nn.Module]) -> tuple[nn.Module, dict[str, Any]]:
    """The model that `build(name, **arguments)` makes from a checkpoint's facts, in eval mode, and those facts.

    The network is laid out without memory first, so a file that asks for a giant is refused before anything is
    allocated.
    """
    facts = read_facts(path)
    try:
        with torch.device("meta"):
            model = build(facts["model"], **facts["arguments"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} does not say which model it holds ({error}). Train and save it again."
        ) from error
    tensors = read_tensors(path, model.state_dict())
    model.load_state_dict(tensors, assign=True)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model.eval(), facts


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint at {path}. Train first, or correct the path.")
    if path.stat().st_size > MAX_BYTES:
        raise CheckpointError(
            f"{path} has {path.stat().st_size / 2**20:.0f} MiB; checkpoints of this course have at most "
            f"{MAX_BYTES // 2**20}. It is not one of them."
        )
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is damaged or not a safetensors file ({error}). Train and save it again."
        ) from error
