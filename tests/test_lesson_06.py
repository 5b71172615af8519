"""Lesson 06 on files in CelebA's form: data set and channels are parameters, and its other labels are asked about."""

from pathlib import Path

import nbformat
import pytest
import torch

from course_utils import data, plotting
from course_utils.drawn_faces.drawing import draw
from course_utils.drawn_faces.factors import attributes, held_still, sample_factors
from course_utils.pretrained import weights_dir
from course_utils.sources.celeba import write_celeba

ROOT = Path(__file__).parents[1]
PARAMETERS = {
    "DATA": "celeba",
    "START": str(weights_dir() / "drawn-faces-64.safetensors"),
    "OWN_FACES": 32,
    "OWN_EPOCHS": 1,
    "JUDGE_EPOCHS": 8,
}
LABORATORY = [  # from the first of two cells up to the second: what the drawn faces show, whatever DATA is
    ("truth-intro", "attributes-intro"),
    ("attributes", "attributes-own-intro"),
    ("editor-intro", "captures"),
    ("headline", "take-away"),
]


def cells_about_the_data() -> list[nbformat.NotebookNode]:
    """The code cells that are about the lesson's own data set."""
    cells = nbformat.read(ROOT / "notebooks" / "06_smile_arithmetic.ipynb", as_version=4).cells
    ids = [cell.id for cell in cells]
    skipped = {name for first, last in LABORATORY for name in ids[ids.index(first) : ids.index(last)]}
    return [cell for cell in cells if cell.cell_type == "code" and cell.id not in skipped]


@pytest.fixture
def celeba_files(tmp_path, monkeypatch):
    """400 faces of the laboratory as CelebA's JPEGs and lists: 320 for training, 40 for testing."""
    factors = held_still(sample_factors(400, seed=5))
    ticked, names = attributes(factors)
    write_celeba(tmp_path / "celeba", draw(factors), ticked, names)
    monkeypatch.setenv("COURSE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("COURSE_PROFILE", "quick")
    monkeypatch.setenv("COURSE_DATA", "real")
    return tmp_path


def test_the_lesson_runs_on_celeba_and_asks_about_glasses_and_hair(celeba_files, monkeypatch):
    titles = []
    monkeypatch.setattr(plotting, "display", lambda figure, metadata: titles.append(metadata["image/png"]["alt"]))
    lesson = {"__name__": "__main__"}
    with torch.random.fork_rng():
        for cell in cells_about_the_data():
            exec(compile(cell.source, cell.id, "exec"), lesson)
            if cell.id == "parameters":
                lesson |= PARAMETERS
    assert (lesson["DATA"], lesson["channels"], lesson["public"]) == ("celeba", 3, False)
    assert lesson["train"].source == "CelebA (320 train images)"
    table = lesson["own_table"]
    assert {"Smiling", "Eyeglasses", "Black_Hair", "Wearing_Lipstick"} <= set(table.index)
    assert table.loc[["Eyeglasses", "Black_Hair"], "AUC"].min() > 0.9
    assert lesson["auc"] > 0.75
    assert any("smiling" in title for title in titles)


def test_where_there_is_no_photograph_the_laboratory_takes_its_place(monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "bundled")
    lesson = {"__name__": "__main__"}
    for cell in cells_about_the_data():
        exec(compile(cell.source, cell.id, "exec"), lesson)
        if cell.id == "view":
            break
    assert (lesson["DATA"], lesson["channels"], lesson["public"]) == ("drawn_laboratory", 3, True)
    assert torch.equal(lesson["test"].images, data.laboratory("test").images)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [("DATA", "lfw", "DATA is one of smiles, celeba, drawn_laboratory; it is 'lfw'"), ("FACES", 0, "FACES is a whole")],
)
def test_a_wrong_parameter_fails_at_the_top_in_words(name, value, sentence):
    (check,) = [cell for cell in cells_about_the_data() if cell.id == "check-parameters"]
    (parameters,) = [cell for cell in cells_about_the_data() if cell.id == "parameters"]
    lesson = {}
    exec(parameters.source, lesson)
    with pytest.raises(ValueError, match=sentence):
        exec(check.source, lesson | {name: value})
