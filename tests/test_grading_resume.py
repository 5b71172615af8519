"""Nothing is lost: marking that is stopped goes on where it was, and ends in the same grades."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from course_utils.assignment.plan import ASSIGNMENT, NOTEBOOK
from course_utils.files import atomic_path
from grading import run
from grading.course import CHECKOUT, configuration
from grading.intake import take
from grading.marking import MARKING, RELEASED, RESULT, Result, fingerprint, result_of
from tests.bank import Course, answers, sandboxed
from tests.test_grading_bank import ALL, hand_in
from tools.normal_form import read

STUDENTS = ("ann", "bob", "cy")


def course_of_three(root: Path) -> Course:
    course = Course(root)
    for name in STUDENTS:
        hand_in(course, name, course.submission(answers() if name == "ann" else {}))
    return course


def quick(stop_at: str = ""):
    """Marking without a sandbox's wait: every test of ann's passes and every other one fails."""

    def marked(root: Path, name: str, confined: bool) -> Result:
        if name == stop_at:
            raise KeyboardInterrupt
        place = root / MARKING / name
        taken = take(root / "submitted" / name / ASSIGNMENT, read(RELEASED), place / "taken")
        error = {"output_type": "error", "ename": "CheckFailed", "evalue": "no", "traceback": []}
        outputs = {cell.id: [] if name == "ann" else [error] for cell in taken.notebook.cells}
        result = Result(fingerprint(root, name, confined), "", taken.remarks, outputs, confined, 1.0)
        with atomic_path(place / RESULT) as scratch:
            scratch.write_text(json.dumps(result._asdict()))
        return result

    return marked


@pytest.fixture
def unconfined(monkeypatch):
    monkeypatch.setattr(run, "require", lambda: None)


def test_stopped_and_resumed_marking_gives_the_same_grades_byte_for_byte(tmp_path, monkeypatch, unconfined, capsys):
    for name, stops in (("whole", [""]), ("stopped", ["bob", "cy", ""])):
        course_of_three(tmp_path / name)
        for stop_at in stops:
            monkeypatch.setattr(run, "marked", quick(stop_at))
            assert run.main(["--root", str(tmp_path / name), "--jobs", "0"]) == (130 if stop_at else 0)
    grades = [(tmp_path / name / "grades.csv").read_bytes() for name in ("whole", "stopped")]
    assert grades[0] == grades[1] and grades[0].count(b"\n") == 4
    assert b"ann,,,,40.0" in grades[0]


def test_what_is_booked_is_not_marked_again_unless_it_changed(tmp_path, monkeypatch, unconfined, capsys):
    course = course_of_three(tmp_path)
    asked = []
    monkeypatch.setattr(run, "marked", lambda root, name, confined: asked.append(name) or quick()(root, name, confined))
    for argument, expected in ((), STUDENTS), ((), ()), (("--student", "cy"), ("cy",)), (("--all",), STUDENTS):
        asked.clear()
        assert run.main(["--root", str(tmp_path), "--jobs", "0", *argument]) == 0
        assert tuple(asked) == expected
    asked.clear()
    notebook = course.submission({"blur": "Read off the figure."})
    (tmp_path / "submitted" / "bob" / ASSIGNMENT / NOTEBOOK).write_text(json.dumps(notebook))
    assert run.main(["--root", str(tmp_path), "--jobs", "0"]) == 0
    assert asked == ["bob"]


def test_a_result_that_the_gradebook_missed_is_booked_without_being_marked_again(tmp_path, monkeypatch, unconfined):
    course_of_three(tmp_path)
    in_earnest = run.marked
    monkeypatch.setattr(run, "marked", quick())
    run.main(["--root", str(tmp_path), "--jobs", "0"])
    (tmp_path / MARKING / "ann" / "booked.json").unlink()  # killed between result and gradebook
    monkeypatch.setattr(run, "marked", in_earnest)
    monkeypatch.setattr("grading.marking._mark", None)  # it must not be called
    assert run.main(["--root", str(tmp_path), "--jobs", "0"]) == 0


def test_a_half_written_result_is_none(tmp_path):
    (tmp_path / MARKING / "ann").mkdir(parents=True)
    (tmp_path / MARKING / "ann" / RESULT).write_text('{"key": "a", "outp')
    assert result_of(tmp_path, "ann") is None


def test_a_stranger_is_named(tmp_path, capsys):
    (tmp_path / "submitted" / "ada" / ASSIGNMENT).mkdir(parents=True)
    with pytest.raises(SystemExit, match="Nothing is handed in by eve. There is: ada."):
        run.main(["--root", str(tmp_path), "--student", "eve"])


@pytest.mark.skipif(not ALL or not sandboxed(), reason="make test-grading")
def test_a_killed_worker_and_a_killed_driver_lose_nothing(tmp_path):
    course_of_three(tmp_path)
    command = [sys.executable, "-m", "grading", "--root", str(tmp_path), "--jobs", "2"]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "COURSE_DATA": "bundled", "OMP_NUM_THREADS": "1"}
    driver = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    threading.Thread(target=kill_a_worker_of, args=(driver.pid,), daemon=True).start()
    while not (tmp_path / MARKING / "ann" / RESULT).exists() and driver.poll() is None:
        time.sleep(0.1)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    config = configuration(tmp_path)
    with Gradebook(config.CourseDirectory.db_url, "vae") as book:
        scores = {name: book.find_submission(ASSIGNMENT, name).score for name in STUDENTS}
    assert scores == {"ann": 24, "bob": 0, "cy": 0}


def kill_a_worker_of(driver: int) -> None:
    """End the first marking process that the driver has started."""
    while True:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            words = path.read_bytes() if path.exists() else b""
            if b"loky" in words and parent(path.parent) == driver and b"resource_tracker" not in words:
                os.kill(int(path.parent.name), signal.SIGKILL)
                return
        time.sleep(0.05)


def parent(process: Path) -> int:
    return int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
