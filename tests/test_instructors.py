"""The instructor's loop with nbgrader as it is: every command of docs/instructors.md, on one machine and from zips."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory

from course_utils.assignment.plan import ASSIGNMENT, NOTEBOOK
from grading.course import CHECKOUT, configuration
from grading.release import generate
from tests.bank import answers, grade_id
from tools.normal_form import read, write

CODE_POINTS = 24  # all of the program's 40, but for 14 of the runs and 2 that compare them
COMMANDS = (
    *("release_assignment", "list", "fetch_assignment", "submit", "collect", "zip_collect", "autograde"),
    *("generate_feedback", "release_feedback", "fetch_feedback", "export", "validate", "formgrade"),
)


ONE_AFTER_THE_OTHER = """
import json, os, sys
from nbgrader.apps.nbgraderapp import NbGraderApp
from traitlets.config import Application
for folder, line in json.loads(sys.argv[1]):
    os.chdir(folder)
    NbGraderApp.launch_instance(line.split())
    type(Application.instance()).clear_instance()
"""


class Machine:
    """A course, an exchange and a student's folder on one machine, and nbgrader's command line in each."""

    def __init__(self, place: Path) -> None:
        self.course, self.exchange, self.student = place / "course", place / "exchange", place / "student"
        for folder in (self.course, self.exchange, self.student):
            folder.mkdir()
        self.exchange.chmod(0o777)
        shutil.copy(CHECKOUT / "nbgrader_config.py", self.course)
        shutil.copytree(CHECKOUT / "solutions" / ASSIGNMENT, self.course / "solutions" / ASSIGNMENT)
        (self.course / "assignments").mkdir()
        generate(self.course / "assignments" / ASSIGNMENT, self.course / "gradebook.db")
        homes = {f"JUPYTER_{kind}_DIR": str(place / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.environment = os.environ | homes | {"IPYTHONDIR": str(place / "ipython"), "PATH": path}
        self.environment |= {"PYTHONPATH": str(CHECKOUT), "COURSE_DATA": "bundled", "OMP_NUM_THREADS": "1"}

    def nbgrader(self, *commands: tuple[Path, str]) -> str:
        """What nbgrader's command-line applications say to these command lines, each typed in a folder.

        They run in one process, because each start takes seconds.  AssertionError if one fails.
        """
        lines = [(str(folder), f"{words} --Exchange.root={self.exchange}") for folder, words in commands]
        command = [sys.executable, "-c", ONE_AFTER_THE_OTHER, json.dumps(lines)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout + done.stderr

    def answer(self, notebook: Path) -> None:
        nb = read(notebook)
        for cell in nb.cells:
            cell.source = answers().get(grade_id(cell), cell.source)
        write(nb, notebook)

    def api(self) -> NbGraderAPI:
        config = configuration(self.course)
        config.Exchange.root = str(self.exchange)
        return NbGraderAPI(CourseDirectory(config=config), config=config)


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Machine:
    return Machine(tmp_path_factory.mktemp("machine"))


@pytest.fixture(scope="module")
def looped(machine) -> Machine:
    """From the release to the exported marks of one student, by command line."""
    course, student, name = machine.course, machine.student, f"{ASSIGNMENT} --course vae"
    listed = machine.nbgrader(
        (course, f"release_assignment {ASSIGNMENT}"),
        (student, "list --course vae"),
        (student, f"fetch_assignment {name}"),
    )
    assert f"vae {ASSIGNMENT}" in listed.split("Released assignments:")[1]
    machine.answer(student / ASSIGNMENT / NOTEBOOK)
    listed = machine.nbgrader(
        (student, f"submit {name} --student ada"),
        (course, "list --inbound"),
        (course, f"collect {ASSIGNMENT}"),
        (course, f"autograde {ASSIGNMENT}"),
        (course, f"generate_feedback {ASSIGNMENT}"),
        (course, f"release_feedback {ASSIGNMENT}"),
        (student, f"fetch_feedback {name} --student ada"),
        (course, "export"),
    )
    assert f"vae ada {ASSIGNMENT}" in listed.split("Submitted assignments:")[1]
    return machine


def test_the_student_gets_the_release_and_no_solution(looped):
    fetched = looped.student / ASSIGNMENT
    assert (fetched / "cells.json").exists()
    shipped = (looped.exchange / "vae" / "outbound" / ASSIGNMENT / NOTEBOOK).read_text(encoding="utf-8")
    assert "HIDDEN TESTS" not in shipped and "SOLUTION" not in shipped


def test_the_exported_marks_are_those_of_the_answers(looped):
    with (looped.course / "grades.csv").open(newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["student_id"], float(row["score"]), float(row["max_score"])) == ("ada", CODE_POINTS, 50)
    assert row["timestamp"]


def test_the_student_gets_feedback_that_says_what_was_missing(looped):
    [page] = (looped.student / ASSIGNMENT / "feedback").rglob("*.html")
    assert "There is no finished run at runs/bce.safetensors" in page.read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # nbgrader's own, of traitlets
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a database that nbgrader leaves open
def test_the_same_steps_by_api(looped):
    api = looped.api()
    steps = {
        "take back": lambda: api.unrelease(ASSIGNMENT),
        "release": lambda: api.release_assignment(ASSIGNMENT),
        "collect": lambda: api.collect(ASSIGNMENT),
        "feedback": lambda: api.generate_feedback(ASSIGNMENT, "ada"),
        "return": lambda: api.release_feedback(ASSIGNMENT, "ada"),
    }
    assert {name: step()["success"] for name, step in steps.items()} == dict.fromkeys(steps, True)
    submission = api.get_submission(ASSIGNMENT, "ada")
    assert (submission["autograded"], submission["score"], submission["needs_manual_grade"]) == (
        True,
        CODE_POINTS,
        True,
    )


def test_a_folder_of_downloaded_zips(machine):
    archive = machine.course / "downloaded" / ASSIGNMENT / "archive"
    names = {
        "ann_assignment4.zip": f"{ASSIGNMENT}/",
        "bob_LATE_12_345_assignment4-1.zip": "",
        "Cy Example_789_assignsubmission_file/hand-in.zip": f"work/{ASSIGNMENT}/",
    }
    for name, inside in names.items():
        (archive / name).parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(archive / name, "w") as file:
            file.write(machine.course / "assignments" / ASSIGNMENT / NOTEBOOK, inside + NOTEBOOK)
            for extra in ("runs/bce.safetensors", "runs/bce.json", "cells.json"):
                file.writestr(inside + extra, "{}")
            for left in (".ipynb_checkpoints/a.ipynb", "runs/unfinished/mse.safetensors", "notes.txt"):
                file.writestr(inside + left, "{}")
            file.writestr(f"__MACOSX/{inside}._{NOTEBOOK}", "{}")
    machine.nbgrader((machine.course, f"zip_collect {ASSIGNMENT}"))
    for student in ("ann", "bob_LATE_12_345", "Cy Example_789"):
        folder = machine.course / "submitted" / student / ASSIGNMENT
        files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert files == {NOTEBOOK, "cells.json", "runs/bce.json", "runs/bce.safetensors"}, student


def test_the_guide_names_every_command():
    guide = (CHECKOUT / "docs" / "instructors.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert re.search(rf"\bnbgrader {command}\b", guide), command


def test_the_guide_has_the_points_of_the_release():
    guide = (CHECKOUT / "docs" / "instructors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) · .*? \| (\d+) \| (\d*) ?\|$", guide, flags=re.MULTILINE)
    cells = json.loads((CHECKOUT / "assignments" / ASSIGNMENT / "cells.json").read_text(encoding="utf-8")).values()
    program, person = (sum(cell["points"] for cell in cells if cell["kind"] == kind) for kind in ("test", "answer"))
    assert (sum(int(row[1]) for row in rows), sum(int(row[2] or 0) for row in rows)) == (program, person)
