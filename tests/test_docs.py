"""The documents: statements lead to cells that are there, errata to cells that assert, pictures are current."""

import re
from pathlib import Path

import nbformat
import pytest

from tools import pictures

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\(\.\./notebooks/([^)#]+)#cell-id=([^)]+)\)")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def rows(name: str) -> list[str]:
    """Table rows of a document, without heads and rules."""
    lines = (ROOT / "docs" / name).read_text(encoding="utf-8").split("\n")
    return [line for line in lines if line.startswith("| ") and LINK.search(line)]


def cells() -> dict[tuple[str, str], nbformat.NotebookNode]:
    paths = (ROOT / "notebooks").glob("*.ipynb")
    return {(path.name, cell.id): cell for path in paths for cell in nbformat.read(path, as_version=4).cells}


@pytest.mark.parametrize("name", ["lectures.md", "errata.md"])
def test_every_row_leads_to_cells_that_are_there(name):
    known = cells()
    found = [link for row in rows(name) for link in LINK.findall(row)]
    assert found
    assert [link for link in found if link not in known] == []


def test_every_erratum_is_asserted_in_a_code_cell():
    known = cells()
    for row in rows("errata.md"):
        sources = [known[link].source for link in LINK.findall(row) if known[link].cell_type == "code"]
        assert any("assert" in source for source in sources), row


def test_every_check_of_the_lecture_is_listed():
    listed = {link for row in rows("lectures.md") for link in LINK.findall(row)}
    checks = {key for key, cell in cells().items() if "check-the-lecture" in cell.metadata.get("tags", [])}
    assert checks - listed == set()


def test_errata_are_the_statements_that_are_not_right():
    wrong = [row for row in rows("lectures.md") if re.search(r"\| (wrong|imprecise)\b", row)]
    assert len(wrong) == len(rows("errata.md"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_images_resolve_inside_the_repository(document):
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"src=\"([^\"]+)\"", text):
        if not target.startswith(("https://", "#")):
            assert (document.parent / target.split("#")[0]).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("lesson", pictures.CELLS)
def test_the_readme_pictures_are_the_stored_figures(lesson):
    stored = pictures.picture(ROOT / "notebooks" / f"{lesson}.ipynb", pictures.CELLS[lesson])
    assert (pictures.FOLDER / f"{lesson}.png").read_bytes() == stored
    assert f"docs/images/{lesson}.png" in (ROOT / "README.md").read_text()


def test_every_lesson_has_a_picture():
    assert sorted(pictures.CELLS) == sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
