"""One profile for all tests: repeatable property tests, no display, and of the settings from outside only those under
each value of which the tests must pass: COURSE_PRECISION, and OMP_NUM_THREADS, which is one where it is not set."""

import os

import matplotlib
import pytest
import torch
from hypothesis import settings

import course_utils  # noqa: F401  (makes torchvision importable for every test)

matplotlib.use("Agg")
settings.register_profile("course", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("course")
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))


@pytest.fixture(autouse=True)
def clean_course_environment(monkeypatch):
    for name in ("COURSE_PROFILE", "COURSE_DATA", "COURSE_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def marking(tmp_path_factory):
    """A course folder in which nbgrader marks on bundled data, and a folder with the four honest runs."""
    from tests.bank import Course  # only here, for nbgrader takes a second to import
    from tests.bank_runs import honest_runs

    root = tmp_path_factory.mktemp("course")
    return Course(root), honest_runs(root / "runs")
