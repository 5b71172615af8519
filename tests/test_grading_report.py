"""`make grade`: what is new is marked, what cannot be marked is said, and what two students share is found."""

import os
import shutil
import time
from pathlib import Path

import pytest
import torch

from course_utils.checkpoints import save_checkpoint
from course_utils.models import build
from course_utils.runs import seed_of
from grading import report
from tests.bank import ASSIGNMENT, NOTEBOOK, Course, answers, grade_id
from tools.normal_form import write

NUMBER = 20261120
CODE_POINTS = 24  # all of the program's 40, but for 14 of the runs and 2 that compare them
BCE_POINTS = 5


def save_run(path: Path) -> None:
    """A run with honest facts that claims 100 epochs on the real MNIST: weights as they were before training."""
    entries = [{"loss": 500.0 - k, "bce": 500.0 - k, "sse": 50.0, "kl": 0.0} for k in range(100)]
    torch.manual_seed(seed_of(NUMBER))
    facts = {"student": NUMBER, "seed": seed_of(NUMBER), "epochs": 100, "data_set": "mnist", "bundled": False}
    save_checkpoint(path, build("conv"), half=True, data="MNIST", history=entries, test=entries[-1], **facts)


def folder(root: Path, student: str) -> Path:
    made = root / "submitted" / student / ASSIGNMENT
    (made / "runs").mkdir(parents=True, exist_ok=True)
    return made


@pytest.fixture(scope="module")
def marked(tmp_path_factory) -> tuple[Path, int, str, str]:
    """ada answers everything and has one run, her notebook lacks one test; cut's notebook is cut short."""
    root = tmp_path_factory.mktemp("course")
    course = Course(root)
    notebook = course.submission(answers() | {"student-number": f"def student_number():\n    return {NUMBER}"})
    notebook.cells = [cell for cell in notebook.cells if grade_id(cell) != "test-flat-features"]
    write(notebook, folder(root, "ada") / NOTEBOOK)
    save_run(folder(root, "ada") / "runs" / "bce")
    (folder(root, "cut") / NOTEBOOK).write_text('{"cells": [')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_DATA_DIR", str(root / "no-data"))
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            patch.setenv(name, "http://127.0.0.1:9")
        printed = []
        patch.setattr("builtins.print", lambda *words, **options: printed.append(" ".join(words)))
        status = report.main(["--root", str(root)])
    return root, status, printed[0]


def lines(text: str, start: str) -> list[str]:
    return [line for line in text.split("\n") if line.startswith(start)]


def test_marks_are_those_of_the_answers_and_of_the_run(marked):
    _, _, text = marked
    row = lines(text, "ada ")[0]
    assert f"{CODE_POINTS + BCE_POINTS - 1} of 40" in row and "0 of 10" in row
    assert row.split("of 10")[1].split()[0] == "3"


def test_what_was_not_verified_is_said_once_and_why(marked):
    _, _, text = marked
    assert "UNVERIFIED" in lines(text, "ada ")[0]
    said = lines(text, "ada: UNVERIFIED: runs/bce.safetensors was trained on MNIST")
    assert len(said) == 1 and "this machine does not have" in said[0]


def test_a_missing_test_is_left_to_a_person(marked):
    assert lines(marked[2], "ada: These tests are missing") == [
        "ada: These tests are missing in the notebook; mark them by hand: test-flat-features."
    ]


def test_a_broken_submission_is_named_with_reason_and_cure_and_stops_nobody(marked):
    root, status, text = marked
    assert status == 1
    assert "NOT MARKED" in lines(text, "cut ")[0]
    reason, cure = lines(text, "cut: ")
    assert reason.startswith("cut: NOT MARKED: NotJSONError: ")
    assert "is not valid JSON" in cure and "fresh assignment4.ipynb" in cure


def test_only_what_is_new_is_marked(marked):
    root = marked[0]
    assert report.unmarked(root) == ["cut"]
    notebook = folder(root, "ada") / NOTEBOOK
    before = notebook.stat()
    os.utime(notebook, (time.time() + 60,) * 2)
    assert report.unmarked(root) == ["ada", "cut"]
    os.utime(notebook, (before.st_atime, before.st_mtime))
    (folder(root, "ada") / "timestamp.txt").write_text("2026-01-01 00:00:00 UTC")
    os.utime(folder(root, "ada") / "timestamp.txt", (before.st_atime, before.st_mtime))
    assert report.unmarked(root) == ["ada", "cut"]
    (folder(root, "ada") / "timestamp.txt").write_text("no time")
    os.utime(folder(root, "ada") / "timestamp.txt", (before.st_atime, before.st_mtime))
    assert report.unmarked(root) == ["ada", "cut"]


def test_weights_and_numbers_that_two_students_share(tmp_path):
    save_run(folder(tmp_path, "ada") / "runs" / "bce")
    shutil.copy(
        folder(tmp_path, "ada") / "runs" / "bce.safetensors", folder(tmp_path, "ada") / "runs" / "copy.safetensors"
    )
    assert report.same_runs(tmp_path) == report.same_numbers(tmp_path) == []  # one student's own files
    shutil.copy(
        folder(tmp_path, "ada") / "runs" / "bce.safetensors", folder(tmp_path, "bob") / "runs" / "mse.safetensors"
    )
    (folder(tmp_path, "eve") / "runs" / "bce.safetensors").write_bytes(b"damaged")
    assert report.same_runs(tmp_path) == [
        "Identical weights: ada/bce.safetensors, ada/copy.safetensors, bob/mse.safetensors."
    ]
    assert report.same_numbers(tmp_path) == [f"Student number {NUMBER} stands in the runs of ada, bob."]


def test_other_facts_do_not_hide_the_same_weights_and_other_weights_are_not_the_same(tmp_path):
    for student, seed in (("ada", 1), ("bob", 1), ("eve", 2)):
        torch.manual_seed(seed)
        save_checkpoint(folder(tmp_path, student) / "runs" / "bce", build("conv"), half=True, student=student)
    assert report.same_runs(tmp_path) == ["Identical weights: ada/bce.safetensors, bob/bce.safetensors."]
    assert report.same_numbers(tmp_path) == []


def test_an_interrupt_stops_the_marking_though_nbgrader_swallows_it(monkeypatch, tmp_path, capsys):
    asked = []

    class Nbgrader:
        def autograde(self, assignment: str, student: str) -> dict:
            asked.append(student)
            return {"success": False, "error": "Traceback (most recent call last):\n  ...\nKeyboardInterrupt"}

    folder(tmp_path, "ada"), folder(tmp_path, "bob")
    monkeypatch.setattr(report, "api", lambda root: Nbgrader())
    assert report.main(["--root", str(tmp_path), "--all"]) == 130
    assert asked == ["ada"]
    assert "make grade" in capsys.readouterr().err


def test_nothing_handed_in_is_a_sentence(tmp_path, capsys):
    assert report.main(["--root", str(tmp_path)]) == 0
    assert "Collect first" in capsys.readouterr().out
