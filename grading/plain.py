"""Values as plain data that cross from one process to another: numbers, texts, arrays, tensors, generators, containers.

What arrives is built from numbers and names alone, so no code, no class and no lie about a size crosses with it.

A frame is the length of a JSON text, the length of what follows it, that text, and the bytes of its arrays.
"""

import json
import struct
from collections import namedtuple
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

MAX_FRAME = 2**26
MAX_DEPTH, MAX_ITEMS = 12, 100_000
HEAD = struct.Struct("<QQ")
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    )
}
ARRAYS = {"float64", "float32", "float16", "complex64", "complex128", "bool"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}

Json = Any
Blobs = list[bytes]


class NotPlain(ValueError):
    """What arrived is no plain data; the message says in which way."""


def pack(value: Any, blobs: Blobs, depth: int = 0) -> Json:
    """`value` as JSON, bytes of arrays appended to `blobs`; what is no plain data becomes the name of its type."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if depth < MAX_DEPTH:
        for kind, packed in PACKERS.items():
            if isinstance(value, kind):
                return packed(value, blobs, depth + 1)
    return {"is": "foreign", "type": type(value).__name__}


def _blob(data: bytes, blobs: Blobs) -> int:
    blobs.append(data)
    return len(blobs) - 1


def _tensor(value: Tensor, blobs: Blobs, depth: int) -> Json:
    name = str(value.dtype).removeprefix("torch.")
    if name not in DTYPES or value.layout != torch.strided or value.is_meta:
        return {"is": "foreign", "type": type(value).__name__}
    dense = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
    data = dense.reshape(-1).view(torch.uint8).numpy().tobytes() if dense.numel() else b""
    described = {"is": "tensor", "dtype": name, "shape": list(value.shape), "at": _blob(data, blobs)}
    return described | {"grad": value.requires_grad}


def _array(value: np.ndarray, blobs: Blobs, depth: int) -> Json:
    if value.dtype.name not in ARRAYS:
        return {"is": "foreign", "type": type(value).__name__}
    data = np.ascontiguousarray(value).tobytes()
    return {"is": "array", "dtype": value.dtype.name, "shape": list(value.shape), "at": _blob(data, blobs)}


def _generator(value: torch.Generator, blobs: Blobs, depth: int) -> Json:
    return {"is": "generator", "at": _blob(value.get_state().numpy().tobytes(), blobs)}


def _mapping(value: Mapping, blobs: Blobs, depth: int) -> Json:
    items = [[pack(part, blobs, depth) for part in pair] for pair in value.items()]
    return {"is": "mapping", "items": items}


def _sequence(value: list | tuple, blobs: Blobs, depth: int) -> Json:
    items = [pack(part, blobs, depth) for part in value]
    fields = [str(name) for name in getattr(value, "_fields", ())] if isinstance(value, tuple) else []
    named = {"name": type(value).__name__, "fields": fields} if len(fields) == len(items) > 0 else {}
    return {"is": "list" if isinstance(value, list) else "tuple", "items": items} | named


PACKERS = {
    Tensor: _tensor,
    np.ndarray: _array,
    np.generic: lambda value, blobs, depth: _array(np.asarray(value), blobs, depth),
    torch.Generator: _generator,
    torch.Size: lambda value, blobs, depth: _sequence(tuple(value), blobs, depth),
    Mapping: _mapping,
    list: _sequence,
    tuple: _sequence,
    complex: lambda value, blobs, depth: {"is": "complex", "parts": [value.real, value.imag]},
    bool: lambda value, blobs, depth: bool(value),
    int: lambda value, blobs, depth: int(value),
    float: lambda value, blobs, depth: float(value),
    str: lambda value, blobs, depth: str(value),
}


def unpack(packed: Json, blobs: Blobs, depth: int = 0) -> Any:
    """The value that `pack` described.  NotPlain for anything that it does not write."""
    if packed is None or type(packed) in (bool, int, float, str):
        return packed
    if depth > MAX_DEPTH or not isinstance(packed, dict) or packed.get("is") not in UNPACKERS:
        raise NotPlain("a value is of no kind that crosses, or nested too deep")
    try:
        return UNPACKERS[packed["is"]](packed, blobs, depth + 1)
    except NotPlain:
        raise
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise NotPlain(f"a {packed['is']} is not as described ({error})") from error


def _bytes_of(packed: Json, blobs: Blobs, itemsize: int) -> tuple[bytearray, tuple[int, ...]]:
    """The bytes and shape of an array, which must agree."""
    shape, data = tuple(packed["shape"]), blobs[packed["at"]]
    count = 1
    for side in shape:
        if type(side) is not int or side < 0:
            raise NotPlain(f"a side of an array is {side!r}")
        count *= side
    if count * itemsize != len(data):
        raise NotPlain(f"an array says {count} numbers and has {len(data)} bytes")
    return bytearray(data), shape


def _to_tensor(packed: Json, blobs: Blobs, depth: int) -> Tensor:
    dtype = DTYPES[packed["dtype"]]
    data, shape = _bytes_of(packed, blobs, torch.empty((), dtype=dtype).element_size())
    value = torch.frombuffer(data, dtype=dtype).reshape(shape) if data else torch.empty(shape, dtype=dtype)
    return value.requires_grad_(packed.get("grad") is True and (value.is_floating_point() or value.is_complex()))


def _to_array(packed: Json, blobs: Blobs, depth: int) -> np.ndarray:
    if packed["dtype"] not in ARRAYS:
        raise NotPlain(f"arrays of {packed['dtype']!r} do not cross")
    data, shape = _bytes_of(packed, blobs, np.dtype(packed["dtype"]).itemsize)
    return np.frombuffer(data, dtype=packed["dtype"]).reshape(shape)


def _to_generator(packed: Json, blobs: Blobs, depth: int) -> torch.Generator:
    generator = torch.Generator()
    generator.set_state(torch.frombuffer(bytearray(blobs[packed["at"]]), dtype=torch.uint8))
    return generator


def _items(packed: Json) -> list:
    if not isinstance(packed["items"], list) or len(packed["items"]) > MAX_ITEMS:
        raise NotPlain("a container is none, or holds too much")
    return packed["items"]


def _to_mapping(packed: Json, blobs: Blobs, depth: int) -> dict:
    return {unpack(key, blobs, depth): unpack(value, blobs, depth) for key, value in _items(packed)}


def _to_tuple(packed: Json, blobs: Blobs, depth: int) -> tuple:
    values = [unpack(item, blobs, depth) for item in _items(packed)]
    if "fields" not in packed:
        return tuple(values)
    return namedtuple(packed["name"], packed["fields"])(*values)


UNPACKERS = {
    "tensor": _to_tensor,
    "array": _to_array,
    "generator": _to_generator,
    "mapping": _to_mapping,
    "list": lambda packed, blobs, depth: [unpack(item, blobs, depth) for item in _items(packed)],
    "tuple": _to_tuple,
    "complex": lambda packed, blobs, depth: complex(*packed["parts"]),
    "foreign": lambda packed, blobs, depth: type(str(packed["type"])[:60], (), {})(),
}


# Frames


def frame(message: Json, blobs: Blobs) -> bytes:
    """JSON with its blobs as one frame.  ValueError if that is more than may cross."""
    text, body = json.dumps({"message": message, "sizes": [len(blob) for blob in blobs]}).encode(), b"".join(blobs)
    if len(text) + len(body) > MAX_FRAME:
        raise ValueError(f"{(len(text) + len(body)) / 2**20:.0f} MiB are more than may cross.")
    return HEAD.pack(len(text), len(body)) + text + body


def parse_frame(text: bytes, body: bytes) -> tuple[Json, Blobs]:
    """The JSON and the blobs of a frame.  NotPlain for anything that `frame` does not write."""
    try:
        frame = json.loads(text)
        message, sizes, blobs, at = frame["message"], frame["sizes"], [], 0
        for size in sizes:
            blobs.append(body[at : at + size])
            at += size
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NotPlain(f"a frame is damaged ({type(error).__name__})") from error
    return message, blobs
