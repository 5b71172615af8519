"""Wrong answers to the exercises of lesson 08: better priors, and two layers."""

from tests.wrong_answers import Wrong


def bound(body: str) -> str:
    return f"def bound_with(nll, log_q, log_prior):\n    {body}\n"


def choose(body: str) -> str:
    best = "best = held_out.argmax()"
    return f"def choose(counts, held_out, errors):\n    {best}\n    {body}\n"


def join(body: str) -> str:
    weights = "a, b = 1 / var, 1 / var_p"
    return f"def join(mu, var, mu_p, var_p):\n    {weights}\n    {body}\n"


MEAN, VARIANCE = "(a * mu + b * mu_p) / (a + b)", "1 / (a + b)"

WRONG = [
    # the bound with any prior
    Wrong("try-bound", bound("return -(nll + log_q - log_prior).mean()"), "This is the ELBO itself"),
    Wrong("try-bound", bound("return (nll + log_prior - log_q).mean()"), "the other way round"),
    Wrong("try-bound", bound("return (nll + log_q - log_prior).sum()"), "per image it is the mean"),
    Wrong("try-bound", bound("return (log_q - log_prior).mean()"), "The reconstruction is missing"),
    Wrong("try-bound", bound("return (nll + log_q).mean()"), "The prior is missing"),
    Wrong("try-bound", bound("return (nll - log_prior).mean()"), "log q is missing"),
    Wrong("try-bound", bound("return (nll + log_q + log_prior).mean()"), r"log p\* has the wrong sign"),
    Wrong("try-bound", bound("return (log_q - log_prior - nll).mean()"), "The reconstruction has the wrong sign"),
    Wrong("try-bound", bound("return nll + log_q - log_prior"), "Take the mean over the images"),
    Wrong("try-bound", bound("return (nll + log_q.exp() - log_prior.exp()).mean()"), "logarithms already"),
    Wrong("try-bound", bound("return (nll + log_q / log_prior).mean()"), "is too (small|large)", specific=False),
    # how many Gaussians
    Wrong("try-choose", choose("return counts[best]"), "a smaller one may be within its error"),
    Wrong(
        "try-choose",
        choose("return (held_out >= held_out[best] - errors[best]).argmax()"),
        "a place in the list; return the number there",
    ),
    Wrong("try-choose", choose("return counts[held_out.argmin()]"), "This is the worst"),
    Wrong("try-choose", choose("return counts[held_out + errors >= held_out[best]][0]"), "not each its own"),
    Wrong("try-choose", choose("return counts[-1]"), "fits best in training only"),
    Wrong("try-choose", choose("return counts[0]"), "Not every case wants the smallest"),
    Wrong(
        "try-choose",
        choose("return counts[held_out >= held_out[best] - errors.mean()][0]"),
        "not the mean of all",
    ),
    Wrong("try-choose", choose("return held_out[best]"), "not a log-likelihood"),
    Wrong(
        "try-choose",
        choose("return counts[held_out >= held_out[best] - errors[best]]"),
        r"expected shape \(\)",
    ),
    Wrong(
        "try-choose",
        choose("return counts[held_out >= held_out[best] - 3 * errors[best]][0]"),
        "is too small",
        specific=False,
    ),
    # two opinions about z
    Wrong("try-join", join(f"return (var * mu + var_p * mu_p) / (var + var_p), {VARIANCE}"), "The surer one counts"),
    Wrong("try-join", join(f"return {MEAN}, var + var_p"), "Variances do not add here"),
    Wrong("try-join", join(f"return (mu + mu_p) / 2, {VARIANCE}"), "This is the plain mean"),
    Wrong("try-join", join(f"return {MEAN}, a + b"), "the precision for the variance"),
    Wrong("try-join", join(f"return {VARIANCE}, {MEAN}"), "the mean comes first"),
    Wrong("try-join", join(f"return {MEAN}"), "Return both, mean and variance"),
    Wrong(
        "try-join",
        join("a, b = var**-0.5, var_p**-0.5\n    return (a * mu + b * mu_p) / (a + b), 1 / (a + b)"),
        "not over its root",
    ),
    Wrong("try-join", join("return mu, var"), "the same whatever `mu_p` and `var_p` may be"),
    Wrong("try-join", join(f"return {MEAN}, ({VARIANCE}) ** 0.5"), "You returned the standard deviation"),
]
