"""Lessons as HTML pages: JupyterLab's look, and every figure with the alt text that its notebook stores."""

from nbconvert import HTMLExporter
from nbformat import NotebookNode

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
    page, _ = HTMLExporter(raw_template=TEMPLATE).from_notebook_node(nb, {"metadata": {"name": name}})
    return page
