"""Wrong answers to the exercises of lesson 03."""

from tests.wrong_answers import Wrong


def gap(expression: str) -> str:
    return f"def my_gap(precision):\n    return {expression}\n"


def split(expression: str) -> str:
    return f"def my_split(log_px, best, encoded):\n    return {expression}\n"


def variance(expression: str) -> str:
    return f"def my_variance(w, sigma2, beta):\n    return {expression}\n"


def bound(expression: str) -> str:
    return f"def my_bound(log_weights):\n    return {expression}\n"


WRONG = [
    Wrong("try-gap", gap("precision.diag().log().sum() - torch.logdet(precision)"), "one half in front is missing"),
    Wrong("try-gap", gap("0.5 * (torch.logdet(precision) - precision.diag().log().sum())"), "signs are turned"),
    Wrong("try-gap", gap("0.5 * precision.diag().log().sum()"), "term with the determinant is missing"),
    Wrong("try-gap", gap("-0.5 * torch.logdet(precision)"), "sum over the diagonal is missing"),
    Wrong("try-gap", gap("0.5 * (precision.diag().log().sum() + torch.logdet(precision))"), "do not add it"),
    Wrong("try-gap", gap("0.5 * (precision.trace().log() - torch.logdet(precision))"), "log of the trace"),
    Wrong("try-gap", gap("0.5 * (precision.inverse().diag().log().sum() + torch.logdet(precision))"), "its inverse"),
    Wrong("try-gap", gap("0.5 * (precision.diag().log() - torch.logdet(precision))"), r"expected shape \(\)"),
    Wrong("try-gap", gap("0.29118"), "gives the same whatever `precision`"),
    Wrong("try-gap", gap("0.5 * (math.log(precision.diag()) - 1)"), "raises .*use torch's"),
    Wrong("try-gap", gap("precision.diag().log().sum() / torch.logdet(precision)"), "too (large|small)", False),
    Wrong("try-split", split("torch.stack([best - encoded, log_px - best])"), "in the other order"),
    Wrong("try-split", split("torch.stack([best - log_px, encoded - best])"), "Both signs are turned"),
    Wrong("try-split", split("torch.stack([log_px - best, log_px - encoded])"), "The second is the whole gap"),
    Wrong("try-split", split("torch.stack([log_px - encoded, best - encoded])"), "The first is the whole gap"),
    Wrong("try-split", split("torch.stack([(log_px - best).mean(), (best - encoded).mean()])"), "These are averages"),
    Wrong("try-split", split("log_px - encoded"), "added the two gaps"),
    Wrong("try-split", split("torch.stack([log_px - best, best - encoded], dim=1)"), "images as rows"),
    Wrong("try-split", split("torch.stack([log_px - best, encoded - best])"), "sign of the second gap"),
    Wrong("try-split", split("[log_px, best, encoded]"), r"expected shape \(2, 3\), got \(3, 3\)"),
    Wrong("try-split", split("torch.stack([log_px - 8.5, 8.5 - encoded])"), "whatever `best`"),
    Wrong("try-split", split("torch.stack([log_px - best, best + encoded])"), "too (large|small)", False),
    Wrong("try-beta", variance("1 / (1 + w**2 / sigma2)"), "beta is missing"),
    Wrong("try-beta", variance("1 / (1 + beta * w**2 / sigma2)"), "beta is on the wrong side"),
    Wrong("try-beta", variance("1 + w**2 / (beta * sigma2)"), "This is the precision"),
    Wrong("try-beta", variance("beta * sigma2 / w**2"), "The prior's share"),
    Wrong("try-beta", variance("1 / (1 + w / (beta * sigma2))"), "w has to be squared"),
    Wrong("try-beta", variance("(1 + w**2 / (beta * sigma2)) ** -0.5"), "This is the standard deviation"),
    Wrong("try-beta", variance("1 / (1 + w**2 / (beta * sigma2**2))"), "do not square it"),
    Wrong("try-beta", variance("1 / (1 + w**2 / beta)"), "sigma2 is missing"),
    Wrong("try-beta", variance("1 / (1 + w**2 * sigma2 / beta)"), "sigma2 is on the wrong side"),
    Wrong("try-beta", variance("w**2 / (w**2 + beta * sigma2)"), "one minus the variance"),
    Wrong("try-beta", variance("beta / (1 + w**2 / sigma2)"), "multiply the whole variance"),
    Wrong("try-beta", variance("1 / (1 + 2.25 / (beta * sigma2))"), "whatever `w`"),
    Wrong("try-beta", variance("torch.exp(w) / (beta * sigma2)"), r"raises TypeError.*torch\.tensor"),
    Wrong("try-beta", variance("1 / (2 + w**2 / (beta * sigma2))"), "too (large|small)", False),
    Wrong("try-iw", bound("log_weights.mean()"), "the plain ELBO"),
    Wrong("try-iw", bound("log_weights.logsumexp(dim=1).mean()"), "subtract log k"),
    Wrong("try-iw", bound("log_weights.logsumexp(dim=(0, 1)) - math.log(log_weights.numel())"), "within each block"),
    Wrong(
        "try-iw",
        bound("(log_weights.logsumexp(dim=0) - math.log(log_weights.shape[0])).mean()"),
        "k is the second dimension",
    ),
    Wrong("try-iw", bound("(log_weights.logsumexp(dim=1) - math.log(log_weights.shape[1])).sum()"), "blocks are added"),
    Wrong("try-iw", bound("log_weights.logsumexp(dim=1) - math.log(log_weights.shape[1])"), "One value per block"),
    Wrong("try-iw", bound("(log_weights.logsumexp(dim=1) + math.log(log_weights.shape[1])).mean()"), "log k is added"),
    Wrong("try-iw", bound("(log_weights.logsumexp(dim=1) - log_weights.shape[1]).mean()"), "Subtract log k, not k"),
    Wrong("try-iw", bound("log_weights.max(dim=1).values.mean()"), "the largest weight"),
    Wrong("try-iw", bound("log_weights.exp().mean(dim=1).log().mean()"), "stay with logs"),
    Wrong("try-iw", bound("log_weights.logsumexp(dim=1).mean() / log_weights.shape[1]"), "too (large|small)", False),
]
