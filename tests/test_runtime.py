"""Profiles, seeds, and the torchvision remedy, each in a process of its own where state matters."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from course_utils import runtime
from course_utils.data import SETS

HEALTHY = """
import torch
loaded = []
torch.ops.load_library = loaded.append
import course_utils, course_utils.runtime as runtime
assert loaded, "the compiled library was not tried"
assert runtime._definitions == [], "operators were declared although the library loads"
"""

BROKEN = """
import torch
def cannot(path):
    raise OSError("libcudart.so: cannot open shared object file")
torch.ops.load_library = cannot
import course_utils
import torchvision
from torchvision import datasets, transforms, utils
assert utils.make_grid(torch.rand(4, 1, 8, 8)).shape[0] == 3
"""

SECOND_IMPORT = """
import importlib, torch, course_utils, course_utils.runtime as runtime
before = list(runtime._definitions)
runtime.mend_torchvision()
assert runtime._definitions == before
import torchvision
"""


@pytest.mark.parametrize("program", [HEALTHY, BROKEN, SECOND_IMPORT], ids=["healthy", "broken", "twice"])
def test_torchvision_imports_after_course_utils(program):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


PAGE_FAULTS = """
import resource, sys, torch
if len(sys.argv) > 1:
    import course_utils
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    activations = [torch.ones(1_500_000) for _ in range(12)]
step(), step()
before = faults()
for _ in range(10):
    step()
print(faults() - before)
"""


@pytest.mark.skipif(
    not hasattr(os, "confstr") or "glibc" not in (os.confstr("CS_GNU_LIBC_VERSION") or ""), reason="glibc only"
)
def test_freed_memory_is_used_again_instead_of_faulted_in_anew():
    def page_faults(*with_course):
        """Of ten steps that start from the allocator's documented default: every large block is mapped anew."""
        command = [sys.executable, "-c", PAGE_FAULTS, *with_course]
        environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
        return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)

    assert page_faults("course_utils") < 0.1 * page_faults()


def test_torchvision_need_not_be_installed(monkeypatch):
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(runtime, "_definitions", [])
    runtime.mend_torchvision()
    assert runtime._definitions == []


def test_the_profile_decides_the_budget(monkeypatch):
    assert runtime.budget(quick=1, full=2) == 1
    monkeypatch.setenv("COURSE_PROFILE", "full")
    assert runtime.budget(quick=1, full=2) == 2
    monkeypatch.setenv("COURSE_PROFILE", "")
    assert runtime.profile() == "quick"


def test_an_unknown_profile_is_refused_in_words(monkeypatch):
    monkeypatch.setenv("COURSE_PROFILE", "fast")
    with pytest.raises(ValueError, match="COURSE_PROFILE must be one of quick, full; it is 'fast'"):
        runtime.profile()


def test_the_precision_is_auto_unless_the_environment_says_otherwise(monkeypatch):
    monkeypatch.delenv("COURSE_PRECISION", raising=False)
    assert runtime.precision() == "auto"
    for name in ("auto", "float32", "bfloat16"):
        monkeypatch.setenv("COURSE_PRECISION", name)
        assert runtime.precision() == name
    monkeypatch.setenv("COURSE_PRECISION", "")
    assert runtime.precision() == "auto"


def test_an_unknown_precision_is_refused_in_words(monkeypatch):
    monkeypatch.setenv("COURSE_PRECISION", "half")
    with pytest.raises(ValueError, match="^COURSE_PRECISION must be one of auto, float32, bfloat16; it is 'half'"):
        runtime.precision()


def test_one_seed_repeats_all_three_random_sources():
    import random

    def draws():
        generator = runtime.seed_everything(3)
        return random.random(), np.random.rand(), torch.rand(1).item(), torch.rand(1, generator=generator).item()

    assert draws() == draws()


@pytest.mark.parametrize("seed", ["abc", "3", -1, 2**32, 1.0, True, None])
def test_a_seed_that_is_none_is_refused_in_words(seed):
    with pytest.raises(ValueError, match=r"SEED must be a whole number from 0 to 4294967295, got .*Set it in"):
        runtime.seed_everything(seed)


def test_device_is_the_cpu_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert runtime.device().type == "cpu"


def test_course_root_holds_the_lessons():
    assert (runtime.course_root() / "notebooks").is_dir()


def test_torchvision_and_the_course_mean_the_same_addresses_and_classes():
    from torchvision import datasets  # not above: other tests ask how it is imported

    assert SETS["mnist"].address in datasets.MNIST.mirrors
    assert SETS["fashion_mnist"].address in datasets.FashionMNIST.mirrors
    assert SETS["cifar10"].address == datasets.CIFAR10.url
    assert list(SETS["fashion_mnist"].class_names) == datasets.FashionMNIST.classes
