"""`make grade`: what is new is marked, what cannot be marked is said, and what two students share is found."""

import copy
import csv
import os
import shutil
import zipfile
from contextlib import redirect_stdout
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
import torch
from nbgrader.api import Gradebook

from course_utils.assignment.plan import ASSIGNMENT, NOTEBOOK
from course_utils.assignment.runs import seed_of
from course_utils.checkpoints import load_checkpoint, save_checkpoint
from course_utils.data import load
from course_utils.models import build
from course_utils.objectives import negative_elbo
from course_utils.training import fit
from grading import alike, book, handback, lms, report, run
from grading.course import CHECKOUT, configuration
from grading.marking import MARKING, Result
from tests.bank import Course, answers, grade_id, sandboxed
from tools.normal_form import write

NUMBER, CLASSMATE = 20261120, 4711
CODE_POINTS = 24  # all of the program's 40, but for 14 of the runs and 2 that compare them
BCE_POINTS = 5  # the run mse is of another number and earns nothing


def save_run(path: Path, number: int = NUMBER) -> None:
    """A run with honest facts that claims 100 epochs on the real MNIST: weights as they were before training."""
    losses = [500.0 + number - k for k in range(100)]
    entries = [{"loss": loss, "bce": loss, "sse": 50.0, "kl": 0.0} for loss in losses]
    torch.manual_seed(seed_of(number))
    facts = {"student": number, "seed": seed_of(number), "epochs": 100, "data_set": "mnist", "bundled": False}
    save_checkpoint(path, build("conv"), half=True, data="MNIST", history=entries, test=entries[-1], **facts)


def folder(root: Path, student: str) -> Path:
    made = root / "submitted" / student / ASSIGNMENT
    (made / "runs").mkdir(parents=True, exist_ok=True)
    return made


@pytest.fixture(scope="module")
def marked(tmp_path_factory) -> tuple[Path, int, str, str]:
    """ada answers everything and has two runs, but her notebook lacks a test and a given cell; others are broken."""
    if not sandboxed():
        pytest.skip("bubblewrap does not work here")
    root = tmp_path_factory.mktemp("course")
    course = Course(root)
    copied = "from course_utils.objectives import gaussian_kl as kl_per_image"
    number = f"def student_number():\n    return {NUMBER}"
    notebook = course.submission(answers() | {"student-number": number, "kl-per-image": copied})
    notebook.cells = [cell for cell in notebook.cells if grade_id(cell) not in ("test-flat-features", "show-bce")]
    write(notebook, folder(root, "ada") / NOTEBOOK)
    save_run(folder(root, "ada") / "runs" / "bce")
    save_run(folder(root, "ada") / "runs" / "mse", CLASSMATE)
    write(notebook, folder(root, "renamed") / "mine.ipynb")
    copied = copy.deepcopy(next(cell for cell in notebook.cells if grade_id(cell) == "blur"))
    notebook.cells.append(copied)
    copied.id = "another"
    write(notebook, folder(root, "copied") / NOTEBOOK)
    (folder(root, "cut") / NOTEBOOK).write_text('{"cells": [')
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COURSE_DATA", raising=False)  # as in the tests themselves
        patch.setenv("COURSE_DATA_DIR", str(root / "no-data"))
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            patch.setenv(name, "http://127.0.0.1:9")
        with redirect_stdout(StringIO()) as printed:
            status = run.main(["--root", str(root)])
    return root, status, printed.getvalue()


def lines(text: str, start: str) -> list[str]:
    return [line for line in text.split("\n") if line.startswith(start)]


def test_marks_are_those_of_the_answers_and_of_the_run(marked):
    _, _, text = marked
    row = lines(text, "ada ")[0]
    assert f"{CODE_POINTS + BCE_POINTS} of 40" in row and "0 of 10" in row
    assert row.split("of 10")[1].split()[0] == "3"


def test_what_was_not_verified_is_one_sentence(marked):
    _, _, text = marked
    assert "UNVERIFIED" in lines(text, "ada ")[0]
    assert lines(text, "ada: UNVERIFIED") == [
        "ada: UNVERIFIED: runs/bce.safetensors: this machine does not have their images; "
        "docs/instructors.md says what to do."
    ]


def test_missing_cells_cost_nothing_and_are_named(marked):
    assert "put right" in lines(marked[2], "ada ")[0]
    assert lines(marked[2], "ada: These cells") == [
        "ada: These cells are missing in the notebook and were put back: show-bce, test-flat-features."
    ]


def test_an_answer_that_calls_the_course_is_paid_and_named(marked):
    assert "BORROWED" in lines(marked[2], "ada ")[0]
    assert lines(marked[2], "ada: BORROWED") == [
        "ada: BORROWED: kl_per_image leaves its work to course_utils.objectives.gaussian_kl. The points are given; "
        "whether they count is yours to say."
    ]


def test_a_copied_cell_and_another_name_cost_nothing_and_are_named(marked):
    for student, told in (("copied", "There were several cells of blur"), ("renamed", "The notebook was called mine")):
        assert f"{CODE_POINTS} of 40" in lines(marked[2], f"{student} ")[0]
        assert any(line.startswith(f"{student}: {told}") for line in lines(marked[2], f"{student}: "))


def test_a_broken_submission_is_named_with_reason_and_cure_and_stops_nobody(marked):
    root, status, text = marked
    assert status == 1
    assert "UNGRADABLE" in lines(text, "cut ")[0]
    (reason,) = lines(text, "cut: ")
    assert reason.startswith("cut: UNGRADABLE: assignment4.ipynb cannot be read: it is not valid JSON")
    assert "fresh assignment4.ipynb" in reason
    assert [row.failed for row in report.rows(root)] == [False, False, True, False]  # it is remembered


def test_the_last_line_and_the_page_say_whether_a_person_is_needed(marked):
    root, _, text = marked
    last = text.rstrip().split("\n")[-1]
    # UNVERIFIED once for ada, BORROWED for three, and three answers in words each
    wanted = "1 submission could not be marked, 4 remarks to look at, 9 answers in words to read."
    assert last == f"A person is needed: {wanted}"
    html = (root / "report.html").read_text(encoding="utf-8")
    assert html.index(last) < html.index("UNGRADABLE: assignment4.ipynb cannot be read") < html.index("Students</h2>")
    rows = {cells[0]: cells[1:] for cells in Rows(html).rows if cells and cells[0] in ("ada", "cut")}
    assert rows["cut"][0].startswith("UNGRADABLE: assignment4.ipynb cannot be read")
    program, *tasks, person, waiting, seconds, _ = rows["ada"]
    assert (program, person, waiting) == (f"{CODE_POINTS + BCE_POINTS} of 40", "0 of 10", "3")
    assert sum(float(task.split(" of ")[0]) for task in tasks) == CODE_POINTS + BCE_POINTS
    assert [task.split(" of ")[1] for task in tasks] == ["14", "12", "14", "10"] and float(seconds) > 0


def test_only_what_is_new_is_marked(marked):
    root = marked[0]
    assert run.unmarked(root) == ["cut"]
    os.utime(folder(root, "ada") / NOTEBOOK)  # touched, but the same
    assert run.unmarked(root) == ["cut"]
    assert run.unmarked(root, confined=False) == ["ada", "copied", "cut", "renamed"]
    timestamp = folder(root, "ada") / "timestamp.txt"
    timestamp.write_text("2026-01-01 00:00:00 UTC")
    assert run.unmarked(root) == ["ada", "cut"]
    timestamp.unlink()
    (root / "autograded" / "renamed").rename(root / "away")
    assert run.unmarked(root) == ["cut", "renamed"]
    (root / "away").rename(root / "autograded" / "renamed")


def test_a_mark_that_a_person_raised_or_lowered_takes_the_place_of_the_programs(marked):
    root, *_ = marked
    before = next(row for row in report.rows(root) if row.student == "ada")
    config = configuration(root)
    with Gradebook(config.CourseDirectory.db_url, config.CourseDirectory.course_id) as gradebook:
        submission = gradebook.find_submission_notebook(ASSIGNMENT, ASSIGNMENT, "ada")
        grades = {grade.name: grade for grade in submission.grades}
        full, none = grades["test-kl-values"], grades["test-run-cifar-whole"]
        assert (full.auto_score, none.auto_score) == (2, 0)
        try:
            full.manual_score, none.manual_score = 0.5, 1.0  # one lowered by 1.5, one raised by 1
            gradebook.db.commit()
            after = next(row for row in report.rows(root) if row.student == "ada")
        finally:
            full.manual_score = none.manual_score = None
            gradebook.db.commit()
    assert after.auto == before.auto - 0.5
    assert (after.auto_max, after.manual) == (before.auto_max, before.manual)


def test_weights_and_numbers_that_two_students_share(tmp_path):
    save_run(folder(tmp_path, "ada") / "runs" / "bce")
    shutil.copy(
        folder(tmp_path, "ada") / "runs" / "bce.safetensors", folder(tmp_path, "ada") / "runs" / "copy.safetensors"
    )
    assert alike.same_runs(tmp_path) == alike.same_numbers(tmp_path) == []  # one student's own files
    shutil.copy(
        folder(tmp_path, "ada") / "runs" / "bce.safetensors", folder(tmp_path, "bob") / "runs" / "mse.safetensors"
    )
    (folder(tmp_path, "eve") / "runs" / "bce.safetensors").write_bytes(b"damaged")
    assert alike.same_runs(tmp_path) == [
        "Identical weights: ada/bce.safetensors, ada/copy.safetensors, bob/mse.safetensors."
    ]
    assert alike.same_numbers(tmp_path) == [f"Student number {NUMBER} stands in the runs of ada, bob."]


def test_a_run_is_sketched_once_for_a_file_as_it_is(tmp_path, monkeypatch):
    for student, seed in (("ada", 1), ("bob", 1)):
        save_checkpoint(folder(tmp_path, student) / "runs" / "bce", started(seed), half=True)
        alike.keep_sketches(tmp_path, student)
    with monkeypatch.context() as patch:
        patch.setattr(alike, "read_run", None)  # it must not be called
        patch.setattr(alike, "WEIGHTS", tmp_path)
        assert alike.same_runs(tmp_path) == ["Identical weights: ada/bce.safetensors, bob/bce.safetensors."]
    path = tmp_path / "submitted" / "bob" / ASSIGNMENT / "runs" / "bce.safetensors"
    times = path.stat()
    save_checkpoint(path, started(2), half=True)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert alike.same_runs(tmp_path) == []
    (tmp_path / "marking" / "ada" / "bce.sketch").write_bytes(b"half")
    assert alike.same_runs(tmp_path) == []


def test_other_facts_do_not_hide_the_same_weights_and_other_weights_are_not_the_same(tmp_path):
    for student, seed in (("ada", 1), ("bob", 1), ("eve", 2)):
        torch.manual_seed(seed)
        save_checkpoint(folder(tmp_path, student) / "runs" / "bce", build("conv"), half=True, student=student)
    assert alike.same_runs(tmp_path) == ["Identical weights: ada/bce.safetensors, bob/bce.safetensors."]
    assert alike.same_numbers(tmp_path) == []


def blended(a, b, share: float):
    model = build("conv")
    model.load_state_dict(
        {name: (1 - share) * a.state_dict()[name] + share * b.state_dict()[name] for name in a.state_dict()}
    )
    return model


def started(seed: int):
    torch.manual_seed(seed)
    return build("conv")


def test_a_classmates_weights_with_a_little_of_ones_own_are_found_and_others_are_not(tmp_path):
    ada, bob, eve = (started(seed) for seed in (1, 2, 3))
    models = {"ada": ada, "bob": blended(ada, bob, 0.05), "dan": ada, "eve": blended(eve, ada, 0.3)}
    for student, model in models.items():
        save_checkpoint(folder(tmp_path, student) / "runs" / "bce", model, half=True, student=student)
    save_checkpoint(folder(tmp_path, "eve") / "runs" / "mse", blended(eve, bob, 0.05), half=True, student="eve")
    identical, near = alike.same_runs(tmp_path)
    assert identical == "Identical weights: ada/bce.safetensors, dan/bce.safetensors."
    start, places = near.split("): ")
    assert places == "ada/bce.safetensors, bob/bce.safetensors, dan/bce.safetensors."
    assert 0.99 < float(start.removeprefix("Nearly identical weights (correlation ")) < 1


def test_a_history_with_half_of_anothers_epochs_is_found(tmp_path):
    def epochs(seed: int) -> list[dict]:
        values = torch.rand(100, 3, generator=torch.Generator().manual_seed(seed)).tolist()
        return [dict(zip(("bce", "sse", "kl"), entry)) for entry in values]

    ada, bob, eve = (epochs(seed) for seed in range(3))
    histories = {"ada": ada, "bob": bob[:50] + ada[50:], "eve": eve[:60] + ada[60:], "odd": [7, None]}
    for seed, (student, history) in enumerate(histories.items()):
        path = folder(tmp_path, student) / "runs" / "bce"
        save_checkpoint(path, started(seed), half=True, student=student, history=history)
    assert alike.same_runs(tmp_path) == ["Histories with equal epochs: ada/bce.safetensors, bob/bce.safetensors."]
    shutil.copy(path.with_suffix(".safetensors"), folder(tmp_path, "copy") / "runs" / "bce.safetensors")
    assert alike.same_runs(tmp_path)[0] == "Identical weights: copy/bce.safetensors, odd/bce.safetensors."


LAYERS = {  # with hidden units -> those that read them
    "encoder.hidden.1": ("encoder.mu", "encoder.logvar"),
    "decoder.hidden.0": ("decoder.expand.0",),
}


def permuted(model):
    """The same function: hidden units of encoder and decoder in another order, and their scale handed on."""
    twin = copy.deepcopy(model)
    state = twin.state_dict()
    for inner, outers in LAYERS.items():
        order = torch.randperm(len(state[f"{inner}.bias"]), generator=torch.Generator().manual_seed(0))
        for name in (f"{inner}.weight", f"{inner}.bias"):
            state[name] = 3 * state[name][order]
        for outer in outers:
            state[f"{outer}.weight"] = state[f"{outer}.weight"][:, order] / 3
    twin.load_state_dict(state)
    return twin


def test_the_same_pictures_are_found_whatever_was_done_to_the_weights(tmp_path):
    theirs, _ = load_checkpoint(CHECKOUT / "weights" / "mnist-20d.safetensors", build)
    save_checkpoint(folder(tmp_path, "ada") / "runs" / "bce", permuted(theirs), half=True)
    save_checkpoint(folder(tmp_path, "bob") / "runs" / "bce", started(1), half=True)
    save_checkpoint(folder(tmp_path, "eve") / "runs" / "bce", started(2), half=True)
    (told,) = alike.same_runs(tmp_path)
    assert told.startswith("Nearly the same pictures") and "ada/bce.safetensors, the course/mnist-20d" in told


def test_so_they_are_after_some_training_of_ones_own(tmp_path):
    tuned, _ = load_checkpoint(CHECKOUT / "weights" / "mnist-20d.safetensors", build)
    digits = load("mnist", "train", "bundled").images[:512]
    source = torch.Generator().manual_seed(0)
    fit(tuned, digits, negative_elbo, epochs=2, learning_rate=1e-4, generator=source, progress=False)
    save_checkpoint(folder(tmp_path, "ada") / "runs" / "bce", permuted(tuned), half=True)
    (told,) = alike.same_runs(tmp_path)
    assert told.startswith("Nearly the same pictures") and "ada/bce.safetensors, the course/mnist-20d" in told


def test_an_interrupt_stops_the_marking_though_nbgrader_swallows_it(monkeypatch, tmp_path, capsys):
    asked = []

    class Nbgrader:
        def autograde(self, assignment: str, student: str) -> dict:
            asked.append(student)
            return {"success": False, "error": "Traceback (most recent call last):\n  ...\nKeyboardInterrupt"}

    for student in ("ada", "bob"):
        folder(tmp_path, student)
        (tmp_path / MARKING / student / "taken").mkdir(parents=True)
    monkeypatch.setattr(run, "marked", lambda root, name, confined: Result("key", "", [], {}, confined, 0.0))
    monkeypatch.setattr(book, "NbGraderAPI", lambda *words, **options: Nbgrader())
    assert run.main(["--root", str(tmp_path), "--all", "--jobs", "0"]) == 130
    assert asked == ["ada"]
    assert "make grade" in capsys.readouterr().err


def test_nothing_handed_in_is_a_sentence(tmp_path, capsys):
    assert run.main(["--root", str(tmp_path)]) == 0
    assert "Collect first" in capsys.readouterr().out


# What goes back


class Rows(HTMLParser):
    """The cells of a page's table, row by row, as a reader sees them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows, self.inside = [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")
        self.inside = tag == "td" or (self.inside and tag in ("span", "b", "div"))

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "td"

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


def opened(root: Path) -> Gradebook:
    config = configuration(root)
    return Gradebook(config.CourseDirectory.db_url, config.CourseDirectory.course_id)


@pytest.fixture(scope="module")
def ada(marked) -> str:
    root, *_ = marked
    return handback.write_pages(root, ["ada", "cut"])["ada"].read_text(encoding="utf-8")


def test_the_page_has_a_row_for_every_question_and_the_gradebooks_sum(ada, marked):
    root, *_ = marked
    found = {cells[0]: cells[1:] for cells in Rows(ada).rows if cells}
    with opened(root) as book:
        grades = book.find_submission_notebook(ASSIGNMENT, ASSIGNMENT, "ada").grades
        expected = {
            handback.topic_of(grade.name)[0]: f"{grade.score or 0:g} of {grade.max_score:g}" for grade in grades
        }
    assert len(expected) == len(grades)
    assert {topic: points.split(" ", 1)[1] for topic, (points, _) in found.items()} == expected


def test_a_lost_point_has_its_sentence_and_its_lesson(ada):
    sentences = {cells[0]: cells[2] for cells in Rows(ada).rows if cells}
    assert sentences["1 · kl_per_image: values"] == "Passed."
    assert sentences["1 · the run bce: honest"] == handback.ON_TRUST
    lost = sentences["2 · the run mse: whole"]
    assert lost.startswith("runs/mse.safetensors: the loss did not fall")
    assert lost.endswith("Reread lesson 04 Convolutional VAE.")
    assert "a person" in sentences["4 · in words: the blur"]


def test_the_page_shows_no_test_and_loads_nothing(ada):
    for word in ("HIDDEN", "questions.check", "run_questions", "<script", "http:", "https:", "src="):
        assert word not in ada


def test_what_a_student_writes_is_text_on_the_page():
    hostile = handback.Line("x", "1 · x", 0, 1, "<script>alert(1)</script>", "02 KL divergence")
    assert "<script>alert" not in handback.page("<b>me</b>", [hostile])
    assert "&lt;b&gt;me" in handback.page("<b>me</b>", [hostile])
    assert handback._plain("\x1b[2J\u202eabc\x07") == "abc"
    assert len(handback._plain("y" * 10_000)) < 1_000


def test_every_question_of_the_assignment_has_a_topic_of_its_own(marked):
    root, *_ = marked
    with opened(root) as book:
        names = [cell.name for cell in book.find_notebook(ASSIGNMENT, ASSIGNMENT).grade_cells]
    assert len({handback.topic_of(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("student", "expected"),
    [
        ("ada", ["ada", "", "ada", "", "12.5"]),
        ("examplegrace_LATE_12_345", ["examplegrace", "12", "", "", "12.5"]),
        ("=HYPERLINK(1)", ["'=HYPERLINK(1)", "", "'=HYPERLINK(1)", "", "12.5"]),
    ],
)
def test_canvas_gets_its_number_or_the_login(student, expected):
    row = report.Marked(student, auto=10.5, auto_max=40, manual=2, manual_max=10)
    assert list(lms.SYSTEMS["canvas"].row(row)) == expected


def test_moodle_gets_the_participants_number():
    row = report.Marked("Ann Example_789", auto=10, auto_max=40, manual=2, manual_max=10, waiting=3)
    expected = ["Participant 789", "Ann Example", "12", "50", "3 answers in words wait for a person."]
    assert list(lms.SYSTEMS["moodle"].row(row)) == expected
    assert lms.SYSTEMS["moodle"].page_name("Ann Example_789") == "Ann Example_789_assignsubmission_file_/feedback.html"


def test_an_export_holds_everybody_with_marks_and_names_the_others(marked, ada, capsys):
    root, *_ = marked
    assert lms.main(["canvas", "--root", str(root)]) == 1
    assert "cut" in capsys.readouterr().err
    with (root / "export" / "canvas" / "grades.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["SIS Login ID"] for row in table] == ["ada", "copied", "renamed"]
    assert float(table[0]["Assignment 4"]) == CODE_POINTS + BCE_POINTS
    with zipfile.ZipFile(root / "export" / "canvas" / "feedback.zip") as zipped:
        assert zipped.namelist() == [f"{name}_assignment4.html" for name in ("ada", "copied", "renamed")]
        assert zipped.read("ada_assignment4.html").decode() == ada
