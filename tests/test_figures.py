"""Figures: one resolution, readable text, and alt text that is stored with them and stands on the page."""

import ast
import re
from html import unescape
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from course_utils import plotting
from tools.page import html

ROOT = Path(__file__).parents[1]
# lessons whose every figure is held to this, by number: add yours once it is
HELD = ("01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12")
LESSONS = [path for number in HELD for path in (ROOT / "notebooks").glob(f"{number}_*.ipynb")]
each_held_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEANl9ngAAAAABJRU5ErkJggg=="
MIN_WORDS = 12  # a title and what is seen take no fewer


def figures(nb) -> list[tuple[str, str]]:
    """(cell, alt text) of every stored picture."""
    outputs = [(cell.id, output) for cell in nb.cells for output in cell.get("outputs", [])]
    pictures = [(name, output) for name, output in outputs if "image/png" in output.get("data", {})]
    return [(name, output.metadata.get("image/png", {}).get("alt", "")) for name, output in pictures]


def undescribed(nb) -> list[str]:
    """Cells with a figure whose alt text is missing or says too little."""
    return [name for name, alt in figures(nb) if len(alt.split()) < MIN_WORDS]


def small_text(source: str) -> list[int]:
    """Font sizes below the smallest that `source` asks for in digits."""
    asked = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.keyword) and node.arg is not None]
    sizes = [node.value for node in asked if re.fullmatch(r"font_?size|labelsize|size", node.arg)]
    numbers = [size.value for size in sizes if isinstance(size, ast.Constant) and isinstance(size.value, int | float)]
    return [number for number in numbers if number < plotting.SMALLEST]


def notebook(alt: str | None):
    metadata = {"image/png": {"alt": alt}} if alt else {}
    output = new_output("display_data", {"image/png": PIXEL}, metadata=metadata)
    return nbformat.from_dict(new_notebook(cells=[new_code_cell("show()", id="a-figure", outputs=[output])]))


@pytest.fixture
def displayed(monkeypatch):
    calls = []
    monkeypatch.setattr(plotting, "display", lambda figure, metadata: calls.append((figure, metadata)))
    return calls


def test_a_figure_is_displayed_once_with_its_titles_and_what_is_seen(displayed):
    figure, (left, right) = plt.subplots(1, 2)
    figure.suptitle("Two sides")
    left.set_title("The left\nside")
    plotting.show(figure, "A line falls.")
    ((shown, metadata),) = displayed
    assert shown is figure
    assert metadata == {"image/png": {"alt": "Two sides. The left side. A line falls."}}
    assert not plt.fignum_exists(figure.number)


def test_every_figure_has_the_resolution_and_no_default_text_is_too_small(displayed):
    figure, ax = plt.subplots()
    ax.plot([0, 1], label="line")
    ax.set(title="title", xlabel="x", ylabel="y")
    ax.legend()
    plotting.show(figure, "A line.")
    assert figure.dpi == plotting.DPI == 120
    texts = figure.findobj(plt.Text)
    assert min(text.get_fontsize() for text in texts) >= plotting.SMALLEST == 9


def test_captions_of_image_sheets_are_large_enough():
    _, (above, below) = plt.subplots(2)
    images = [[[[0.0] * 4] * 4]] * 2
    plotting.image_grid(above, images, captions=("a", "b"))
    plotting.image_rows(below, {"row": images}, captions=("a", "b"))
    for ax in (above, below):
        ax.figure.canvas.draw()
        assert min(text.get_fontsize() for text in ax.findobj(plt.Text) if text.get_text()) >= plotting.SMALLEST
    plt.close("all")


def test_the_package_asks_for_no_smaller_text():
    assert small_text("ax.text(0, 0, 'a', fontsize=8)\nax.legend(fontsize=10)") == [8]
    for path in sorted((ROOT / "course_utils").rglob("*.py")):
        assert small_text(path.read_text(encoding="utf-8")) == [], path.name


def test_the_page_carries_the_stored_alt_text():
    (tag,) = re.findall(r"<img[^>]*>", html(notebook('Bound & "gap" > 0. Both rise.'), "lesson"))
    assert re.search(r'alt=(["\'])Bound & "gap" > 0. Both rise.\1', unescape(tag))


def test_a_page_without_alt_text_says_so():
    (tag,) = re.findall(r"<img[^>]*>", html(notebook(None), "lesson"))
    assert "No description" in tag


@pytest.mark.parametrize("alt", [None, "A figure.", "The bound rises"])
def test_a_figure_without_alt_text_is_found(alt):
    assert undescribed(notebook(alt)) == ["a-figure"]
    enough = "The bound rises. The lower curve climbs in 120 steps from -8 to -5 nats and stays there."
    assert undescribed(notebook(enough)) == []


@each_held_lesson
def test_every_stored_figure_of_a_lesson_has_alt_text(path):
    nb = nbformat.read(path, as_version=4)
    assert figures(nb)
    assert undescribed(nb) == [], "end the cell in show(fig, what is seen), and store the lesson"


@each_held_lesson
def test_lessons_show_figures_one_way_and_in_readable_text(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert "plt.show(" not in cell.source, f"{cell.id}: use course_utils.plotting.show"
            assert small_text(cell.source) == [], cell.id


# Titles


NAME = "title-is-a-name"  # the tag of a cell whose constant titles name what is shown and claim nothing
MOST_WORDS_OF_A_NAME = 18


def constant(node: ast.expr, assigned: dict[str, ast.expr]) -> str | None:
    """The text of a title that is the same in every run; None where it is built from something."""
    if isinstance(node, ast.Name):
        node = assigned.get(node.id, node)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value else None


def titles_at(sources: list[str]) -> dict[str, int]:
    """Functions that take a title, by name: the place of the title among their arguments."""
    places = {"set_title": 0, "suptitle": 0}
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and "title" in [arg.arg for arg in node.args.args]:
                places[node.name] = [arg.arg for arg in node.args.args].index("title")
    return places


def constant_titles(source: str, places: dict[str, int]) -> list[str]:
    """What a cell's source writes above its figures without looking at the results."""
    tree = ast.parse(source)
    assigned = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    given = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        given += call.args[places[name] :][:1] if name in places else []
        given += [keyword.value for keyword in call.keywords if keyword.arg == "title"]
    return [text for text in (constant(node, assigned) for node in given) if text]


def unfounded_titles(nb) -> list[str]:
    """Constant titles whose cell neither asserts anything nor says by its tag that they are mere names."""
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    places = titles_at([cell.source for cell in code])
    found = []
    for cell in code:
        titles = constant_titles(cell.source, places)
        if NAME in cell.metadata.get("tags", []):
            found += [f"{cell.id}: the tag {NAME} without such a title"] * (not titles)
            found += [f"{cell.id}: too long for a name: {title}" for title in titles if too_long(title)]
        elif not re.search(r"^\s*assert ", cell.source, re.MULTILINE):
            found += [f"{cell.id}: {title}" for title in titles]
    return found


def too_long(name: str) -> bool:
    return len(name.split()) > MOST_WORDS_OF_A_NAME


DRAW = "def draw(rows, title):\n    image_rows(ax, rows, title=title)"


@pytest.mark.parametrize(
    ("source", "tags", "found"),
    [
        ("ax.set_title('It falls')", [], ["a-figure: It falls"]),
        ("fig.suptitle('It falls')", [], ["a-figure: It falls"]),
        ("ax.set(title='It falls')", [], ["a-figure: It falls"]),
        ("title = 'It falls'\nplot(ax, title=title)", [], ["a-figure: It falls"]),
        ("draw(rows, 'It falls')", [], ["a-figure: It falls"]),
        ("x = 'assert '\nax.set_title('It falls')", [], ["a-figure: It falls"]),
        ("assert last < first\nax.set_title('It falls')", [], []),
        ("if settled:\n    assert last < first\nax.set_title('It falls')", [], []),
        ("ax.set_title(f'It falls by {fall}')", [], []),
        ("for name in names:\n    ax.set_title(name)", [], []),
        ("ax.set_title('Test loss')", [NAME], []),
        ("ax.set_title(f'{fall}')", [NAME], [f"a-figure: the tag {NAME} without such a title"]),
        ("ax.set_title('a ' * 19)", [], []),
        (f"ax.set_title({'a ' * 19!r})", [NAME], [f"a-figure: too long for a name: {'a ' * 19}"]),
    ],
)
def test_a_title_is_computed_asserted_or_a_name(source, tags, found):
    cells = [new_code_cell(DRAW, id="helper"), new_code_cell(source, id="a-figure", metadata={"tags": tags})]
    assert unfounded_titles(new_notebook(cells=cells)) == found


@each_held_lesson
def test_no_title_of_a_lesson_claims_what_the_run_may_deny(path):
    found = unfounded_titles(nbformat.read(path, as_version=4))
    assert not found, "\n".join(
        ["assert the finding in the cell, build the title from the result, or tag a name:", *found]
    )
