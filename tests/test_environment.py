"""The places that say what the course is installed from and how it is run agree with each other."""

import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tools import bootstrap

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS = [Requirement(line) for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]]
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
PINS = {name.lower(): version for name, version in (line.split("==") for line in CONSTRAINTS)}
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.name)
def test_every_dependency_has_an_open_range_and_a_pin_inside_it(requirement: Requirement) -> None:
    assert requirement.name.lower() in PINS
    assert requirement.specifier.contains(PINS[requirement.name.lower()])
    assert {part.operator for part in requirement.specifier} == {">="}


def test_constraints_are_public_exact_versions() -> None:
    for line in CONSTRAINTS:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line), line
        assert Version(line.split("==")[1]).local is None
    assert len(PINS) == len(CONSTRAINTS)
    assert PROJECT["name"] not in PINS


def test_every_pin_admits_the_oldest_python() -> None:
    oldest = ".".join(map(str, (*bootstrap.MINIMUM, 0)))
    for package in distributions():
        required = package.metadata["Requires-Python"]
        if required and PINS.get(package.name.lower()) == package.version.split("+")[0]:
            assert SpecifierSet(required).contains(oldest), f"{package.name} {package.version} needs Python {required}"


def test_the_python_version_is_the_same_everywhere() -> None:
    minimum = ".".join(map(str, bootstrap.MINIMUM))
    assert PROJECT["requires-python"] == f">={minimum}"
    assert f"python>={minimum}" in CONDA["dependencies"]
    assert f"python{minimum}" == bootstrap.NEWER_NAMES[-1]
    assert minimum in WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"]


def test_the_conda_route_installs_what_the_bootstrap_installs() -> None:
    assert CONDA["name"] == PROJECT["name"]
    assert CONDA["dependencies"][-1] == {"pip": ["-c constraints.txt", "-e .[test]"]}


def test_continuous_integration_runs_the_readers_test_command() -> None:
    steps = WORKFLOW["jobs"]["test"]["steps"]
    commands = [step["run"].split("}} ")[-1] for step in steps if step.get("run", "").startswith(("env", "make"))]
    assert commands == ["make test", "make test-grading", "make seeds"]
    assert any("install -y -q bubblewrap" in step.get("run", "") for step in steps), "marking is tested in its sandbox"
    assert (ROOT / ".ci/run").read_text(encoding="utf-8").rstrip().splitlines()[-1] == "make test"
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_continuous_integration_also_computes_as_a_processor_without_avx512_does() -> None:
    [job] = WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["include"]
    settings = dict(word.split("=") for word in job["environment"].split())
    assert settings == {"COURSE_PRECISION": "float32", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    assert "env ${{ matrix.environment }} make test" in [step.get("run") for step in WORKFLOW["jobs"]["test"]["steps"]]


def test_the_cpu_wheels_have_one_address() -> None:
    assert WORKFLOW["jobs"]["test"]["env"]["PIP_EXTRA_INDEX_URL"] == bootstrap.CPU_WHEELS
    assert bootstrap.CPU_WHEELS in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_that_a_page_names_exists(name: str) -> None:
    page = (ROOT / name).read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", page, flags=re.DOTALL))
    named = set(re.findall(r"\bmake ([a-z-]+)", code))
    assert named <= targets()


def test_help_lists_every_target_and_nothing_else() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [phony] = re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert set(phony.split()) - {".venv"} == targets()


def targets() -> set[str]:
    """The targets that `make help` prints: those with a ## comment."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):.*##", makefile, flags=re.MULTILINE))
