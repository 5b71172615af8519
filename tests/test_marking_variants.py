"""Right answers written in other ways, and honest habits: none of them may cost a point."""

import shutil
from textwrap import dedent

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from tests.bank import answers
from tests.bank_runs import CLASSMATE, run

pytestmark = pytest.mark.filterwarnings("ignore:Object of type <Submitted")  # nbgrader's own database session


def written(**functions: str) -> dict[str, str]:
    """The solution with some functions written anew."""
    return answers() | {name.replace("_", "-"): dedent(text).strip() for name, text in functions.items()}


DISTRIBUTIONS = written(
    kl_per_image="""
    def kl_per_image(mu, logvar):
        from torch.distributions import Independent, Normal, kl_divergence

        posterior = Independent(Normal(mu, logvar.exp().sqrt()), 1)
        prior = Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1)
        return kl_divergence(posterior, prior)
    """,
    bce_per_image="""
    def bce_per_image(x_logits, x):
        return -torch.distributions.Bernoulli(logits=x_logits, validate_args=False).log_prob(x).flatten(1).sum(-1)
    """,
    gaussian_nll_per_image="""
    def gaussian_nll_per_image(x_hat, x, sigma2):
        return -torch.distributions.Normal(x_hat, sigma2**0.5).log_prob(x).sum(dim=(-3, -2, -1))
    """,
)
EINSUM = written(
    kl_per_image="""
    def kl_per_image(mu, logvar):
        return 0.5 * torch.einsum("bd->b", mu * mu + torch.expm1(logvar) - logvar)
    """,
    sse_per_image="""
    def sse_per_image(x_hat, x):
        return torch.einsum("bchw,bchw->b", x_hat - x, x_hat - x)
    """,
    to_model_input="""
    def to_model_input(images):
        return torch.einsum("nhwc->nchw", images.to(torch.float32)) / 255.0
    """,
    power_spectrum="""
    def power_spectrum(images):
        waves = torch.view_as_real(torch.fft.rfft(images))
        return torch.einsum("nchwr,nchwr->w", waves, waves) / images[..., 0].numel()
    """,
)
BY_HAND = written(
    bce_per_image="""
    def bce_per_image(x_logits, x):
        return (F.softplus(x_logits) - x * x_logits).view(len(x), -1).sum(1)
    """,
    combined_objective="""
    def combined_objective(x, x_logits, mu, logvar, weight=WEIGHT, sigma2=SIGMA2):
        bce = (F.softplus(x_logits) - x * x_logits).sum(dim=(1, 2, 3))
        squares = ((torch.sigmoid(x_logits) - x) ** 2).sum(dim=(1, 2, 3))
        pixels = x.shape[1] * x.shape[2] * x.shape[3]
        gauss = 0.5 * squares / sigma2 + 0.5 * pixels * np.log(2 * np.pi * sigma2)
        kl = 0.5 * (mu.pow(2) + logvar.exp() - logvar - 1).sum(1)
        nll = gauss + weight * (bce - gauss)
        return nll + kl, nll, kl
    """,
    flat_features="""
    def flat_features(image_shape, channels):
        import math

        def halved(side):
            return math.ceil(side / 2 ** len(channels))

        return channels[-1] * halved(image_shape[1]) * halved(image_shape[2])
    """,
    variance_of_mse="""
    def variance_of_mse(reduction, pixels):
        factors = {"sum": 1.0, "mean": 1 / pixels}
        return 1 / (2 * factors[reduction])
    """,
)
OTHER_NAMES = written(
    sample_latent="""
    def spread(log_variance):
        return torch.exp(log_variance / 2)


    def sample_latent(m, lv, rng=None):
        noise = torch.empty_like(m).normal_(generator=rng)
        return torch.addcmul(m, spread(lv), noise)
    """,
    kl_per_image="""
    def kl_per_image(m, s):
        one_dimension = (m.square() + s.exp() - s - 1) / 2
        return one_dimension.sum(axis=-1)
    """,
    beta_of_plain_sum="""
    beta_of_plain_sum = lambda n: pow(n, -1)
    """,
)
DOUBLE = written(
    kl_per_image="""
    def kl_per_image(mu, logvar):
        mu, logvar = mu.double(), logvar.double()
        return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(dim=1)
    """,
    bce_per_image="""
    def bce_per_image(x_logits, x):
        return F.binary_cross_entropy_with_logits(x_logits.double(), x.double(), reduction="none").sum((1, 2, 3))
    """,
    gaussian_nll_per_image="""
    def gaussian_nll_per_image(x_hat, x, sigma2):
        x_hat, x, sigma2 = x_hat.double(), x.double(), torch.tensor(sigma2, dtype=torch.float64)
        constant = 0.5 * x[0].numel() * torch.log(2 * torch.pi * sigma2)
        return (x_hat - x).square().flatten(1).sum(1) / (2 * sigma2) + constant
    """,
)
NUMPY = written(
    common_measures="""
    def common_measures(x, x_logits, mu, logvar):
        x_hat = 1 / (1 + np.exp(-x_logits.detach().numpy().astype(np.float64)))
        kl = kl_per_image(mu, logvar).mean()
        bce = bce_per_image(x_logits, x).mean()
        return {
            "active_units": np.count_nonzero(mu.detach().numpy().var(axis=0, ddof=1) > 0.01),
            "negative_elbo": bce + kl,
            "kl": kl,
            "sse": np.mean(np.sum((x_hat - x.numpy()) ** 2, axis=(1, 2, 3))),
            "bce": bce,
        }
    """,
    power_spectrum="""
    def power_spectrum(images):
        return (np.abs(np.fft.rfft(images.numpy(), axis=-1)) ** 2).mean((0, 1, 2))
    """,
    to_model_input="""
    def to_model_input(images):
        return torch.from_numpy(np.moveaxis(images.numpy(), 3, 1).astype("float32") / 255)
    """,
    comparison="""
    def comparison(paths, images):
        table = {}
        for path in reversed(paths):
            with torch.no_grad():
                table[path] = common_measures(*outputs(path, images))
        return table
    """,
)
NOISY = {
    name: text.replace(
        '"""\n', '"""\n    import sys, warnings\n    warnings.warn("careful")\n    print("x", file=sys.stderr)\n', 1
    )
    for name, text in answers().items()
    if text.startswith("def ") and name != "cifar-arguments"
}
LOUD = written(  # on stderr, in ways that no redirection inside of Python catches
    kl_per_image="""
    import logging

    logging.basicConfig()


    def kl_per_image(mu, logvar):
        logging.warning("a handler that was made before the test")
        return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(dim=1)
    """,
    bce_per_image="""
    import os


    def bce_per_image(x_logits, x):
        os.write(2, b"a library in C\\n")
        return F.binary_cross_entropy_with_logits(x_logits, x, reduction="none").flatten(1).sum(dim=1)
    """,
    sse_per_image="""
    from sys import stderr


    def sse_per_image(x_hat, x):
        print("an imported stderr", file=stderr)
        return (x_hat - x).square().flatten(1).sum(dim=1)
    """,
)
TYPED = written(
    sample_latent="""
    from torch import Tensor


    def sample_latent(mu: Tensor, logvar: Tensor, generator: torch.Generator | None = None, scale: float = 1.0):
        sigma = logvar.div(2).exp() * scale
        return torch.randn(*mu.size(), generator=generator) * sigma + mu
    """,
    cifar_arguments="""
    def cifar_arguments() -> dict:
        return dict(channels=[16, 32, 64], hidden=300, latent_dim=100, image_shape=[3, 32, 32])
    """,
)
MODULE_STYLE = written(
    bce_per_image="""
    class PerImage(torch.nn.BCEWithLogitsLoss):
        def __init__(self):
            super().__init__(reduction="none")

        def forward(self, x_logits, x):
            return super().forward(x_logits, x).flatten(start_dim=1).sum(dim=-1)


    bce_per_image = PerImage()
    """,
    sse_per_image="""
    def sse_per_image(x_hat, x):
        return torch.stack([F.mse_loss(a, b, reduction="sum") for a, b in zip(x_hat, x)])
    """,
)


def with_notes(notebook):
    """Cells of one's own between the others, one of which fails, and Markdown."""
    notebook.cells.insert(4, new_markdown_cell("My notes", id="my-notes"))
    notebook.cells.insert(9, new_code_cell("scratch = [1, 2, 3]\nprint(scratch)", id="my-scratch"))
    notebook.cells.insert(12, new_code_cell("1 / 0", id="my-failure"))
    notebook.cells.append(new_code_cell("import warnings\nwarnings.warn('the end')", id="my-end"))


def with_names_in_the_way(notebook):
    """Cells of one's own that take names which a test might use, and leave the notebook's folder."""
    names = "x mu logvar z source draw check check_kl copies truth given result load digits outputs PASSED HOME"
    own = f"import os\n{' = '.join(names.split())} = None\nos.chdir('..')"
    for place, cell in enumerate(notebook.cells):
        if cell.metadata.get("nbgrader", {}).get("grade_id") in ("check-student-number", "train-bce", "table"):
            notebook.cells.insert(place + 1, new_code_cell(own, id=f"my-names-{place}"))


def from_another_editor(notebook):
    """Another kernel's name, no `deletable` and `editable`, outputs and execution counts of some run."""
    notebook.metadata.kernelspec = {"name": "vae-env", "display_name": "VAE", "language": "python"}
    for number, cell in enumerate(notebook.cells):
        for key in ("deletable", "editable"):
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            cell.execution_count = 3 * number


def with_edited_tests(notebook):
    """Test cells that the student changed or emptied: marking restores them."""
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") in ("test-kl-values", "setup"):
            cell.source += "\n# my remark"


VARIANTS = {
    "torch.distributions": (DISTRIBUTIONS, None),
    "einsum": (EINSUM, None),
    "formulas by hand, no helper called": (BY_HAND, None),
    "other names, a helper function, a lambda": (OTHER_NAMES, None),
    "float64": (DOUBLE, None),
    "NumPy": (NUMPY, None),
    "warnings and stderr": (answers() | NOISY, None),
    "a logger, a library and an imported stderr": (LOUD, None),
    "names in the way, another folder": (answers(), with_names_in_the_way),
    "type hints, another generator call, a larger network": (TYPED, None),
    "modules and loops": (MODULE_STYLE, None),
    "extra cells": (answers(), with_notes),
    "saved by another editor": (answers(), from_another_editor),
    "tests edited": (answers(), with_edited_tests),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_right_answer_keeps_full_marks(marking, name):
    course, runs = marking
    replies, edit = VARIANTS[name]
    notebook = course.submission(replies)
    if edit is not None:
        edit(notebook)
    marks = course.mark("student", notebook, runs)
    assert marks.lost == {}, {test: marks.said[test] for test in marks.lost}
    assert marks.total == 40


def test_a_tag_that_skips_tests_earns_nothing(marking):
    course, _ = marking
    notebook = course.submission({})
    for cell in notebook.cells:
        cell.metadata["tags"] = ["skip-execution", "none", "all"]
    assert course.mark("student", notebook, None).total == 0


def test_a_run_counts_for_the_student_whose_seed_it_started_from(marking, tmp_path):
    course, runs = marking
    shutil.copytree(runs, tmp_path / "runs")
    shutil.copy(run("classmate-mse"), tmp_path / "runs" / "mse.safetensors")
    replies = answers() | {"student-number": f"def student_number():\n    return {CLASSMATE}"}
    marks = course.mark("student", course.submission(replies), tmp_path / "runs")
    others = {test for test in marks.maxima if test.startswith(("test-run-bce", "test-run-combined", "test-run-cifar"))}
    assert set(marks.lost) == others - {"test-run-bce-whole"}, {test: marks.said[test] for test in marks.lost}
