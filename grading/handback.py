"""What students get back: `make feedback` writes feedback/STUDENT/assignment4/feedback.html.

One page a student: a table of question, points and sentence. No test source stands in it, nothing of the student's is
executed in it, and it needs no network.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
from jinja2 import Environment
from nbformat import NotebookNode
from nbgrader.api import BaseCell, Grade, Gradebook, MissingEntry, SubmittedNotebook

from course_utils.assignment.plan import ASSIGNMENT, NOTEBOOK, UNVERIFIED
from course_utils.files import atomic_path
from grading.course import CHECKOUT, configuration, students
from grading.guest import clean
from grading.hindrance import explained

PAGE = "feedback.html"
MAX_SENTENCE = 600
NO_ANSWER = "The test left no word: it did not run, or what it said was lost. Ask, if that surprises you."
ON_TRUST = "The images of this run are not on the marking machine; the points are given on trust."
WAITING = "Read by a person; no mark yet."
TEMPLATE = Environment(autoescape=True).from_string((Path(__file__).parent / "handback.html").read_text("utf-8"))
# The start of a test's name -> what it asks about, and the lesson that teaches it.
TOPICS = {
    "test-sample": ("1 · sample_latent", "01 Reparameterization"),
    "test-kl": ("1 · kl_per_image", "02 KL divergence"),
    "test-bce-objective": ("1 · bce_objective", "03 ELBO"),
    "test-bce": ("1 · bce_per_image", "02 KL divergence"),
    "test-run-bce": ("1 · the run bce", "04 Convolutional VAE"),
    "test-sse": ("2 · sse_per_image", "02 KL divergence"),
    "test-gaussian-nll": ("2 · gaussian_nll_per_image", "02 KL divergence"),
    "test-variance": ("2 · variance_of_mse", "02 KL divergence"),
    "test-gaussian-objective": ("2 · gaussian_objective", "03 ELBO"),
    "test-run-mse": ("2 · the run mse", "04 Convolutional VAE"),
    "test-common-measures": ("2 · common_measures", "04 Convolutional VAE"),
    "test-active-units": ("2 · common_measures: active units", "04 Convolutional VAE"),
    "test-combined": ("3 · combined_objective", "02 KL divergence"),
    "test-beta": ("3 · beta_of_plain_sum", "02 KL divergence"),
    "test-run-combined": ("3 · the run combined", "04 Convolutional VAE"),
    "test-comparison": ("3 · comparison", "04 Convolutional VAE"),
    "test-model-input": ("4 · to_model_input", "04 Convolutional VAE"),
    "test-flat": ("4 · flat_features", "04 Convolutional VAE"),
    "test-cifar": ("4 · cifar_arguments", "04 Convolutional VAE"),
    "test-run-cifar": ("4 · the run cifar10", "04 Convolutional VAE"),
    "test-power": ("4 · power_spectrum", "06 Smile arithmetic"),
    "conclusion-sum": ("3 · in words: the mixture", "02 KL divergence"),
    "conclusion-samples": ("3 · in words: the samples", "04 Convolutional VAE"),
    "blur": ("4 · in words: the blur", "06 Smile arithmetic"),
}


@dataclass(frozen=True)
class Line:
    """One question: what it asked, points of how many, what was said, and where to reread."""

    name: str
    topic: str
    points: float
    of: float
    sentence: str
    lesson: str

    @property
    def full(self) -> bool:
        return self.points >= self.of


def lines(gradebook: Gradebook, root: Path, student: str) -> list[Line]:
    """Every question of a marked submission, in the notebook's order.  MissingEntry where there is none."""
    submitted = gradebook.find_submission_notebook(ASSIGNMENT, ASSIGNMENT, student)
    marked = nbformat.read(root / "autograded" / student / ASSIGNMENT / NOTEBOOK, as_version=4)
    cells = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in marked.cells}
    order = [cell.name for cell in gradebook.find_notebook(ASSIGNMENT, ASSIGNMENT).source_cells]
    comments = _comments(submitted)
    grades = sorted(submitted.grades, key=lambda grade: order.index(grade.name))
    return [_line(grade, grade.cell, cells.get(grade.name), comments.get(grade.name, "")) for grade in grades]


def _comments(submitted: SubmittedNotebook) -> dict[str, str]:
    return {comment.name: comment.comment or "" for comment in submitted.comments}


def _line(grade: Grade, asked: BaseCell, cell: NotebookNode | None, comment: str) -> Line:
    topic, lesson = topic_of(grade.name)
    told = said(cell) if asked.cell_type == "code" else WAITING if grade.needs_manual_grade else ""
    return Line(grade.name, topic, grade.score or 0.0, grade.max_score, _plain(f"{told} {comment}".strip()), lesson)


def topic_of(name: str) -> tuple[str, str]:
    """What a question asks about and the lesson that teaches it, by the longest known start of its name."""
    topic, lesson = question_of(name)
    rest = name.removeprefix(_start(name)).strip("-").replace("-", " ")
    return (f"{topic}: {rest}" if rest else topic), lesson


def question_of(name: str) -> tuple[str, str]:
    """The question that a test belongs to, perhaps with others, and the lesson that teaches it."""
    return TOPICS[_start(name)]


def _start(name: str) -> str:
    return max((start for start in TOPICS if name.startswith(start)), key=len)


def said(cell: NotebookNode | None) -> str:
    """The sentence with which a test stopped, or else the last line that it printed."""
    outputs = [] if cell is None else cell.get("outputs", [])
    errors = [output for output in outputs if output.output_type == "error"]
    if errors:
        known = errors[-1].ename in ("CheckFailed", "Unanswered")
        return errors[-1].evalue if known else f"{errors[-1].ename}: {errors[-1].evalue}"
    printed = "".join(output.text for output in outputs if output.get("name") == "stdout").strip()
    last = printed.splitlines()[-1] if printed else NO_ANSWER
    return ON_TRUST if last.startswith(UNVERIFIED) else last


def _plain(text: str) -> str:
    """As `clean` gives it, and cut where it is too long to read."""
    plain = clean(text)
    return plain if len(plain) <= MAX_SENTENCE else f"{plain[:MAX_SENTENCE]} …"


def page(student: str, asked: Sequence[Line]) -> str:
    """The whole HTML page."""
    points, of = sum(line.points for line in asked), sum(line.of for line in asked)
    return TEMPLATE.render(student=student, lines=asked, points=f"{points:g}", of=f"{of:g}")


def write_pages(root: Path, names: Sequence[str]) -> dict[str, Path]:
    """Write these students' pages; student -> path for everybody who has been marked."""
    config, written = configuration(root), {}
    with Gradebook(config.CourseDirectory.db_url, config.CourseDirectory.course_id) as gradebook:
        for name in names:
            try:
                text = page(name, lines(gradebook, root, name))
            except (MissingEntry, FileNotFoundError):
                continue
            written[name] = root / "feedback" / name / ASSIGNMENT / PAGE
            with atomic_path(written[name]) as scratch:
                scratch.write_text(text, encoding="utf-8")
    return written


def main(argv: Sequence[str] | None = None) -> int:
    """Write everybody's page and say who has none."""
    parser = argparse.ArgumentParser(prog="python -m grading.handback", description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, default=CHECKOUT, help="the course's folder (default: the checkout)")
    root = parser.parse_args(argv).root.resolve()
    names = students(root)
    written = write_pages(root, names)
    print(f"{len(written)} pages in {root / 'feedback'}/STUDENT/{ASSIGNMENT}/{PAGE}.")
    without = [name for name in names if name not in written]
    if without:
        print(f"Not marked, so without a page: {', '.join(without)}. `make grade` says why.", file=sys.stderr)
    return int(bool(without))


if __name__ == "__main__":
    sys.exit(explained(main))
