"""A student's folder through updates of the course, edits, deletions and a lost memory: no work is ever lost."""

import json
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tools.normal_form import read, write
from tools.working_copy import GIVEN, bring_up_to_date, main, start_afresh

LESSON, ASSIGNMENT = "02_kl.ipynb", "assignment4"


class Course:
    """A course with a lesson and an assignment, and a student's working copy of it."""

    def __init__(self, root: Path) -> None:
        self.root, self.work = root, root / "work"
        (root / "notebooks").mkdir()
        (root / "assignments" / ASSIGNMENT).mkdir(parents=True)
        self.publish("first")

    def publish(self, version: str) -> None:
        """The course's authors store a version of everything."""
        save(self.root / "notebooks" / LESSON, version)
        save(self.root / "assignments" / ASSIGNMENT / "assignment4.ipynb", version)
        (self.root / "assignments" / ASSIGNMENT / "cells.json").write_text(version)

    def update(self) -> list[str]:
        return bring_up_to_date(self.root, self.work)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.work.iterdir() if not path.name.startswith("."))


def save(path: Path, text: str) -> None:
    write(new_notebook(cells=[new_code_cell(text, id="a")]), path)


def text(path: Path) -> str:
    return read(path).cells[0].source


@pytest.fixture
def course(tmp_path: Path) -> Course:
    made = Course(tmp_path)
    assert made.update() == []
    return made


def test_the_first_copy_has_everything_and_the_second_call_changes_nothing(course: Course) -> None:
    assert course.names() == [LESSON, ASSIGNMENT]
    assert text(course.work / ASSIGNMENT / "assignment4.ipynb") == "first"
    before = {path: path.stat().st_mtime_ns for path in course.work.rglob("*.ipynb")}
    assert course.update() == []
    assert {path: path.stat().st_mtime_ns for path in course.work.rglob("*.ipynb")} == before


def test_what_was_not_touched_follows_the_course(course: Course) -> None:
    course.publish("second")
    assert [sentence.split(":")[0] for sentence in course.update()] == ["02_kl", ASSIGNMENT]
    assert text(course.work / LESSON) == "second"
    assert (course.work / ASSIGNMENT / "cells.json").read_text() == "second"
    assert course.update() == []


def test_what_was_worked_in_stays_and_the_new_version_lies_beside_it(course: Course) -> None:
    save(course.work / LESSON, "mine")
    assert course.update() == []
    course.publish("second")
    [sentence] = [sentence for sentence in course.update() if sentence.startswith("02_kl")]
    assert "beside it as 02_kl (new).ipynb" in sentence
    assert (text(course.work / LESSON), text(course.work / "02_kl (new).ipynb")) == ("mine", "second")
    assert course.update() == []


def test_a_third_version_replaces_the_second_unless_that_was_worked_in_too(course: Course) -> None:
    save(course.work / LESSON, "mine")
    for version in ("second", "third"):
        course.publish(version)
        course.update()
    assert text(course.work / "02_kl (new).ipynb") == "third"
    save(course.work / "02_kl (new).ipynb", "mine, too")
    course.publish("fourth")
    course.update()
    found = {name: text(course.work / name) for name in course.names() if name.startswith("02")}
    assert found == {LESSON: "mine", "02_kl (new).ipynb": "mine, too", "02_kl (new 2).ipynb": "fourth"}


def test_an_assignment_keeps_answers_and_runs_and_the_new_one_comes_whole(course: Course) -> None:
    mine = course.work / ASSIGNMENT
    save(mine / "assignment4.ipynb", "my answers")
    (mine / "runs").mkdir()
    (mine / "runs" / "bce.json").write_text("{}")
    course.publish("second")
    course.update()
    assert (text(mine / "assignment4.ipynb"), (mine / "cells.json").read_text()) == ("my answers", "first")
    assert (mine / "runs" / "bce.json").exists()
    new = course.work / "assignment4 (new)"
    assert (text(new / "assignment4.ipynb"), (new / "cells.json").read_text()) == ("second", "second")


def test_runs_of_an_untouched_assignment_survive_its_update(course: Course) -> None:
    (course.work / ASSIGNMENT / "runs").mkdir()
    course.publish("second")
    course.update()
    assert (course.work / ASSIGNMENT / "runs").is_dir()
    assert text(course.work / ASSIGNMENT / "assignment4.ipynb") == "second"


def test_opening_and_saving_is_no_change(course: Course) -> None:
    nb = read(course.work / LESSON)
    nb.metadata.language_info = {"name": "python", "version": "3.99.0"}
    write(nb, course.work / LESSON)
    course.publish("second")
    course.update()
    assert text(course.work / LESSON) == "second"


def test_where_the_memory_is_lost_every_copy_counts_as_worked_in(course: Course) -> None:
    (course.work / GIVEN).write_text("{")
    course.publish("second")
    course.update()
    assert (text(course.work / LESSON), text(course.work / "02_kl (new).ipynb")) == ("first", "second")
    assert json.loads((course.work / GIVEN).read_text())


def test_a_deleted_copy_comes_back_and_a_broken_one_stays(course: Course) -> None:
    (course.work / LESSON).unlink()
    (course.work / ASSIGNMENT / "assignment4.ipynb").write_text("{")
    course.publish("second")
    course.update()
    assert text(course.work / LESSON) == "second"
    assert (course.work / ASSIGNMENT / "assignment4.ipynb").read_text() == "{"


def test_a_copy_cut_off_in_the_middle_is_begun_again(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    course.publish("second")

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr("shutil.copyfile", full)
        course.update()
    assert text(course.work / LESSON) == "first"
    course.update()
    assert text(course.work / LESSON) == "second"


def test_afresh_sets_ones_own_aside(course: Course) -> None:
    save(course.work / LESSON, "mine")
    for expected in ("02_kl (mine).ipynb", "02_kl (mine 2).ipynb"):
        [sentence] = start_afresh(["2"], course.root, course.work)
        assert expected in sentence
        assert text(course.work / LESSON) == "first"
    assert text(course.work / "02_kl (mine).ipynb") == "mine"
    (course.work / LESSON).unlink()
    assert start_afresh(["2"], course.root, course.work) == [f"02_kl: {LESSON} is as it came."]
    start_afresh([ASSIGNMENT], course.root, course.work)
    assert (course.work / "assignment4 (mine)" / "assignment4.ipynb").exists()


def test_an_unknown_name_and_none_get_a_sentence(course: Course, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["7"], course.root, course.work) == main([], course.root, course.work) == 1
    said = capsys.readouterr().err
    assert "There is no lesson or assignment '7'; there are: 02_kl, assignment4." in said and "Which?" in said
