"""Formulas as MathML, so that a page shows them by itself: EXPORT is what nbconvert's HTMLExporter is told."""

import copy
import html
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, tostring

from jinja2 import pass_context
from jinja2.runtime import Context
from latex2mathml.converter import convert_to_element
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode

TEMPLATES = Path(__file__).resolve().parents[1] / "labconfig" / "templates"
ALPHABETS = {"script": "SCRIPT", "double-struck": "DOUBLE-STRUCK", "bold": "BOLD", "bold-italic": "BOLD ITALIC"}
OPERATORS = re.compile(r"\\(arg)(?![a-zA-Z])")  # what LaTeX knows and the converter does not
UNKNOWN = re.compile(r"\\[a-zA-Z]+")
ROOM = {"lspace": "0.1em", "rspace": "0.16em"}  # around log and exp, as LaTeX leaves it


def mathml(source: str, display: str = "inline") -> str:
    """A formula as a <math> element, "inline" or "block"; one that cannot be read stays as its source, in <code>."""
    try:
        tree = convert_to_element(OPERATORS.sub(r"\\operatorname{\1}", source), display=display)
        for element in tree.iter():
            _spell_out(element)
    except Exception:  # whatever the converter stumbles over, a page must not
        return f"<code>{html.escape(source)}</code>"
    return tostring(tree, encoding="unicode")


def _spell_out(element: Element) -> None:
    """Characters for references and for alphabets that browsers lack; room around log.  ValueError for a command."""
    element.text = html.unescape(element.text or "")
    if UNKNOWN.fullmatch(element.text):
        raise ValueError(f"{element.text} is no command that can be shown.")
    if element.tag == "mi" and len(element.text) > 1 and element.text.isalpha():
        element.tag = "mo"
        element.attrib |= ROOM
    alphabet = ALPHABETS.get(element.get("mathvariant", ""))
    if alphabet:
        del element.attrib["mathvariant"]
        element.text = "".join(_letter(character, alphabet) for character in element.text)


def _letter(character: str, alphabet: str) -> str:
    """`N` in that mathematical alphabet, `𝒩`; a character that it lacks stays as it is."""
    words = unicodedata.name(character, "").split()
    plain = " ".join(word for word in words if word not in ("LATIN", "GREEK", "LETTER"))
    for name in (f"MATHEMATICAL {alphabet} {plain}", f"{alphabet} {plain}"):
        with suppress(KeyError):
            return unicodedata.lookup(name)
    return character


class Renderer(IPythonRenderer):
    """Markdown to HTML with formulas as MathML."""

    def inline_math(self, body: str) -> str:
        """`$...$` in a line of text."""
        return mathml(body)

    def block_math(self, body: str) -> str:
        """`$$...$$` on lines of its own."""
        return mathml(body, "block")

    def latex_environment(self, name: str, body: str) -> str:
        """An environment such as align, without dollars around it."""
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block")


@pass_context
def markdown2html(context: Context, source: str) -> str:
    """nbconvert's filter of this name."""
    attachments = context.get("cell", {}).get("attachments", {})
    return MarkdownWithMath(renderer=Renderer(escape=False, attachments=attachments)).render(source)


class LatexOutputs(Preprocessor):
    """Values that know how to write themselves in LaTeX, as SymPy's do, are shown as formulas."""

    enabled = True

    def preprocess_cell(self, cell: NotebookNode, resources: dict[str, Any], index: int) -> tuple[NotebookNode, dict]:
        """The cell, with HTML in the place of LaTeX."""
        cell = copy.deepcopy(cell)
        for data in _with_latex(cell):
            data["text/html"] = mathml(data.pop("text/latex").strip("$ \n"), "block")
        return cell, resources


def _with_latex(cell: NotebookNode) -> Iterator[dict[str, str]]:
    return (output.data for output in cell.get("outputs", []) if "text/latex" in output.get("data", {}))


EXPORT = {
    "filters": {"markdown2html": markdown2html},
    "preprocessors": [LatexOutputs],
    "extra_template_basedirs": [str(TEMPLATES)],
}
