"""The set-up against stand-ins for the interpreters, pip and the disk; nothing is installed here."""

import ast
import errno
import io
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import bootstrap
from tools.bootstrap import Missing, Result, Setup, explain_pip

VENV = ".venv/bin/python"


class Machine:
    """A stand-in for `run` and `which`: interpreters by name, what they lack, and how pip ends."""

    def __init__(self, root: Path, pythons: dict[str, str]) -> None:
        self.root, self.pythons = root, pythons
        self.without_venv: set[str] = set()
        self.pip: Result = (0, "Successfully installed")
        self.imports: Result = (0, "")
        self.broken_venv = False
        self.calls: list[list[str]] = []

    def which(self, name: str) -> str | None:
        return name if name in self.pythons or name == "nvidia-smi" else None

    def run(self, argv: list[str], cwd: str, show: Callable[[str], None] | None = None) -> Result:
        self.calls.append(argv)
        assert cwd == str(self.root)
        if argv[1:3] == ["-m", "venv"]:
            return self.create(argv)
        if argv[1:3] == ["-m", "pip"]:
            for line in self.pip[1].splitlines(keepends=True):
                show(line)
            return self.pip
        if argv[2] == bootstrap.WORKS:
            return self.imports
        return self.start(argv[0].removeprefix(f"{self.root}/"), argv[2])

    def create(self, argv: list[str]) -> Result:
        assert argv[3] == str(self.root / ".venv") and not (self.root / ".venv").exists()
        (self.root / ".venv/bin").mkdir(parents=True)
        (self.root / VENV).touch(mode=0o755)
        self.pythons[VENV] = self.pythons[argv[0]]
        self.broken_venv = False
        return 0, ""

    def start(self, name: str, code: str) -> Result:
        if name not in self.pythons or (name == VENV and self.broken_venv):
            return 127, "No such file or directory"
        if code == bootstrap.HAS_VENV and name in self.without_venv:
            return 1, "ModuleNotFoundError: No module named 'ensurepip'"
        return 0, self.pythons[name] + "\n"

    def did(self, *words: str) -> int:
        return sum(argv[1 : 1 + len(words)] == list(words) for argv in self.calls)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "constraints.txt").write_text("torch==2.13.0\n")
    monkeypatch.setattr(sys, "_base_executable", "running")
    return Machine(tmp_path, {"running": "3.11.4"})


def setup(machine: Machine, free: float = 50e9, **env: str) -> Setup:
    return Setup(str(machine.root), env, run=machine.run, free=lambda folder: int(free), which=machine.which)


def sentence(machine: Machine, free: float = 50e9, **env: str) -> str:
    """What the set-up says is missing: one sentence."""
    with pytest.raises(Missing) as missing:
        setup(machine, free, **env).bring_up_to_date()
    text = str(missing.value)
    assert text.endswith(".") and "\n" not in text and ". " not in text
    return text


def test_a_fresh_folder_is_set_up_with_the_pinned_versions(machine: Machine) -> None:
    assert setup(machine).bring_up_to_date()
    assert machine.did("-m", "venv") == 1
    [pip] = [argv for argv in machine.calls if argv[1:3] == ["-m", "pip"]]
    assert pip[0] == str(machine.root / VENV)
    assert pip[-4:] == ["-c", "constraints.txt", "-e", ".[test]"]
    assert machine.calls[-2][2] == bootstrap.WORKS


def test_nothing_is_done_twice(machine: Machine) -> None:
    setup(machine).bring_up_to_date()
    machine.calls.clear()
    assert not setup(machine, free=0).bring_up_to_date()
    assert machine.calls == [[str(machine.root / VENV), "-c", bootstrap.HAS_PIP]]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_requirements_run_pip_again_in_the_same_venv(machine: Machine, name: str) -> None:
    setup(machine).bring_up_to_date()
    (machine.root / name).write_text("changed")
    assert setup(machine).bring_up_to_date()
    assert (machine.did("-m", "venv"), machine.did("-m", "pip")) == (1, 2)


def test_another_python_version_runs_pip_again(machine: Machine) -> None:
    setup(machine).bring_up_to_date()
    machine.pythons[VENV] = "3.11.9"
    assert setup(machine).bring_up_to_date()
    assert machine.did("-m", "pip") == 2


def test_an_interrupted_install_goes_on(machine: Machine) -> None:
    machine.pip = (1, "ERROR: Operation cancelled by user")
    assert "(ERROR: Operation cancelled by user)" in sentence(machine)
    machine.pip = (0, "")
    assert setup(machine).bring_up_to_date()
    assert (machine.did("-m", "venv"), machine.did("-m", "pip")) == (1, 2)
    assert not setup(machine).bring_up_to_date()


def test_a_broken_venv_is_made_anew(machine: Machine) -> None:
    setup(machine).bring_up_to_date()
    machine.broken_venv = True
    assert setup(machine).bring_up_to_date()
    assert machine.did("-m", "venv") == 2


def test_a_moved_folder_is_set_up_anew(machine: Machine) -> None:
    setup(machine).bring_up_to_date()
    stamp = machine.root / ".venv/course-stamp"
    stamp.write_text(stamp.read_text().replace(str(machine.root), "/elsewhere"))
    assert setup(machine).bring_up_to_date()
    assert machine.did("-m", "venv") == 2


def test_python_on_the_path_is_taken_where_the_running_one_is_too_old(machine: Machine) -> None:
    machine.pythons = {"running": "3.9.18", "python3.12": "3.12.1", "python3.11": "3.11.2"}
    machine.without_venv = {"python3.12"}
    assert setup(machine).bring_up_to_date()
    assert ["python3.11", "-m", "venv", str(machine.root / ".venv")] in machine.calls


def test_python_of_the_environment_is_honoured_and_changes_the_venv(machine: Machine) -> None:
    machine.pythons["python3.13"] = "3.13.0"
    setup(machine).bring_up_to_date()
    assert setup(machine, PYTHON="python3.13").bring_up_to_date()
    assert machine.pythons[VENV] == "3.13.0"
    assert not setup(machine, PYTHON="python3.13").bring_up_to_date()
    assert not setup(machine).bring_up_to_date()


def test_newest_versions_on_request(machine: Machine) -> None:
    setup(machine).bring_up_to_date()
    assert setup(machine, CONSTRAINTS="none").bring_up_to_date()
    pip = machine.calls[-3]
    assert "-c" not in pip and "--upgrade" in pip
    assert setup(machine).bring_up_to_date()


def test_no_new_enough_python(machine: Machine) -> None:
    machine.pythons = {"running": "3.9.18", "python3.11": "3.10.1"}
    text = sentence(machine)
    assert "needs Python 3.11 or later" in text and "PYTHON=python3.12" in text
    assert not (machine.root / ".venv").exists()


def test_the_python_asked_for_is_too_old_or_absent(machine: Machine) -> None:
    machine.pythons["python3.9"] = "3.9.18"
    assert "PYTHON=python3.9 is 3.9.18" in sentence(machine, PYTHON="python3.9")
    assert "PYTHON=python4 is no interpreter that starts" in sentence(machine, PYTHON="python4")


def test_no_venv_module(machine: Machine) -> None:
    machine.without_venv = {"running"}
    text = sentence(machine)
    assert "3.11.4 has no venv module" in text and "sudo apt install python3.11-venv" in text
    assert not (machine.root / ".venv").exists()


def test_too_little_disk_space(machine: Machine) -> None:
    assert "Only 3.9 GB of disk space are free and the course needs 4 GB" in sentence(machine, free=3.9e9)
    assert machine.did("-m", "venv") == machine.did("-m", "pip") == 0
    assert setup(machine, free=4e9).bring_up_to_date()


def test_disk_space_is_no_matter_once_torch_is_there(machine: Machine) -> None:
    setup(machine).bring_up_to_date()
    (machine.root / ".venv/lib/python3.11/site-packages/torch").mkdir(parents=True)
    (machine.root / "pyproject.toml").write_text("changed")
    assert setup(machine, free=1e9).bring_up_to_date()


def test_packages_that_do_not_import_are_no_finished_install(machine: Machine) -> None:
    machine.imports = (
        1,
        "Traceback:\nRuntimeError: operator torchvision::nms does not exist\n",
    )
    assert "(RuntimeError: operator torchvision::nms does not exist): delete the folder .venv" in sentence(machine)
    machine.imports = (0, "")
    assert setup(machine).bring_up_to_date()


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError(...)'\n"
            "ERROR: No matching distribution found for torch==2.13.0\n",
            "not reach the package index (ERROR: No matching distribution found for torch==2.13.0): check the network",
        ),
        (
            "Collecting torch\nERROR: Could not find a version that satisfies the requirement torch==9\n"
            "ERROR: No matching distribution found for torch==9\n\n[notice] A new release of pip is available",
            "found no fitting version of a package (ERROR: No matching distribution found for torch==9): try another",
        ),
        ("ERROR: Could not install: [Errno 28] No space left on device\n", "ran out of disk space"),
        ("ERROR: Failed building wheel for x\n", "pip failed (ERROR: Failed building wheel for x): mend what it names"),
        ("", "pip failed (no message)"),
    ],
)
def test_pip_failures_are_told_apart_and_show_pips_last_error(output: str, said: str) -> None:
    assert said in explain_pip(output)


def test_cpu_wheels_are_suggested_on_linux_without_gpu_and_choice(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    setup(machine).install()
    assert "PIP_EXTRA_INDEX_URL" not in capsys.readouterr().out
    machine.which = lambda name: None
    setup(machine, PIP_EXTRA_INDEX_URL=bootstrap.CPU_WHEELS).install()
    assert "PIP_EXTRA_INDEX_URL" not in capsys.readouterr().out
    setup(machine).install()
    line, _ = capsys.readouterr().out.splitlines()
    assert f"PIP_EXTRA_INDEX_URL={bootstrap.CPU_WHEELS}" in line and "2.6 GB" in line
    monkeypatch.setattr(sys, "platform", "darwin")
    setup(machine).install()
    assert "PIP_EXTRA_INDEX_URL" not in capsys.readouterr().out


PIP_SAYS = """Obtaining file:///course
Collecting torch==2.13.0
  Downloading https://files.example.org/torch-2.13.0-cp311-none-any.whl (190 MB)
Requirement already satisfied: pip
Collecting numpy
Installing collected packages: numpy, torch
Successfully installed numpy-2.4.6 torch-2.13.0
"""


def test_pip_talks_to_the_log_and_only_its_end_is_shown_when_it_fails(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.pip = (0, PIP_SAYS)
    setup(machine).bring_up_to_date()
    log = machine.root / "build" / "setup.log"
    assert log.read_text(encoding="utf-8") == PIP_SAYS
    assert capsys.readouterr().out == f"Installing the course's packages into .venv; the log is {log}\n"
    machine.pip = (1, "early\n" * 40 + "ERROR: no\n")
    (machine.root / "pyproject.toml").write_text("changed")
    sentence(machine)
    assert capsys.readouterr().out.count("early") == bootstrap.LAST_LINES - 1


def test_on_a_terminal_one_line_says_what_pip_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    with bootstrap.Progress(str(tmp_path / "build" / "setup.log"), "Installing") as progress:
        for line in PIP_SAYS.splitlines(keepends=True)[:3]:
            progress(line)
        screen.rewritten.wait(5)
    shown = screen.getvalue()
    assert "s: downloading torch-2.13.0-cp311-none-any.whl (190 MB)" in shown
    assert shown.count("\n") == 1 and shown.endswith("\r")


class Screen(io.StringIO):
    """A terminal that tells when its line has been rewritten."""

    def __init__(self) -> None:
        super().__init__()
        self.rewritten = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if "s: " in text:
            self.rewritten.set()
        return super().write(text)


def test_the_words_for_what_pip_does() -> None:
    said = [bootstrap.doing(line, number) for number, line in enumerate(PIP_SAYS.splitlines())]
    assert [words for words in said if words] == [
        "package 1, torch==2.13.0",
        "downloading torch-2.13.0-cp311-none-any.whl (190 MB)",
        "package 4, numpy",
        "unpacking 2 packages",
    ]


def test_an_environment_out_of_reach_is_left_alone(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    setup(machine).bring_up_to_date()
    machine.broken_venv = True
    stat = os.stat

    def forbidden(path: str, **options: bool) -> os.stat_result:
        if str(path).endswith(VENV):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", forbidden)
        assert "copy this folder to one of your own" in sentence(machine)
    assert (machine.root / VENV).exists() and machine.did("-m", "venv") == 1
    assert setup(machine).bring_up_to_date()


def test_an_environment_of_another_account_is_left_alone(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    setup(machine).bring_up_to_date()
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(machine.root).st_uid + 1, raising=False)
    assert not setup(machine).bring_up_to_date()
    machine.broken_venv = True
    assert "was set up by another account: copy this folder" in sentence(machine)
    assert (machine.root / VENV).exists()


def test_a_folder_that_may_not_be_written_is_left_alone(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert sentence(machine).startswith(f"You may not write in {machine.root}: copy this folder")
    assert not machine.calls or machine.did("-m", "venv") == 0


def test_main_says_its_sentence_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for error, code, said in (
        (Missing("Something is missing: add it."), 1, "Something is missing: add it.\n"),
        (PermissionError(13, "Permission denied"), 1, "The set-up could not finish: [Errno 13] Permission denied.\n"),
        (KeyboardInterrupt(), 130, "\nInterrupted: run again, and the install goes on where it stopped.\n"),
    ):
        monkeypatch.setattr(Setup, "bring_up_to_date", lambda self, error=error: (_ for _ in ()).throw(error))
        assert bootstrap.main() == code
        assert capsys.readouterr().err == said


def test_run_command_returns_code_and_output_and_survives_an_absent_program(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = "import sys; print('out'); sys.stdout.flush(); print('err', file=sys.stderr); sys.exit(3)"
    assert bootstrap.run_command([sys.executable, "-c", code], cwd=str(tmp_path)) == (3, "out\nerr\n")
    assert capfd.readouterr().out == ""
    shown: list[str] = []
    assert bootstrap.run_command([sys.executable, "-c", code], cwd=str(tmp_path), show=shown.append)[0] == 3
    assert shown == ["out\n", "err\n"]
    assert bootstrap.run_command([str(tmp_path / "absent")], cwd=str(tmp_path))[0] == 127


def test_it_parses_on_old_interpreters_and_imports_only_the_standard_library() -> None:
    tree = ast.parse(Path(bootstrap.__file__).read_text(encoding="utf-8"), feature_version=(3, 6))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules <= sys.stdlib_module_names
