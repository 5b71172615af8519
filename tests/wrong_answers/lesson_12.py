"""Wrong answers to the exercises of lesson 12: sequences."""

from tests.wrong_answers import Wrong


def area(body: str) -> str:
    return f"def area(points):\n    x, y = points.T\n    {body}\n"


def dropped(body: str) -> str:
    return f"def drop_points(points, p, u):\n    {body}\n"


def budget(body: str) -> str:
    return f"def charged_loss(nll, kl, budget):\n    {body}\n"


TERMS = "(x * np.roll(y, -1) - np.roll(x, -1) * y)"

WRONG = [
    # the area of a polygon
    Wrong("try-area", area(f"return abs({TERMS}.sum())"), "Halve the sum"),
    Wrong("try-area", area(f"return {TERMS}.sum() / 2"), "The sign tells the direction"),
    Wrong("try-area", area("return abs(x[:-1] @ y[1:] - x[1:] @ y[:-1]) / 2"), "from the last corner back"),
    Wrong("try-area", area("return abs((x * np.roll(y, -1) + np.roll(x, -1) * y).sum()) / 2"), "Subtract the second"),
    Wrong("try-area", area(f"return abs({TERMS}).sum() / 2"), "Take abs of the sum, not of each term"),
    Wrong("try-area", area(f"return abs({TERMS}.mean()) / 2"), "Sum over the corners; yours is the mean"),
    Wrong("try-area", area(f"return {TERMS}"), r"expected shape \(\), got \(4,\).*single terms; sum them"),
    Wrong("try-area", area(f"return abs({TERMS})"), r"expected shape \(\), got \(4,\)"),
    Wrong("try-area", area("return abs(x @ x.roll(-1)) / 2"), "your answer, line 3.* raises AttributeError"),
    Wrong("try-area", area("return 0.5"), "the same whatever `points` may be"),
    Wrong("try-area", area(f"return -abs({TERMS}.sum()) / 2"), "the opposite of what is asked for"),
    Wrong("try-area", "def area(x, y):\n    return abs(x @ y)\n", "keep the function's first line"),
    Wrong(
        "try-area",
        area("return np.hypot(x - np.roll(x, -1), y - np.roll(y, -1)).sum()"),
        "is too (small|large)",
        specific=False,
    ),
    # input dropout
    Wrong("try-dropout", dropped("return points * (u < p)[..., None]"), "You kept what should go"),
    Wrong("try-dropout", dropped("return points * (u >= p)[..., None] / (1 - p)"), "Do not rescale"),
    Wrong(
        "try-dropout",
        dropped("points[..., 0] = points[..., 0] * (u >= p)\n    return points"),
        "drop the whole point",
    ),
    Wrong("try-dropout", dropped("return points * (u[:, :1] >= p)[..., None]"), "You dropped whole outlines"),
    Wrong("try-dropout", dropped("return points * (u >= 1 - p)[..., None]"), "by the probability 1 - p"),
    Wrong("try-dropout", dropped("return points * u[..., None]"), "not by u"),
    Wrong("try-dropout", dropped("return points * (1 - p)"), "the mean over all draws; drop or keep"),
    Wrong(
        "try-dropout",
        dropped("return torch.where((u < p)[..., None], torch.ones_like(points), points)"),
        "become zeros, not ones",
    ),
    Wrong("try-dropout", dropped("return u >= p"), r"expected shape \(2, 5, 2\), got \(2, 5\).*which are kept"),
    Wrong("try-dropout", dropped("return points[u >= p]"), r"expected shape .*keep their places"),
    Wrong("try-dropout", dropped("return points"), "Nothing is dropped"),
    Wrong("try-dropout", dropped("return points * (u >= p)"), "your answer, line 2.* raises RuntimeError"),
    Wrong("try-dropout", dropped("return points * (u >= 0.5)[..., None]"), "the same whatever `p` may be"),
    # a KL budget
    Wrong("try-budget", budget("return (nll + kl.clamp_max(budget)).mean()"), "at least the budget, not at most"),
    Wrong("try-budget", budget("return nll.mean() + kl.mean().clamp_min(budget)"), "Compare each outline with the"),
    Wrong("try-budget", budget("return (nll + (kl - budget).clamp_min(0)).mean()"), "only what is above the budget"),
    Wrong("try-budget", budget("return (nll + (kl - budget).abs()).mean()"), "Above the budget charge the KL itself"),
    Wrong("try-budget", budget("return (nll + kl + budget).mean()"), "Do not add the budget"),
    Wrong("try-budget", budget("return (nll + kl).mean()"), "The budget is missing"),
    Wrong("try-budget", budget("return (nll + budget).mean()"), "The KL is missing"),
    Wrong("try-budget", budget("return kl.clamp_min(budget).mean()"), "The reconstruction is missing"),
    Wrong("try-budget", budget("return (nll + kl.clamp_min(budget)).sum()"), "Yours is the sum"),
    Wrong("try-budget", budget("return nll + kl.clamp_min(budget)"), r"got \(3,\).*Take the mean"),
    Wrong("try-budget", budget("return (kl.clamp_min(budget) - nll).mean()"), "reconstruction has the wrong sign"),
    Wrong("try-budget", budget("return (nll + max(kl, budget)).mean()"), "your answer, line 2.* raises RuntimeError"),
    Wrong("try-budget", budget("return nll.mean() + 2 * kl.mean()"), "the same whatever .*`budget` may be"),
    Wrong(
        "try-budget",
        budget("return (nll + kl.clamp_min(budget) ** 2).mean()"),
        "is too (small|large)",
        specific=False,
    ),
]
