"""Formulas are shown by the page itself: no lesson, feedback page or marking page fetches a script from elsewhere."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbgrader.converters import GenerateFeedback
from nbgrader.coursedir import CourseDirectory

from grading.course import configuration
from tools.maths import TEMPLATES, mathml
from tools.normal_form import ROOT, read
from tools.page import html

NOTEBOOKS = sorted([*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("assignments/*/*.ipynb")])
FETCHED = re.compile(r"<(?:script|img|iframe|link)[^>]*(?:src|href)=\"(?:https?:)?//[^\"]+\"")
SYMBOLIC = new_output("execute_result", {"text/latex": r"$\displaystyle \frac{\mu^{2}}{2}$", "text/plain": "mu**2/2"})


def notebook() -> NotebookNode:
    cells = [
        new_markdown_cell(r"Let $z \sim \mathcal N(\mu, \sigma^2)$ and $$\sum_k z_k < 1.$$"),
        new_code_cell("mu**2 / 2", outputs=[SYMBOLIC]),
    ]
    return new_notebook(cells=cells)


def formulas(path: Path) -> list[str]:
    """Every formula of a notebook's prose, as nbconvert finds them."""
    found = []

    class Collector(IPythonRenderer):
        def inline_math(self, body: str) -> str:
            return found.append(body) or ""

        block_math = inline_math

        def latex_environment(self, name: str, body: str) -> str:
            return found.append(f"\\begin{{{name}}}{body}\\end{{{name}}}") or ""

    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            MarkdownWithMath(renderer=Collector(escape=False)).render(cell.source)
    return found


def words(source: str) -> str:
    return "".join(ElementTree.fromstring(mathml(source)).itertext())


def test_a_formula_is_a_tree_of_what_it_says():
    tree = ElementTree.fromstring(mathml(r"\frac{\sigma^2}{2}", "block"))
    name = "{http://www.w3.org/1998/Math/MathML}%s"
    assert tree.get("display") == "block"
    [fraction] = tree.iter(name % "mfrac")
    assert ["".join(part.itertext()) for part in fraction] == ["σ2", "2"]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (r"\mathcal N(\mu, 1)", "𝒩(μ,1)"),
        (r"\mathcal L \mathbb E \mathbb R^d", "ℒ𝔼ℝd"),
        (r"\mathbf{x}_1 \boldsymbol{\mu}", "𝐱1𝝁"),
        (r"\arg\max_k p_k", "argmaxkpk"),
        (r"\text{a < b}", "a\u00a0<\u00a0b"),
    ],
)
def test_letters_are_those_that_browsers_know(source, shown):
    assert words(source) == shown


@pytest.mark.parametrize("source", [r"\nosuch x", r"\left( x", r"x^2^2", "x_"])
def test_what_cannot_be_read_stays_as_it_was_written(source):
    assert mathml(source) == f"<code>{source}</code>"


def test_nothing_in_a_formula_becomes_markup():
    for source in (r"\text{<script>alert(1)</script>}", r"\nosuch{<script>alert(1)</script>}"):
        assert "<script" not in mathml(source)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_formula_of_the_course_is_shown(path):
    assert [source for source in formulas(path) if "<code>" in mathml(source)] == []


def test_a_page_shows_prose_and_values_as_formulas_and_fetches_nothing():
    page = html(notebook(), "formulas")
    assert page.count("<math") == 3 and "𝒩" in page
    assert "\\mathcal" not in page and "\\frac" not in page
    assert "mathjax/" not in page.lower() and not FETCHED.search(page)


@pytest.mark.parametrize("template", ["feedback", "formgrade"])
def test_the_pages_of_nbgrader_show_formulas_and_fetch_no_mathjax(template, tmp_path):
    config = configuration(tmp_path)
    config.HTMLExporter.template_name = template
    config = GenerateFeedback(CourseDirectory(config=config), config=config).config  # adds where its styles are
    nb = notebook()
    for cell in nb.cells:
        cell.metadata.nbgrader = {"grade": False, "solution": False}
    names = dict.fromkeys(("notebook", "student", "assignment", "submission_id", "base_url"), "a")
    numbers = dict.fromkeys(("index", "total", "score", "max_score", "late_penalty"), 0)
    facts = names | numbers | {"tests": {}, "comments": {}}
    page = HTMLExporter(config=config).from_notebook_node(nb, {"nbgrader": facts} | facts)[0]
    assert page.count("<math") == 3
    assert "mathjax/" not in page.lower()
    assert TEMPLATES.joinpath("base", "mathjax.html.j2").read_text(encoding="utf-8").count("window.MathJax") == 1
    assert "window.MathJax" in page  # formgrader's script asks it to say when it is done
