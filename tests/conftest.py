"""One profile for all tests: repeatable property tests, no display, one thread, and no course setting from outside."""

import matplotlib
import pytest
import torch
from hypothesis import settings

import course_utils  # noqa: F401  (makes torchvision importable for every test)

matplotlib.use("Agg")
settings.register_profile("course", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("course")
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def clean_course_environment(monkeypatch):
    for name in ("COURSE_PROFILE", "COURSE_DATA", "COURSE_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
