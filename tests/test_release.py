"""The release: in step with its source, and silent about every answer and hidden test."""

import ast
import json
import re
from collections import Counter

import pytest

from course_utils.assignment.plan import NOTEBOOK
from grading import release
from grading.course import CHECKOUT, MarkingFailed
from tests.bank import answers, grade_id, source
from tools.cell_weight import cells, over_budget
from tools.normal_form import problems, read

RELEASED = CHECKOUT / "assignments" / "assignment4"
POINTS = {"code": 40, "markdown": 10}
HIDDEN = re.compile(r"### BEGIN HIDDEN TESTS\n(.*?)\n### END HIDDEN TESTS", re.DOTALL)


def nbgrader_cells(notebook):
    return {grade_id(cell): cell for cell in notebook.cells if grade_id(cell)}


def test_the_release_is_in_step_with_its_source(tmp_path):
    made = release.generate(tmp_path / "made")
    for name in (NOTEBOOK, release.CELLS):
        assert (made / name).read_text() == (RELEASED / name).read_text(), f"{name}: run `make release`"
    assert {path.name for path in RELEASED.iterdir() if not path.name.startswith(".")} >= {NOTEBOOK, release.CELLS}


def test_no_line_of_an_answer_is_released():
    """A line counts as given away if it stands where the answer stood; what a task's text shows is no secret."""
    cells = nbgrader_cells(read(RELEASED / NOTEBOOK))
    for name, solution in answers().items():
        kept = {line.strip() for line in cells[name].source.splitlines()}
        marked = re.search(
            r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", nbgrader_cells(source())[name].source, re.DOTALL
        )
        lost = {line.strip() for line in marked.group(1).splitlines()}
        assert lost and not lost & kept, name
        assert solution.splitlines()[0] in cells[name].source or cells[name].cell_type == "markdown"


def test_signatures_and_docstrings_survive_around_a_friendly_stub():
    for cell in nbgrader_cells(read(RELEASED / NOTEBOOK)).values():
        if cell.metadata.nbgrader.solution and cell.cell_type == "code":
            assert re.fullmatch(r'def \w+\(.*\):\n    """.*"""\n    raise Unanswered\(\)', cell.source), cell.source
        elif cell.metadata.nbgrader.solution:
            assert cell.source == "Your answer here."


def test_no_hidden_test_is_released():
    text = (RELEASED / NOTEBOOK).read_text()
    assert "HIDDEN" not in text and "SOLUTION" not in text
    cells = nbgrader_cells(read(RELEASED / NOTEBOOK))
    hidden = {name: HIDDEN.findall(cell.source) for name, cell in nbgrader_cells(source()).items()}
    assert sum(map(bool, hidden.values())) >= 15
    for name, parts in hidden.items():
        visible = HIDDEN.sub("", nbgrader_cells(source())[name].source)
        lines = {line for part in parts for line in part.splitlines()} - set(visible.splitlines())
        assert not lines & set(cells[name].source.splitlines()), name


def test_nothing_else_gives_an_answer_away():
    for cell in read(RELEASED / NOTEBOOK).cells:
        assert set(cell.metadata) <= {"nbgrader", "deletable", "editable", "jupyter"}
        assert not cell.get("outputs")
    listed = json.loads((RELEASED / release.CELLS).read_text())
    assert {key for entry in listed.values() for key in entry} <= {"kind", "type", "points", "heading", "checksum"}


def test_the_points_are_forty_by_program_and_ten_by_a_reader():
    points = dict.fromkeys(POINTS, 0)
    for cell in nbgrader_cells(source()).values():
        points[cell.cell_type] += cell.metadata.nbgrader.get("points", 0)
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", grade_id(cell))
    assert points == POINTS


def test_the_table_of_points_is_that_of_the_cells():
    table = next(cell.source for cell in source().cells if cell.id == "how-it-is-marked")
    rows = {
        int(row[0]): [int(value or 0) for value in row[1:]]
        for row in re.findall(r"\| (\d) ·.*\| (\d*) \| (\d*) ?\|", table)
    }
    found, task = {}, 0
    for cell in source().cells:
        task = int(cell.id[5:]) if re.fullmatch(r"task-\d", cell.id) else task
        entry = found.setdefault(task, [0, 0])
        entry[cell.cell_type == "markdown"] += cell.metadata.get("nbgrader", {}).get("points", 0)
    assert rows == {task: points for task, points in found.items() if task}


def test_tests_can_be_run_by_a_later_judge():
    """No magics in given cells; a test only calls the course's questions with the student's functions and numbers."""
    asked = {grade_id(cell): cell.source for cell in source().cells if cell.metadata.get("nbgrader", {}).get("locked")}
    assert not [name for name, text in asked.items() if re.search(r"(?m)^\s*[%!]", text)]
    answered = {name.replace("-", "_") for name in answers()}
    for name in (name for name in asked if name.startswith("test-")):
        tree = ast.parse(asked[name])
        loaded = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert loaded <= answered | {"print", "questions", "run_questions"}, (name, loaded)
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom | ast.Assign)]
        assert len(tree.body) <= 3, name
    released = nbgrader_cells(read(RELEASED / NOTEBOOK))
    assert max(len(cell.source.splitlines()) for name, cell in released.items() if name.startswith("test-")) <= 3


def test_the_release_reads_as_an_assignment():
    """Light as the lessons are, mostly prose, and with fewer lines of tests than of given code and answers."""
    released = read(RELEASED / NOTEBOOK)
    assert over_budget(cells(released)) == []
    length = {kind: sum(len(cell.source) for cell in released.cells if cell.cell_type == kind) for kind in POINTS}
    assert 0.4 < length["markdown"] / sum(length.values()) < 0.7
    lines = Counter()
    for cell in released.cells:
        meta = cell.metadata.get("nbgrader", {})
        kind = "answer" if meta.get("solution") else "test" if "test-" in grade_id(cell) else "given"
        lines[kind] += sum(map(bool, cell.source.splitlines())) * (cell.cell_type == "code")
    assert lines["test"] < 0.3 * lines.total(), lines


def test_an_answer_defines_the_function_that_its_cell_is_called_after():
    for name, source_text in answers().items():
        if not name.startswith(("conclusion", "blur")):
            assert source_text.startswith(f"def {name.replace('-', '_')}("), name


def test_the_source_and_the_release_are_in_normal_form():
    for folder in (CHECKOUT / "solutions" / "assignment4", RELEASED):
        assert problems(read(folder / NOTEBOOK), folder / NOTEBOOK) == []


def test_a_release_that_fails_leaves_the_old_one(monkeypatch, tmp_path, capsys):
    def refuse(result):
        raise MarkingFailed("a cell has no grade_id")

    old = tmp_path / "assignments" / "assignment4"
    old.mkdir(parents=True)
    (old / "kept.txt").write_text("old")
    (tmp_path / "solutions").symlink_to(CHECKOUT / "solutions")
    monkeypatch.setattr(release, "CHECKOUT", tmp_path)
    monkeypatch.setattr(release, "succeed", refuse)
    assert release.main() == 1
    assert "The old release stays" in capsys.readouterr().err
    assert (old / "kept.txt").read_text() == "old"
    assert [path.name for path in old.parent.iterdir()] == ["assignment4"]


@pytest.mark.filterwarnings("ignore:Object of type <")
def test_a_new_release_takes_the_place_of_the_old_one(monkeypatch, tmp_path, capsys):
    old = tmp_path / "assignments" / "assignment4"
    old.mkdir(parents=True)
    (old / "gone.txt").write_text("old")
    (tmp_path / "solutions").symlink_to(CHECKOUT / "solutions")
    monkeypatch.setattr(release, "CHECKOUT", tmp_path)
    assert release.main() == 0
    assert sorted(path.name for path in old.iterdir()) == [NOTEBOOK, release.CELLS]
    assert (tmp_path / "gradebook.db").exists()
    assert [path.name for path in old.parent.iterdir()] == ["assignment4"]
