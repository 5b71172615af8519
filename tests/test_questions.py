"""The questions of the assignment: truths agree with other formulas, and each named mistake is told by its own name."""

import math
from functools import partial

import pytest
import torch

from course_utils.assignment import questions, truths
from course_utils.assignment.answers import PASSED, CheckFailed
from course_utils.latent import active_units
from course_utils.models import halved_sizes
from course_utils.objectives import bernoulli_nll, gaussian_kl, gaussian_nll, reparameterize


def sse(x_hat, x):
    return (x_hat - x).square().sum(dim=(1, 2, 3))


def power(images):
    return torch.fft.rfft(images).abs().square().mean(dim=(0, 1, 2))


def flat(image_shape, channels):
    return channels[-1] * math.prod(halved_sizes(image_shape, len(channels))[-1])


def wrong(*_):
    raise RuntimeError("a function of the student that does not work")


# name: (check, an answer that is right, its mistakes for the same arguments)
GAUSSIAN = partial(questions.check_gaussian_nll, own_sse=wrong)
FLAT = partial(questions.check_flat_features, image_shape=(3, 28, 20), channels=(8, 16, 32))
QUESTIONS = {
    "kl": (questions.check_kl_values, gaussian_kl, truths.kl_mistakes),
    "bce": (questions.check_bce_values, bernoulli_nll, truths.bce_mistakes),
    "sse": (questions.check_sse, sse, lambda x_hat, x: truths.sse_mistakes(sse(x_hat, x), x[0].numel())),
    "gaussian": (GAUSSIAN, gaussian_nll, truths.gaussian_mistakes),
    "sum": (questions.check_variance_of_sum, lambda *_: 0.5, lambda _, n: truths.variance_of_sum_mistakes(n)),
    "mean": (questions.check_variance_of_mean, lambda _, n: n / 2, lambda _, n: truths.variance_of_mean_mistakes(n)),
    "beta": (partial(questions.check_beta, terms=5), lambda terms: 1 / terms, truths.beta_mistakes),
    "input": (questions.check_model_input, lambda x: x.movedim(3, 1) / 255, truths.input_mistakes),
    "flat": (FLAT, flat, truths.flat_mistakes),
    "spectrum": (questions.check_spectrum, power, lambda images: truths.spectrum_mistakes(images, power(images))),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_right_answer_passes(name):
    check, right, _ = QUESTIONS[name]
    assert check(right) == PASSED


@pytest.mark.parametrize("name", QUESTIONS)
def test_each_mistake_is_told_by_its_own_name(name):
    check, right, mistakes = QUESTIONS[name]
    known = {}

    def probe(*arguments):
        known.update({} if known else mistakes(*arguments))  # of the first case
        return right(*arguments)

    check(probe)
    for sentence in known:
        with pytest.raises(CheckFailed) as failure:
            check(lambda *arguments: mistakes(*arguments)[sentence])  # noqa: B023
        assert sentence in str(failure.value)


def test_samples_units_and_student_numbers():
    assert questions.check_gradient(reparameterize) == PASSED
    assert questions.check_fresh_noise(reparameterize, batch=1, d=64) == PASSED
    assert questions.check_spread(reparameterize, mean=-2.0, logvar=-1.0) == PASSED
    assert questions.check_active_units(lambda x, x_logits, mu, logvar: {"active_units": active_units(mu)}) == PASSED
    assert questions.check_student_number(lambda: 7) == PASSED
    for number in (0, "7", 7.0, True):
        with pytest.raises(CheckFailed, match="a positive whole number"):
            questions.check_student_number(lambda: number)  # noqa: B023


def test_a_mistake_in_another_answer_counts_there_alone():
    def twice(x_hat, x):
        return 2 * sse(x_hat, x)

    def built_on_it(x_hat, x, sigma2):
        return twice(x_hat, x) / (2 * sigma2) + 0.5 * x[0].numel() * math.log(2 * math.pi * sigma2)

    assert questions.check_gaussian_nll(built_on_it, twice) == PASSED
    with pytest.raises(CheckFailed, match="divided by 2σ², not by σ²"):
        questions.check_gaussian_nll(built_on_it, wrong)


def test_measures_of_another_kind_are_told():
    with pytest.raises(CheckFailed, match="bce, sse, kl, negative_elbo, active_units is missing"):
        questions.check_measures(lambda *_: {}, wrong, wrong, wrong)
    with pytest.raises(CheckFailed, match="common_measures raised TypeError"):
        questions.check_measures(lambda *_: 3.0, wrong, wrong, wrong)


def test_gradients_are_those_of_finite_differences():
    mu, logvar = (torch.tensor([[0.3, -1.2]], dtype=torch.float64, requires_grad=True) for _ in range(2))

    def answer(mu, logvar):
        return (mu.sin() * logvar.exp()).sum(dim=1)

    assert questions.gradients(lambda mu, logvar: mu.detach(), mu, logvar) == [None, None]
    found = questions.gradients(answer, mu, logvar)
    for at, gradient in enumerate(found):
        for column in range(2):
            step = torch.zeros(1, 2, dtype=torch.float64)
            step[0, column] = 1e-6
            ends = [[part.detach() for part in (mu, logvar)] for _ in range(2)]
            ends[0][at], ends[1][at] = ends[0][at] - step, ends[1][at] + step
            low, high = (answer(*end).item() for end in ends)
            assert gradient[0, column].item() == pytest.approx((high - low) / 2e-6, rel=1e-6)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda mu, logvar: mu.detach() + (logvar / 2).exp(), "no gradient reaches mu and logvar"),
        (lambda mu, logvar: (mu + logvar).detach().requires_grad_(), "no gradient reaches mu and logvar"),
        (lambda mu, logvar: 2 * mu + logvar, "gradient of z with respect to mu"),
        (lambda mu, logvar: [0.0], "return a torch tensor, not list"),
    ],
)
def test_a_sample_that_the_encoder_cannot_learn_from(answer, sentence):
    with pytest.raises(CheckFailed, match=sentence):
        questions.check_gradient(answer)
