"""The lessons' code is light: each rule of the budget is broken once and must be named; the lessons in HELD keep it."""

import nbformat
import pytest

from tools.cell_weight import cells, main, nodes, over_budget, weighable
from tools.normal_form import ROOT, read

HELD = (  # stems of notebooks, in reading order
    "01_reparameterization",
    "02_kl_divergence",
    "03_elbo",
    "04_mnist_conv_vae",
    "05_latent_interpolation",
    "06_smile_arithmetic",
    "07_conditions_and_beta",
    "08_better_priors",
    "09_discrete_codes",
    "10_adversaries",
    "11_vae_gan_diffusion",
    "12_sequences",
    "assignment4",
)


def notebook(*sources: str) -> nbformat.NotebookNode:
    made = [nbformat.v4.new_code_cell(source, id=f"cell-{number}") for number, source in enumerate(sources)]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("f(x)"), *made])


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("x = 1", 0),
        ("f(x)", 1),
        ("a.b", 1),
        ("a.b(c)[0]", 3),
        ("a + b * c", 2),
        ("-a", 1),
        ("a and b and c", 1),
        ("0 < a < 1", 1),
        ("[f(x) for x in y]", 2),
        ("{x for x in y}, {x: x for x in y}, (x for x in y)", 3),
        ("def f(x: Tensor) -> Tensor:\n    return x.exp()", 2),
        ("assert a == b, f'{a} is not {b}'", 1),
        ("%matplotlib inline", 0),
        ("%%time\nif a:\n    !ls -l\n    %time f(x)\nf(a.b)", 2),
        ("(a\n % b)", 1),  # an operator at the start of a line is no magic
        ("# f(x)\n\n'f(x)'", 0),
    ],
)
def test_expression_nodes(source, count):
    assert nodes(source) == count


def test_cells_are_weighed_by_id_without_prose_and_empty_ones():
    weighed = cells(notebook("x = f(1)\n\ny = x + 1", "", "long_name"))
    assert [(cell.id, cell.nodes, cell.lines, cell.width) for cell in weighed] == [
        ("cell-0", 2, 2, 9),
        ("cell-2", 0, 1, 9),
    ]


LIGHT = "x = 1\n" * 25
HEAVY = "x = 1\n" * 20 + "\n".join(["f(f(f(f(f(f(f(f(1))))))))"] * 5)  # 40 nodes in 25 lines


@pytest.mark.parametrize("sources", [[LIGHT], [LIGHT, LIGHT, HEAVY], ["f(f(1))\n" * 6], ["x" * 100]])
def test_at_the_budget_nothing_is_said(sources):
    assert over_budget(cells(notebook(*sources))) == []


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        ([LIGHT, LIGHT, HEAVY + " + 1"], "cell cell-2 has 41 expression nodes of at most 40; name a step and show it."),
        ([LIGHT, LIGHT + "y = 1"], "cell cell-1 has 26 lines of at most 25; split it."),
        (["x" * 101], "cell cell-0 has a line of 101 characters of at most 100; break it."),
        (
            ["x\n" * 8 + "f(f(f(f(f(f(f(f(f(f(f(f(f(1)))))))))))))"],
            "the median cell has 13 expression nodes of at most 12.",
        ),
        (["f(f(f(1)))"], "it has 3.00 expression nodes a line of at most 2.2."),
    ],
)
def test_what_is_too_much_is_named(sources, sentence):
    assert over_budget(cells(notebook(*sources))) == [sentence]


@pytest.mark.parametrize("stem", HELD)
def test_the_lesson_is_light(stem):
    (path,) = [path for path in weighable() if path.stem == stem]
    found = over_budget(cells(read(path)))
    assert not found, "\n".join([f"{path.name} is too dense:", *found])


def test_the_command_prints_a_row_for_every_notebook(capsys):
    assert main([]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows[1:]] == [path.stem for path in weighable()]


def test_the_command_fails_on_a_dense_notebook_it_was_given(tmp_path, capsys):
    dense = tmp_path / "dense.ipynb"
    nbformat.write(notebook("f(f(f(1)))"), dense)
    assert main([str(dense)]) == 1
    assert "dense: it has 3.00 expression nodes a line" in capsys.readouterr().out


def test_the_lessons_and_the_assignment_are_weighed():
    names = [path.relative_to(ROOT).as_posix() for path in weighable()]
    assert "notebooks/01_reparameterization.ipynb" in names
    assert "assignments/assignment4/assignment4.ipynb" in names
