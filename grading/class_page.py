"""The class on one page: report.html, which needs no network, executes nothing and can be read on a telephone.

Whether a person is needed and for what; for each question how many got how much; which mistake is how common; how long
marking took; everybody's marks.
"""

import ast
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import mean, median
from textwrap import shorten
from typing import Any, NamedTuple

from jinja2 import Environment

from course_utils.assignment.answers import PASSED
from course_utils.assignment.plan import ASSIGNMENT
from course_utils.files import atomic_path
from grading.course import CHECKOUT
from grading.handback import question_of
from grading.report import TO_LOOK_AT, UNGRADABLE, UNSAFE, Marked, Seen, verdict

TEMPLATE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    (Path(__file__).parent / "class_page.html").read_text("utf-8")
)
CHECKS = CHECKOUT / "course_utils" / "assignment"
COLUMN = 5  # points that share a column of the histogram of all marks
MAX_SENTENCE = 200  # characters of a reason for lost points
PIECE = re.compile(r"(?:\S+ +){3}\S+|\S+ .*\.$")  # of a check's own words: four of them, or the end of a sentence
UNANSWERED = "Not answered yet"
ABOUT = re.compile(r"^[^:]{1,80}: (?:Not yet: )?|^Not yet: ")  # the function or file that a sentence is about
SHAPE_TOLD = re.compile(r": expected shape [^;]*$")
SHAPES = re.compile(r"^(?:Wrong shape: )?expected shape [^;]*?, got \([\d, ]*\)\. (?=\S)")
RAISED = re.compile(r"^[^:]{1,80} raised (\w+)\b.*", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:[\d,]*\.\d+)?(?:e[+-]?\d+)?%?")


class Bar(NamedTuple):
    """So many students had so many points; `share` of the most frequent number."""

    points: str
    count: int
    share: float


class Question(NamedTuple):
    """What the class got for one question."""

    topic: str
    of: float
    mean: float  # as a share
    bars: list[Bar]


class Mistake(NamedTuple):
    """A reason for lost points in a question, how many students met it, and which lesson helps."""

    topic: str
    sentence: str
    count: int
    share: float  # of those who were marked
    lesson: str


def write(path: Path, seen: Seen) -> None:
    """Write the page to `path`, whole or not at all."""
    with atomic_path(path) as scratch:
        scratch.write_text(page(seen), encoding="utf-8")


def page(seen: Seen) -> str:
    """The whole page as HTML; nothing that a student wrote is more than text in it."""
    marked = [row for row in seen.marked if not row.failed]
    named, other = mistakes(marked)
    tasks = _tasks(marked)
    return TEMPLATE.render(
        assignment=ASSIGNMENT,
        unsafe=UNSAFE if seen.unsafe else "",
        verdict=verdict(seen),
        shared=seen.shared,
        remarks=[(row.student, remark) for row in seen.marked for remark in row.told(UNGRADABLE, *TO_LOOK_AT)],
        tasks=tasks,
        rows=[_row(row, tasks) for row in seen.marked],
        totals=_totals(marked),
        questions=by_question(marked),
        named=named,
        other=other,
        times=times(marked),
    )


# The students


def _tasks(marked: Sequence[Marked]) -> list[str]:
    """The tasks by the first word of their questions: 1, 2, 3, 4."""
    return sorted({question_of(name)[0].split()[0] for name in (marked[0].scores if marked else ())})


def _row(row: Marked, tasks: Sequence[str]) -> dict[str, Any]:
    """What the table of students shows of one."""
    points: dict[str, list[float]] = {task: [0.0, 0.0] for task in tasks}
    for name, (got, of) in row.scores.items():
        task = points[question_of(name)[0].split()[0]]
        task[0], task[1] = task[0] + (got or 0.0), task[1] + of
    return {"is": row, "points": points}


# The questions


def by_question(marked: Sequence[Marked]) -> list[Question]:
    """Every question in the notebook's order, with the points of all its tests together."""
    tests: dict[str, list[str]] = {}
    for name in marked[0].scores if marked else ():
        tests.setdefault(question_of(name)[0], []).append(name)
    found = []
    for topic, names in sorted(tests.items(), key=lambda item: item[0].split()[0]):
        of = sum(marked[0].scores[name][1] for name in names)
        got = [sum(row.scores[name][0] or 0.0 for name in names) for row in marked]
        found.append(Question(topic, of, mean(got) / of, histogram(got, of)))
    return found


def histogram(got: Sequence[float], of: float) -> list[Bar]:
    """How many had 0, 1, 2, … points, up to all of them; and parts of points where somebody had them."""
    counts = Counter(got)
    return _bars({f"{points:g}": counts[points] for points in sorted({*range(int(of) + 1), of, *counts})})


def _totals(marked: Sequence[Marked]) -> list[Bar]:
    """How many had so many points by the program, COLUMN of them in a column, full marks in one of their own."""
    counts = Counter(int(row.auto // COLUMN) for row in marked)
    last = int(max((row.auto_max for row in marked), default=0) // COLUMN)
    columns = [f"{COLUMN * k}–{COLUMN * (k + 1) - 1}" for k in range(last)] + [f"{COLUMN * last}"]
    return _bars({points: counts[k] for k, points in enumerate(columns)})


def _bars(counts: Mapping[str, int]) -> list[Bar]:
    most = max(counts.values(), default=0) or 1
    return [Bar(points, count, count / most) for points, count in counts.items()]


# The mistakes


def mistakes(marked: Sequence[Marked]) -> tuple[list[Mistake], list[Mistake]]:
    """The mistakes that a check names, and all other reasons for lost points, each with the most common first."""
    met = Counter(pair for row in marked for pair in {_met(name, told) for name, told in row.sentences.items()})
    found = [
        Mistake(question[0], sentence, count, count / len(marked), question[1])
        for (question, sentence), count in met.most_common()
        if sentence != PASSED  # a person lowered that mark
    ]
    return [one for one in found if is_named(one.sentence)], [one for one in found if not is_named(one.sentence)]


def _met(name: str, told: str) -> tuple[tuple[str, str], str]:
    return question_of(name), reason(told)


def reason(told: str) -> str:
    """A test's sentence without what differs from one student to the next: numbers, shapes, an error's own words."""
    if told.startswith(UNANSWERED):
        return UNANSWERED
    if RAISED.match(told):
        return RAISED.sub(r"raised \1", told)
    bare = SHAPE_TOLD.sub(".", SHAPES.sub("", ABOUT.sub("", told, count=1)))
    if not is_named(bare):
        bare = NUMBER.sub("…", bare)
    return shorten(bare[:1].upper() + bare[1:], MAX_SENTENCE, placeholder=" …")


def is_named(sentence: str) -> bool:
    """Whether it holds words with which a check names a mistake."""
    return any(words in sentence for words in _names())


@cache
def _names() -> frozenset[str]:
    """The words that stand in the checks' own sources, which are read and not imported: they bring networks along."""
    trees = [ast.parse((CHECKS / f"{name}.py").read_text("utf-8")) for name in ("truths", "questions", "answers")]
    words = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return frozenset(text for text in words if isinstance(text, str) and PIECE.search(text))


# Time


def times(marked: Sequence[Marked]) -> str:
    """One sentence: how long a submission took."""
    if not marked:
        return ""
    slowest = max(marked, key=lambda row: row.seconds)
    middle = median(row.seconds for row in marked)
    return f"A submission took {middle:.1f} s (median); the slowest, {slowest.student}, {slowest.seconds:.1f} s."
