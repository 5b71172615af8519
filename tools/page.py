"""Lessons as HTML pages: JupyterLab's look, every figure with its stored alt text, and nothing from the network."""

from nbconvert import HTMLExporter
from nbformat import NotebookNode

from tools.maths import EXPORT

TEMPLATE = """{%- extends 'lab/index.html.j2' -%}
{%- block data_png scoped -%}
{%- set alt = output | get_metadata('alt', 'image/png') -%}
{%- if alt -%}
{{ super() | replace('<img ', '<img alt="' ~ (alt | escape_html) ~ '" ', 1) }}
{%- else -%}
{{ super() }}
{%- endif -%}
{%- endblock -%}
"""  # nbconvert's own template for JupyterLab's look leaves the stored alt text out


def html(nb: NotebookNode, name: str) -> str:
    """The page of a notebook called `name`, as one document."""
    exporter = HTMLExporter(raw_template=TEMPLATE, require_js_url="", **EXPORT)
    page, _ = exporter.from_notebook_node(nb, {"metadata": {"name": name}})
    return page
