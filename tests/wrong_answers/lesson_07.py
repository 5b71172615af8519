"""Wrong answers to the exercises of lesson 07: conditions and β."""

from tests.wrong_answers import Wrong


def posterior(body: str) -> str:
    return f"def probabilities(bounds, shares):\n    {body}\n"


def halves(body: str) -> str:
    return f"def split_lower(pictures):\n    {body}\n"


def water(body: str) -> str:
    return f"def rate_at(variances, level):\n    {body}\n"


def gaps(body: str) -> str:
    return f"def gaps(information, entropies):\n    ordered = np.sort(information, axis=1)\n    {body}\n"


LOWER, UPPER = "pictures[..., 14:, :]", "pictures[..., :14, :]"

WRONG = [
    # from bounds to probabilities
    Wrong("try-posterior", posterior("return bounds.softmax(dim=1)"), r"left out p\(c\)"),
    Wrong("try-posterior", posterior("return (bounds + shares).softmax(dim=1)"), "Add the logarithm of the shares"),
    Wrong("try-posterior", posterior("return (bounds + shares.log()).softmax(dim=0)"), "Your columns sum to one"),
    Wrong("try-posterior", posterior("return (shares.log() - bounds).softmax(dim=1)"), "you turned the sign"),
    Wrong("try-posterior", posterior("return (bounds + shares.log()).log_softmax(dim=1)"), "logarithms of prob"),
    Wrong("try-posterior", posterior("return (bounds - shares.log()).softmax(dim=1)"), r"You divided by p\(c\)"),
    Wrong("try-posterior", posterior("return (bounds + shares.log()).exp()"), "Not divided by the sum"),
    Wrong("try-posterior", posterior("return bounds.exp() * shares"), "Not divided by the sum"),
    Wrong("try-posterior", posterior("return (bounds + shares.log()).softmax(dim=1).max(dim=1).values"), "shape"),
    Wrong("try-posterior", posterior("return (bounds * shares).softmax(dim=1)"), "too (large|small)", specific=False),
    # complete the lower half
    Wrong("try-half", halves(f"return {UPPER}, {LOWER}"), "You exchanged the two"),
    Wrong("try-half", halves(f"return {LOWER}, {LOWER}"), "The lower half twice"),
    Wrong("try-half", halves(f"return {UPPER}, {UPPER}"), "The upper half twice"),
    Wrong("try-half", halves("return pictures[..., 14:], pictures[..., :14]"), "right and left: cut rows, not columns"),
    Wrong("try-half", halves("return pictures[..., 1::2, :], pictures[..., ::2, :]"), "Every second row is no half"),
    Wrong("try-half", halves(f"return {LOWER}"), "Return both halves"),
    Wrong("try-half", halves("return pictures, pictures"), "The picture was not cut"),
    Wrong("try-half", halves(f"return {LOWER}.flip(-2), {UPPER}"), "too (large|small)", specific=False),
    # the rate at a level
    Wrong("try-water", water("return 0.5 * (variances / level).log().sum()"), "cost nothing: yours gain something"),
    Wrong("try-water", water("return (variances / level).log().clamp(min=0).sum()"), "The ½ is missing"),
    Wrong("try-water", water("return 0.5 * (variances / level).log2().clamp(min=0).sum()"), "These are bits"),
    Wrong("try-water", water("return 0.5 * (variances / level).log().clamp(min=0).mean()"), "the mean; add the"),
    Wrong("try-water", water("return variances.clamp(max=level).sum()"), "the error that remains, not the rate"),
    Wrong("try-water", water("return 0.5 * (level / variances).log().clamp(min=0).sum()"), "the level by the variance"),
    Wrong("try-water", water("return 0.5 * variances.log().clamp(min=0).sum()"), "You left out the level"),
    Wrong("try-water", water("return 0.5 * (variances / level).log().clamp(min=0)"), r"expected shape \(\), got"),
    Wrong(
        "try-water",
        water("return 0.5 * (1 + variances / level).log().sum()"),
        "too (large|small)",
        specific=False,
    ),
    # the gap
    Wrong("try-mig", gaps("return ordered[:, -1] - ordered[:, -2]"), "Divide by the entropy"),
    Wrong("try-mig", gaps("return ordered[:, -1] / entropies"), "the largest alone"),
    Wrong("try-mig", gaps("return (ordered[:, -1] - ordered[:, 0]) / entropies"), "Largest minus smallest"),
    Wrong("try-mig", gaps("return (information[:, 0] - information[:, 1]) / entropies"), "The first two latents"),
    Wrong("try-mig", gaps("return (ordered[:, -2] - ordered[:, -1]) / entropies"), "The second minus the largest"),
    Wrong("try-mig", gaps("return 1 - ordered[:, -2] / ordered[:, -1]"), "Divided by the largest"),
    Wrong("try-mig", gaps("return ((ordered[:, -1] - ordered[:, -2]) / entropies).mean()"), "the gap of every factor"),
    Wrong("try-mig", gaps("return (ordered[-1] - ordered[-2]) / entropies[0]"), r"expected shape \(2,\), got"),
]
