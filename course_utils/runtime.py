"""Where a lesson runs: profile, seeds, device, threads, and the torchvision remedy."""

import ctypes
import importlib.util
import os
import random
import sys
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

T = TypeVar("T")

PROFILES = ("quick", "full")
PRECISIONS = ("auto", "float32", "bfloat16")
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # glibc, malloc.h
_definitions: list[torch.library.Library] = []  # a Library withdraws its operators when it is garbage-collected


def profile() -> str:
    """`COURSE_PROFILE`: "quick" (default; short runs) or "full" (the runs that the prose describes)."""
    name = os.environ.get("COURSE_PROFILE") or "quick"
    if name not in PROFILES:
        raise ValueError(f"COURSE_PROFILE must be one of {', '.join(PROFILES)}; it is {name!r}. Unset it for quick.")
    return name


def precision() -> str:
    """`COURSE_PRECISION`: "auto" (default; bfloat16 where the processor computes in it), "float32" or "bfloat16"."""
    name = os.environ.get("COURSE_PRECISION") or "auto"
    if name not in PRECISIONS:
        raise ValueError(f"COURSE_PRECISION must be one of {', '.join(PRECISIONS)}; it is {name!r}. Unset it for auto.")
    return name


def budget(*, quick: T, full: T) -> T:
    """The value for the current profile; used in a lesson's `parameters` cell and nowhere else."""
    return {"quick": quick, "full": full}[profile()]


def seed_everything(seed: int) -> torch.Generator:
    """Seed torch, NumPy and Python, and return a CPU generator with the same seed to pass on.

    ValueError unless the seed is a whole number from 0 to 2**32 - 1.
    """
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise ValueError(f"SEED must be a whole number from 0 to {2**32 - 1}, got {seed!r}. Set it in the parameters.")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def device() -> torch.device:
    """The first CUDA GPU, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def course_root() -> Path:
    """The checkout that holds the lessons; the working directory where the package was installed without one."""
    checkout = Path(__file__).resolve().parents[1]
    return checkout if (checkout / "notebooks").is_dir() else Path.cwd()


def keep_freed_memory() -> None:
    """Let glibc's allocator keep what a training step frees for the next one; a no-op on other systems.

    By default it hands large tensors back to the operating system and asks for them again: some 1,700 page faults per
    step of the lecture's network, and none with this.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    for parameter, value in ((M_MMAP_THRESHOLD, 2**25), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**28)):
        if mallopt is not None:
            mallopt(parameter, value)


def mend_torchvision() -> None:
    """Declare the operators that torchvision looks up on import, only where its compiled library cannot load.

    A CPU-only torch beside a torchvision built for CUDA fails with "operator torchvision::nms does not exist". Data
    sets, transforms and `make_grid` need none of those operators; calling `torchvision.ops.nms` itself stays an error.
    """
    spec = importlib.util.find_spec("torchvision")
    if _definitions or spec is None or not spec.submodule_search_locations:
        return
    library = next(Path(spec.submodule_search_locations[0]).glob("_C*.*"), None)
    try:
        torch.ops.load_library(str(library))
    except (OSError, ImportError):
        operators = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _definitions.append(operators)
