"""The bank: every submission gets what it should, and nobody else is touched. `make test-grading` runs all of it."""

import copy
import hashlib
import json
import logging
import os
import time
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell
from nbgrader.utils import determine_grade

from course_utils.assignment.plan import ASSIGNMENT, NOTEBOOK
from grading import guest, student
from grading.marking import MARKING, SOURCE, marked, result_of
from tests.bank import BUNDLED, Course, answers, grade_id, sandboxed
from tests.bank_cases import HOSTILE, KILLERS, ODD, dealt_cases
from tools.normal_form import read, write

GROUPS = dealt_cases()
ALL = os.environ.get("COURSE_BANK") == "all"
FAST = (0, len(GROUPS) - 1)  # of the groups: what looks around, and what kills
SOURCES = {grade_id(cell): cell for cell in read(SOURCE).cells if grade_id(cell).startswith("test-")}
WITHOUT_RUNS = {name for name in SOURCES if name.startswith("test-run") or name == "test-comparison"}


pytestmark = pytest.mark.skipif(not sandboxed(), reason="bubblewrap does not work here")


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Course:
    """A course in which ann, who answered everything, and bob, who answered nothing, are marked already."""
    made = Course(tmp_path_factory.mktemp("bank"))
    for name, replies in (("ann", answers()), ("bob", {})):
        hand_in(made, name, made.submission(replies))
        with BUNDLED():
            marked(made.root, name, confined=True)
    return made


@pytest.fixture(autouse=True)
def untouched(course):
    before = digest(course.root)
    yield
    assert digest(course.root) == before, "somebody else's files were changed"
    deadline = time.monotonic() + 20
    while left_behind() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left_behind() == [], "processes of a submission go on"


def digest(root: Path) -> str:
    """All files of the bystanders, and the gradebook."""
    places = [
        root / "gradebook.db",
        *(root / part / name for part in ("submitted", MARKING) for name in ("ann", "bob")),
    ]
    files = [path for place in places for path in ([place] if place.is_file() else sorted(place.rglob("*")))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files if path.is_file())).hexdigest()


def left_behind() -> list[str]:
    """Processes that serve a student's code, or were started by it, under this process or handed on to the first."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "environ").read_bytes()
        except OSError:
            continue
        command, mine = (folder / "cmdline").read_bytes(), f"{guest.OWNER}={os.getpid()}\0".encode() in words
        if mine and command and not (b"grading.parent" in command and depth(folder) <= 2):
            found.append(folder.name)
    return found


def depth(process: Path) -> int:
    """In how many namespaces a process has a number: 2 in the sandbox of the parent that stands by, 3 in a session."""
    return len((process / "status").read_text().split("NSpid:")[1].splitlines()[0].split())


def hand_in(course: Course, name: str, notebook) -> Path:
    folder = course.root / "submitted" / name / ASSIGNMENT
    folder.mkdir(parents=True)
    write(notebook, folder / NOTEBOOK)
    return folder


def lost(course: Course, name: str) -> dict[str, float]:
    """Points that nbgrader takes away for what marking recorded, by test; without those of the runs."""
    with BUNDLED():
        result = marked(course.root, name, confined=True)
    assert not result.refused, result.refused
    found = {}
    for test, cell in SOURCES.items():
        recorded = copy.deepcopy(cell)
        recorded.outputs = [copy_of(output) for output in result.outputs[test]]
        score, most = determine_grade(recorded, logging.getLogger())
        if test not in WITHOUT_RUNS and score != most:
            found[test] = most - (score or 0)
    return found


def copy_of(output: dict):
    from nbformat import from_dict

    return from_dict(output)


def said(course: Course, name: str) -> str:
    return json.dumps(result_of(course.root, name).outputs)


def test_the_bank_is_as_large_as_it_says():
    assert sum(map(len, GROUPS)) == len(HOSTILE) + len(KILLERS) + len(ODD) >= 60


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(k, marks=pytest.mark.skipif(not ALL and k not in FAST, reason="make test-grading"))
        for k in range(len(GROUPS))
    ],
)
def test_each_answer_gets_what_it_should_and_costs_no_other(course, monkeypatch, number):
    monkeypatch.setattr(student, "CALL_SECONDS", 10)
    monkeypatch.setattr(student, "MAX_STARTS", 40)
    group = GROUPS[number]
    replies = answers() | {case.question: case.source for case in group}
    name = f"group-{number}"
    hand_in(course, name, course.submission(replies))
    expected = {test: points for case in group for test, points in case.lost.items()}
    assert lost(course, name) == expected, {case.question: case.name for case in group}
    text = said(course, name)
    assert "\\u001b" not in text and "text/html" not in text and len(text) < 2_000_000


UNPAID = {  # cells in front of everything, in a notebook without answers
    "tests and hooks": """
import builtins, sys
get_ipython().input_transformers_post.append(lambda lines: ["pass\\n"])
get_ipython().input_transformers_cleanup.append(lambda lines: ["print('Passed.')\\n"])
sys.displayhook = builtins.print = lambda *a, **k: None
""",
    "modules": """
import sys, types
import course_utils.assignment.answers as answers
answers.check = answers.check_that = answers.answer_of = lambda *a, **k: "Passed."
for name in ("numpy", "torch", "course_utils.assignment.questions", "course_utils.assignment.run_questions"):
    sys.modules[name] = types.ModuleType(name)
""",
    "answers that are not functions": """
class Everything:
    def __call__(self, *a, **k): return self
    def __eq__(self, other): return True
    def __getattr__(self, name): return self
    def __iter__(self): return iter([self, self, self])
everything = Everything()
import builtins
builtins.Unanswered = everything
""",
    "hooks of the session": """
ip = get_ipython()
ip.displayhook = ip.display_pub = None
ip.set_custom_exc((Exception,), lambda *a, **k: None)
""",
    "builtins": "import builtins\nbuiltins.abs = builtins.len = builtins.type = lambda *a: 0",
    "tags": "",
}


@pytest.mark.parametrize("name", UNPAID if ALL else list(UNPAID)[:2])
def test_a_notebook_without_answers_gets_nothing(course, name):
    notebook = course.submission({})
    for cell in notebook.cells:
        cell.metadata["tags"] = ["skip-execution", "raises-exception"]
    notebook.cells.insert(0, new_code_cell(UNPAID[name]))
    notebook.cells.insert(5, new_code_cell(UNPAID[name]))
    hand_in(course, f"unpaid-{name}", notebook)
    assert set(lost(course, f"unpaid-{name}")) == SOURCES.keys() - WITHOUT_RUNS


HONEST_CELLS = (
    *("1 / 0", "%matplotlib inline\nplt.plot([1, 2]);", "!ls", "%%time\nsum(range(10))", "import os\nos.chdir('/')"),
    *("def broken(:", "import asyncio\nawait asyncio.sleep(0)", "input('name? ')", "# nothing", "%whos", "?print"),
    *("raise SystemExit", "load = outputs = questions_of_mine = None", "import logging\nlogging.error('!')"),
    *("from tqdm.auto import tqdm\nfor _ in tqdm(range(3)): pass", "display({'a': 1})", "exit"),
)


def test_cells_of_ones_own_cost_nothing(course):
    notebook = course.submission(answers())
    for k, source in enumerate(HONEST_CELLS):
        notebook.cells.insert(5 + 3 * k, new_code_cell(source))
    hand_in(course, "own-cells", notebook)
    assert lost(course, "own-cells") == {}


def test_a_cell_that_hangs_or_dies_costs_nothing_else(course, monkeypatch):
    monkeypatch.setattr(student, "CELL_SECONDS", 20)
    notebook = course.submission(answers())
    stubborn = "import signal\nsignal.alarm(0)\nwhile True: pass"
    for place, source in ((40, "while True: pass"), (20, stubborn), (12, "import os\nos._exit(3)")):
        notebook.cells.insert(place, new_code_cell(source))
    hand_in(course, "dies", notebook)
    assert lost(course, "dies") == {}
    text = said(course, "dies")
    assert (
        "it took longer than 16 s" in text
        and "took longer than 20 s and was stopped" in text
        and "ended the process" in text
    )


def test_a_session_that_never_starts_is_refused_with_a_reason(course, monkeypatch):
    monkeypatch.setattr(student, "START_SECONDS", 0.01)
    hand_in(course, "late", course.submission(answers()))
    with BUNDLED():
        assert "did not start" in marked(course.root, "late", confined=True).refused
