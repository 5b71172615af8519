"""What `make lab` and `make teach` start, and the page they open; JupyterLab itself is not started here."""

import json
import os
import re
from pathlib import Path

import pytest

from tests.colours import contrast
from tools import lab, start_page
from tools.normal_form import ROOT, read
from tools.working_copy import sources


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The command lines that JupyterLab is started with; the working copy is made in a folder of the test's."""
    lines: list[list[str]] = []
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.delenv("JUPYTER_CONFIG_PATH", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    monkeypatch.setattr(lab.LabApp, "launch_instance", lines.append)
    monkeypatch.setattr(lab.place, "__defaults__", (tmp_path,))
    for source in sources()[:2]:
        (tmp_path / "notebooks").mkdir(exist_ok=True)
        (tmp_path / "notebooks" / source.name).write_bytes(source.read_bytes())
    return lines


def test_students_get_their_copy_and_the_start_page(started: list[list[str]], tmp_path: Path) -> None:
    assert lab.main(["--no-browser"]) == 0
    [line] = started
    assert {f"--ServerApp.root_dir={tmp_path / 'work'}", "--LabApp.default_url=/lab/tree/START.md"} < set(line)
    assert line[-1] == "--no-browser"
    assert os.environ["JUPYTER_CONFIG_PATH"] == str(ROOT)
    copied = sorted(path.name for path in (tmp_path / "work").iterdir() if path.suffix)
    assert [name for name in copied if name[0] != "."] == [*(path.name for path in sources()[:2]), "START.md"]


def test_another_folder_is_opened_as_it_is(started: list[list[str]], tmp_path: Path) -> None:
    assert lab.main(["--folder", str(tmp_path / "notebooks")]) == 0
    assert f"--ServerApp.root_dir={tmp_path / 'notebooks'}" in started[0]
    assert not (tmp_path / "work").exists()


def test_instructors_get_the_course_and_nbgraders_tools(started: list[list[str]], tmp_path: Path) -> None:
    assert lab.main(["--teach"]) == 0
    assert "--LabApp.default_url=/lab/tree/docs/instructors.md" in started[0]
    assert f"--Exchange.root={tmp_path / 'exchange'}" in started[0] and (tmp_path / "exchange").is_dir()
    assert os.environ["JUPYTER_CONFIG_PATH"] == str(lab.LABCONFIG / "teach")


def test_root_is_told_how(
    started: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    assert lab.main(["--teach"]) == 1 and not started
    assert 'LABFLAGS="--allow-root --no-browser"' in capsys.readouterr().err
    assert lab.main(["--teach", "--allow-root"]) == 0 and len(started) == 1


def test_a_folder_that_may_not_be_written_gets_a_sentence(
    started: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forbidden(*given: object) -> None:
        raise PermissionError(13, "Permission denied", "work")

    monkeypatch.setattr(lab.working_copy, "bring_up_to_date", forbidden)
    assert lab.main([]) == 1 and not started
    assert (
        capsys.readouterr().err
        == "You may not write work: copy this folder to one of your own, then run again there.\n"
    )


def test_a_setting_that_is_none_gets_its_sentence(
    started: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COURSE_PROFILE", "fast")
    assert lab.main([]) == 1 and not started
    assert capsys.readouterr().err.startswith("COURSE_PROFILE must be one of quick, full")


def test_the_start_page_leads_to_every_lesson_in_order_with_what_it_says_of_itself() -> None:
    page = start_page.page()
    links = re.findall(r"\]\(([^)]+\.ipynb)\)", page)
    lessons = [path for path in sources() if path.is_file()]
    assert links[: len(lessons)] == [path.name for path in lessons]
    assert links[len(lessons) :] == ["assignment4/assignment4.ipynb"]
    for path in lessons:
        [line] = [line for line in page.splitlines() if f"({path.name})" in line]
        title = read(path).cells[0].source
        assert line.split("](")[0].removeprefix("| [") == title.split("\n")[0].removeprefix("# ")
        need, time = (part.strip() for part in line.replace(r"\|", "¦").split("|")[2:4])
        assert need and time and all(part.split()[-1] in title for part in (need, time))


@pytest.mark.parametrize(("profile", "said"), [("quick", "COURSE_PROFILE=full make lab"), ("full", "a fraction")])
def test_the_start_page_says_which_profile_runs(profile: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_PROFILE", profile)
    assert f"runs the **{profile}** profile" in start_page.page() and said in start_page.page()


def test_a_title_cell_that_says_too_little_is_named(tmp_path: Path) -> None:
    from nbformat.v4 import new_markdown_cell, new_notebook

    from tools.normal_form import write

    write(new_notebook(cells=[new_markdown_cell("# A\n\n**Time:** an hour", id="a")]), tmp_path / "01_a.ipynb")
    with pytest.raises(start_page.Unsaid, match=r"01_a\.ipynb: .*What you need"):
        start_page.row(tmp_path / "01_a.ipynb", "01_a.ipynb")


@pytest.mark.parametrize("folder", [ROOT / "labconfig", ROOT / "labconfig" / "teach" / "labconfig"])
def test_nobody_is_shown_news(folder: Path) -> None:
    settings = json.loads((folder / "default_setting_overrides.json").read_text(encoding="utf-8"))
    assert settings["@jupyterlab/apputils-extension:notification"] == {"fetchNews": "false", "checkForUpdates": False}


def test_students_see_none_of_nbgraders_buttons_and_instructors_see_formgrader() -> None:
    student, teacher = (
        json.loads((folder / "page_config.json").read_text(encoding="utf-8"))["disabledExtensions"]
        for folder in (ROOT / "labconfig", ROOT / "labconfig" / "teach" / "labconfig")
    )
    assert {f"@jupyter/nbgrader:{name}" for name in ("formgrader", "create-assignment", "validate-assignment")} <= set(
        student
    )
    assert "@jupyter/nbgrader:formgrader" not in teacher


def test_boxes_are_readable_in_the_dark_theme() -> None:
    style = (lab.LABCONFIG / "custom" / "custom.css").read_text(encoding="utf-8")
    found = dict(re.findall(r"^  ([a-z-]+): #(\w{6});", style, flags=re.MULTILINE))
    text, paper = found["color"], found["background-color"]
    assert contrast(bytes.fromhex(text), bytes.fromhex(paper)) >= 4.5
    link = bytes.fromhex("64b5f6")  # of JupyterLab's dark theme
    assert contrast(link, bytes.fromhex(paper)) >= 4.5
    assert 2.6 < contrast(bytes.fromhex("0097a7"), bytes.fromhex("b2ebf2")) < 2.8  # as JupyterLab has it


@pytest.mark.parametrize(("first", "second", "expected"), [("000000", "ffffff", 21), ("777777", "ffffff", 4.48)])
def test_contrast_is_that_of_the_standard(first: str, second: str, expected: float) -> None:
    assert contrast(bytes.fromhex(first), bytes.fromhex(second)) == pytest.approx(expected, abs=0.01)
