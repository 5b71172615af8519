"""Marking the functions: every mistake costs its own points and is named; correct answers of every style cost none."""

import re

import pytest

from tests.bank import answers, dealt

pytestmark = pytest.mark.filterwarnings("ignore:Object of type <Submitted")  # nbgrader's own database session

AFTER_AN_ERROR = {  # what calls bce_per_image cannot be judged if that stops with an error
    **{"test-bce-objective": 1, "test-common-measures": 1, "test-combined-ends": 1, "test-combined-between": 1},
    "test-comparison": 2,
}
# name: (answer, what is replaced in the solution, by what, points lost, what is said)
MUTANTS = {
    "rand for randn": ("sample-latent", "torch.randn(", "torch.rand(", {"test-sample-spread": 1}, "uniform"),
    "variance for standard deviation": (
        *("sample-latent", "(0.5 * logvar).exp()", "logvar.exp()", {"test-sample-spread": 1}),
        "variance where the standard deviation belongs",
    ),
    "one noise for the batch": (
        *("sample-latent", "randn(mu.shape,", "randn(mu.shape[1:],", {"test-sample-fresh-noise": 1}),
        "two images got the same noise",
    ),
    "one noise for the dimensions": (
        *("sample-latent", "randn(mu.shape,", "randn(mu.shape[0], 1,", {"test-sample-fresh-noise": 1}),
        "two dimensions got the same noise",
    ),
    "generator ignored": (
        *("sample-latent", "generator=generator, ", "", {"test-sample-fresh-noise": 1}),
        "the same generator must give the same z",
    ),
    "sigma forgotten": ("sample-latent", "(0.5 * logvar).exp() * eps", "eps", {"test-sample-spread": 1}, "forgot σ"),
    "logvar as sigma": (
        *("sample-latent", "(0.5 * logvar).exp() * eps", "logvar * eps", {"test-sample-spread": 1}),
        "used logvar itself as σ",
    ),
    "logvar changed in place": (
        *("sample-latent", "(0.5 * logvar).exp()", "logvar.mul_(0.5).exp_()", {"test-sample-spread": 1}),
        "changed mu or logvar in place",
    ),
    "no noise": (
        *("sample-latent", "return mu + (0.5 * logvar).exp() * eps", "return mu + 0 * logvar"),
        *({"test-sample-fresh-noise": 1, "test-sample-spread": 1}, "all values of z are equal|without noise"),
    ),
    "KL averaged over dimensions": (
        *("kl-per-image", ".sum(dim=1)", ".mean(dim=1)", {"test-kl-values": 2}),
        "mean over the latent dimensions",
    ),
    "KL without the half": ("kl-per-image", "0.5 * ", "", {"test-kl-values": 2}, "½ is missing"),
    "KL with the wrong sign": ("kl-per-image", "return 0.5", "return -0.5", {"test-kl-values": 2}, "sign is wrong"),
    "sigma for the variance in the KL": (
        *("kl-per-image", "logvar.exp()", "(0.5 * logvar).exp()", {"test-kl-values": 2}),
        "used σ where σ² belongs",
    ),
    "logvar as log sigma": (
        *("kl-per-image", "logvar.exp() - 1 - logvar", "(2 * logvar).exp() - 1 - 2 * logvar", {"test-kl-values": 2}),
        "logvar for log σ",
    ),
    "KL summed over the batch": (
        *("kl-per-image", ".sum(dim=1)", ".sum()", {"test-kl-shape": 1, "test-kl-values": 2}),
        r"summed or averaged over the batch: expected shape \(batch,\) = \(3,\), got \(\)",
    ),
    "KL averaged over the batch": (
        *("kl-per-image", ".sum(dim=1)", ".sum(dim=1).mean()", {"test-kl-shape": 1, "test-kl-values": 2}),
        "one number per image",
    ),
    "KL summed over the wrong axis": (
        *("kl-per-image", ".sum(dim=1)", ".sum(dim=0)", {"test-kl-shape": 1, "test-kl-values": 2}),
        "added up over the batch, not over the dimensions",
    ),
    "KL without the minus one": ("kl-per-image", " - 1 ", " ", {"test-kl-values": 2}, "−1 is missing"),
    "KL with mu not squared": ("kl-per-image", "mu**2", "mu", {"test-kl-values": 2}, "must be squared"),
    "KL averaged and without the half": (
        *("kl-per-image", "return 0.5 * ", "return 1 / mu.shape[1] * ", {"test-kl-values": 2}),
        "½ is missing, and you took the mean",
    ),
    "KL that changes its input": (
        *("kl-per-image", "logvar.exp() - 1 - logvar", "(-logvar) + logvar.exp_() - 1", {"test-kl-values": 2}),
        "changed mu or logvar in place",
    ),
    "BCE averaged over pixels": (
        *("bce-per-image", ".sum(dim=1)", ".mean(dim=1)", {"test-bce-values": 2}),
        "mean over the pixels",
    ),
    "BCE averaged over everything": (
        *("bce-per-image", ".flatten(1).sum(dim=1)", ".mean()", {"test-bce-values": 2}),
        "mean over everything",
    ),
    "BCE summed over the batch": (
        *("bce-per-image", ".flatten(1).sum(dim=1)", ".sum()", {"test-bce-values": 2}),
        "added up over the batch",
    ),
    "sigmoid twice": (
        *("bce-per-image", "logits(x_logits, x", "logits(x_logits.sigmoid(), x"),
        *({"test-bce-values": 2, "test-bce-extremes": 1}, "applied the sigmoid twice"),
    ),
    "BCE of logits taken for probabilities": (
        *("bce-per-image", "binary_cross_entropy_with_logits", "binary_cross_entropy"),
        {"test-bce-values": 2, "test-bce-extremes": 1, **AFTER_AN_ERROR},
        "bce_per_image raised RuntimeError.*between 0 and 1",
    ),
    "sigmoid first": (
        *("bce-per-image", "binary_cross_entropy_with_logits(x_logits", "binary_cross_entropy(x_logits.sigmoid()"),
        *({"test-bce-extremes": 1}, "applied the sigmoid yourself"),
    ),
    "logits and pixels swapped": (
        *("bce-per-image", "(x_logits, x,", "(x, x_logits,", {"test-bce-values": 2, "test-bce-extremes": 1}),
        "swapped the logits and the pixels",
    ),
    "KL subtracted": ("bce-objective", "nll + kl", "nll - kl", {"test-bce-objective": 1}, "subtract the KL"),
    "KL forgotten": ("bce-objective", "nll + kl", "nll", {"test-bce-objective": 1}, "KL is missing in the loss"),
    "parts swapped": ("bce-objective", "+ kl, nll, kl", "+ kl, kl, nll", {"test-bce-objective": 1}, "swapped"),
    "the ELBO as a loss": ("bce-objective", "nll + kl", "-nll - kl", {"test-bce-objective": 1}, "This is the ELBO"),
    "a single number as objective": (
        *("bce-objective", "NegativeElbo(nll + kl, nll, kl)", "(nll + kl).mean().item()", {"test-bce-objective": 1}),
        "must return NegativeElbo",
    ),
    "three numbers for the whole batch": (
        *("bce-objective", "(nll + kl, nll, kl)", "((nll + kl).mean(), nll.mean(), kl.mean())"),
        *({"test-bce-objective": 1}, r"expected shape \(3,\), got \(\)"),
    ),
    "squared error averaged": ("sse-per-image", ".sum(dim=1)", ".mean(dim=1)", {"test-sse": 1}, "mean over the pixels"),
    "root of the squared error": ("sse-per-image", ".sum(dim=1)", ".sum(dim=1).sqrt()", {"test-sse": 1}, "the root"),
    "half of the squared error": ("sse-per-image", "return ", "return 0.5 * ", {"test-sse": 1}, "no ½"),
    "Gaussian without its constant": (
        *("gaussian-nll-per-image", " + 0.5 * n * np.log(2 * np.pi * sigma2)", "", {"test-gaussian-nll": 2}),
        "constant .* is missing",
    ),
    "Gaussian without its half": (
        *("gaussian-nll-per-image", "/ (2 * sigma2)", "/ sigma2", {"test-gaussian-nll": 2}),
        "divided by 2σ², not by σ²",
    ),
    "sigma2 squared again": (
        *("gaussian-nll-per-image", "n = ", "sigma2 = sigma2**2\n    n = ", {"test-gaussian-nll": 2}),
        "variance already",
    ),
    "constant once per image": (
        *("gaussian-nll-per-image", "0.5 * n *", "0.5 *", {"test-gaussian-nll": 2}),
        "belongs to every pixel",
    ),
    "sigma2 ignored": (
        *("gaussian-nll-per-image", "n = ", "sigma2 = SIGMA2\n    n = ", {"test-gaussian-nll": 2}),
        "Use the argument sigma2",
    ),
    "constant for the whole batch": (
        *("gaussian-nll-per-image", "x[0].numel()", "x.numel()", {"test-gaussian-nll": 2}),
        "values of one image",
    ),
    "sum and mean confused": (
        *("variance-of-mse", 'reduction == "sum"', 'reduction == "mean"'),
        *({"test-variance-of-sum": 1, "test-variance-of-mean": 1}, "however many pixels|forgot that the mean divides"),
    ),
    "variance without the two": (
        *("variance-of-mse", "return 0.5 if", "return 1.0 if", {"test-variance-of-sum": 1}),
        "divides by 2σ², not by σ²",
    ),
    "variance upside down": (
        *("variance-of-mse", "pixels / 2", "1 / (2 * pixels)", {"test-variance-of-mean": 1}),
        "upside down",
    ),
    "Gaussian of the logits": (
        *("gaussian-objective", "x_logits.sigmoid()", "x_logits", {"test-gaussian-objective": 1}),
        "take their sigmoid first",
    ),
    "sigmoid twice in the Gaussian": (
        *("gaussian-objective", "x_logits.sigmoid()", "x_logits.sigmoid().sigmoid()", {"test-gaussian-objective": 1}),
        "sigmoid twice",
    ),
    "logits changed in place": (
        *("gaussian-objective", "x_logits.sigmoid()", "x_logits.sigmoid_()", {"test-gaussian-objective": 1}),
        "in place",
    ),
    "error of the logits": (
        *("common-measures", "x_logits.sigmoid()", "x_logits", {"test-common-measures": 1}),
        "not of the logits",
    ),
    "measures summed": (
        *("common-measures", "(x_logits, x).mean()", "(x_logits, x).sum()", {"test-common-measures": 1}),
        "average over the images",
    ),
    "ELBO with the wrong sign": (
        *("common-measures", "bce + kl", "bce - kl", {"test-common-measures": 1}),
        "−ELBO is BCE plus KL",
    ),
    "a measure left out": (
        *("common-measures", '"negative_elbo": bce + kl,', "", {"test-common-measures": 1}),
        "negative_elbo is missing",
    ),
    "active over the dimensions": (
        *("common-measures", "mu.var(dim=0)", "mu.var(dim=1)", {"test-active-units": 1}),
        "over the images, dim=0",
    ),
    "active by standard deviation": (
        *("common-measures", "mu.var(dim=0)", "mu.std(dim=0)", {"test-active-units": 1}),
        "variance exceeds 0.01, not the standard deviation",
    ),
    "active by mean": (
        *("common-measures", "mu.var(dim=0)", "mu.mean(dim=0).abs()", {"test-active-units": 1}),
        "not those whose mean is far from zero",
    ),
    "weights swapped": (
        *("combined-objective", "weight * bce + (1 - weight) * gauss", "(1 - weight) * bce + weight * gauss"),
        *({"test-combined-ends": 1, "test-combined-between": 1}, "weights are swapped"),
    ),
    "added without weights": (
        *("combined-objective", "weight * bce + (1 - weight) * gauss", "bce + gauss"),
        *({"test-combined-ends": 1, "test-combined-between": 1}, "without weights|weight 1 − weight"),
    ),
    "half and half whatever the weight": (
        *("combined-objective", "weight * bce + (1 - weight) * gauss", "0.5 * (bce + gauss)"),
        *({"test-combined-ends": 1, "test-combined-between": 1}, "Use the argument weight"),
    ),
    "beta of a plain sum upside down": (
        *("beta-of-plain-sum", "1 / terms", "terms", {"test-beta-of-plain-sum": 1}),
        "Divide the whole loss",
    ),
    "beta unchanged": ("beta-of-plain-sum", "1 / terms", "1.0", {"test-beta-of-plain-sum": 1}, "KL's weight changes"),
    "one run compared with itself": (
        *("comparison", "outputs(path, images)", "outputs(paths[0], images)", {"test-comparison": 2}),
        "comparison, .* of runs/mse.safetensors",
    ),
    "only some images compared": (
        *("comparison", "outputs(path, images)", "outputs(path, images[:10])", {"test-comparison": 2}),
        "comparison, .* of runs/bce.safetensors",
    ),
    "colours mixed by a reshape": (
        *("to-model-input", "images.permute(0, 3, 1, 2)", "images.reshape(len(images), 3, *images.shape[1:3])"),
        *({"test-model-input": 1}, "permute the axes"),
    ),
    "pixels in [-1, 1]": (
        *("to-model-input", ".float() / 255", ".float() / 127.5 - 1", {"test-model-input": 1}),
        r"normalisation to \[−1, 1\]",
    ),
    "pixels up to 255": ("to-model-input", " / 255", "", {"test-model-input": 1}, "still run to 255"),
    "height and width swapped": (
        *("to-model-input", "permute(0, 3, 1, 2)", "permute(0, 3, 2, 1)", {"test-model-input": 1}),
        "Height and width are swapped|expected shape",
    ),
    "odd sides rounded down": (
        *("flat-features", "(h + 1) // 2, (w + 1) // 2", "h // 2, w // 2", {"test-flat-features": 1}),
        "rounded up",
    ),
    "halved once too few": (
        *("flat-features", "in channels:", "in channels[1:]:", {"test-flat-features": 1}),
        "Halve once for every convolution",
    ),
    "channels last": (
        *("cifar-arguments", "(3, 32, 32)", "(32, 32, 3)", {"test-cifar-arguments": 1}),
        "channels first",
    ),
    "too large a network": (
        *("cifar-arguments", "(32, 64, 128)", "(256, 512, 1024)", {"test-cifar-arguments": 1}),
        "MB, expected less than 8",
    ),
    "arguments of another kind": (
        *("cifar-arguments", "(32, 64, 128)", "64", {"test-cifar-arguments": 1}),
        "cifar_arguments raised TypeError",
    ),
    "two latent dimensions": (
        "cifar-arguments",
        '"latent_dim": 64',
        '"latent_dim": 2',
        {"test-cifar-arguments": 1},
        "20",
    ),
    "averaged before squared": (
        *("power-spectrum", ".abs().square().mean(dim=(0, 1, 2))", ".mean(dim=(0, 1, 2)).abs().square()"),
        *({"test-power-spectrum": 1}, "averaged before you squared"),
    ),
    "magnitudes averaged before squared": (
        *("power-spectrum", ".abs().square().mean(dim=(0, 1, 2))", ".abs().mean(dim=(0, 1, 2)).square()"),
        *({"test-power-spectrum": 1}, "averaged the magnitudes"),
    ),
    "real part of the transform": (
        *("power-spectrum", ".abs()", ".real", {"test-power-spectrum": 1}),
        "real part alone",
    ),
    "complex square": ("power-spectrum", ".abs()", "", {"test-power-spectrum": 1}, "your answer is complex"),
    "one row's spectrum": (
        *("power-spectrum", "rfft(images,", "rfft(images[:1, :1, :1],", {"test-power-spectrum": 1}),
        "spectrum of one row",
    ),
    "magnitude for power": ("power-spectrum", ".square()", "", {"test-power-spectrum": 1}, "square is missing"),
    "waves along the height": ("power-spectrum", "dim=-1", "dim=-2", {"test-power-spectrum": 1}, "expected shape"),
}
PIXELS = {"bce-per-image", "sse-per-image", "gaussian-nll-per-image"}
NEEDS = {  # whose answers the named mistakes of an answer, or of one mutant, build on
    "gaussian-nll-per-image": {"sse-per-image"},
    **dict.fromkeys(("bce-objective", "gaussian-objective", "combined-objective", "common-measures"), PIXELS),
    "parts swapped": {*PIXELS, "kl-per-image"},
}


def needs(name: str) -> set[str]:
    return NEEDS.get(name) or NEEDS.get(MUTANTS[name][0], set())


def clash(name: str, other: str) -> bool:
    """Whether two mutants change one answer, or one the answer that the other's named mistakes build on."""
    one, two = MUTANTS[name][0], MUTANTS[other][0]
    return one == two or one in needs(other) or two in needs(name)


def mutated(names: list[str]) -> dict[str, str]:
    replies = answers()
    for name in names:
        answer, old, new, *_ = MUTANTS[name]
        assert old in replies[answer], f"{name}: the solution of {answer} has no {old!r}"
        replies[answer] = replies[answer].replace(old, new)
    return replies


@pytest.mark.parametrize("names", dealt(MUTANTS, clash), ids=lambda names: f"{len(names)}-{names[0].replace(' ', '-')}")
def test_a_mistake_costs_its_points_and_is_named(marking, names):
    course, runs = marking
    marks = course.mark("student", course.submission(mutated(names)), runs)
    expected = {}
    for name in names:
        expected |= MUTANTS[name][3]
    assert marks.lost == expected, {test: marks.said[test] for test in marks.lost.keys() ^ expected.keys()}
    for name in names:
        *_, lost, told = MUTANTS[name]
        assert any(re.search(told, marks.said[test]) for test in lost), (name, [marks.said[test] for test in lost])
