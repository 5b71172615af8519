"""Wrong answers to the exercises of lesson 11: VAE against GAN against diffusion."""

from tests.wrong_answers import Wrong


def back(body: str) -> str:
    return f"def step_back(before, v, x_t, a, fresh):\n    {body}\n"


def suspects(body: str) -> str:
    return f"def suspects(samples, seen, fresh):\n    {body}\n"


def pulled(body: str) -> str:
    return f"def pulled(z, centres, keep):\n    {body}\n"


TOTAL = "(fresh + a**2 * v)"
TO_SEEN, TO_FRESH = ("torch.cdist(samples, seen)", "torch.cdist(samples, fresh)")
TABLE = "table = torch.cdist(z, centres)"
MIDDLE = f"{TABLE}\n    middle = centres[table.argmin(dim=1)]"

WRONG = [
    # one step of the way back
    Wrong("try-back", back(f"return (a**2 * v * before + fresh * x_t / a) / {TOTAL}"), "You exchanged the weights"),
    Wrong("try-back", back("return (fresh * before + v * x_t) / (fresh + v)"), "mind the factor a"),
    Wrong("try-back", back("return (fresh * before + v * x_t / a) / (fresh + v)"), "has the variance fresh / a"),
    Wrong(
        "try-back",
        back("return (before / v**0.5 + x_t / fresh**0.5) / (1 / v**0.5 + a / fresh**0.5)"),
        "one over the variance, not over its root",
    ),
    Wrong("try-back", back("return x_t / a"), "This is x_t / a: use `before` as well"),
    Wrong("try-back", back("return before"), "`before` alone: x_t tells something too"),
    Wrong("try-back", back("return before / v + a * x_t / fresh"), "Divide by the sum of the precisions"),
    Wrong("try-back", back("return (before + x_t / a) / 2"), "the plain mean; weigh by the precisions"),
    Wrong(
        "try-back",
        back("return (fresh**2 * before + a * v**2 * x_t) / (fresh**2 + a**2 * v**2)"),
        "Variances, not standard deviations",
    ),
    Wrong("try-back", back(f"return -(fresh * before + a * v * x_t) / {TOTAL}"), "the opposite of"),
    Wrong("try-back", back(f"return fresh * before + a * v * x_t / {TOTAL}"), "is too (small|large)", specific=False),
    Wrong("try-back", back(f"return ((fresh * before + a * v * x_t) / {TOTAL}).sum()"), r"expected shape \(2,\), got"),
    Wrong("try-back", back("return (fresh * before + a * v * x_t).sqrt()"), "contains NaN or infinity"),
    Wrong("try-back", back("pass"), "gives back None"),
    # the share of suspects
    Wrong(
        "try-copies",
        suspects(f"return ({TO_SEEN}.amin(1) > {TO_FRESH}.amin(1)).double().mean()"),
        "Count those that are nearer to seen images",
    ),
    Wrong(
        "try-copies",
        suspects(f"return ({TO_SEEN}.mean(1) < {TO_FRESH}.mean(1)).double().mean()"),
        "The nearest, not the mean distance",
    ),
    Wrong(
        "try-copies",
        suspects(f"return ({TO_SEEN}.amax(1) < {TO_FRESH}.amax(1)).double().mean()"),
        "The nearest, not the farthest",
    ),
    Wrong("try-copies", suspects(f"return ({TO_SEEN}.amin(1) < {TO_FRESH}.amin(1)).sum()"), "This counts them"),
    Wrong(
        "try-copies",
        suspects("return (torch.cdist(fresh, seen).amin(1) < torch.cdist(fresh, samples).amin(1)).double().mean()"),
        "Ask about the samples, not the fresh images",
    ),
    Wrong(
        "try-copies",
        suspects(f"return ({TO_SEEN}.min() < {TO_FRESH}.min()).double().mean()"),
        "One minimum per sample: dim=1",
    ),
    Wrong("try-copies", suspects(f"return {TO_SEEN}.amin(1).mean()"), "a distance is no share"),
    Wrong(
        "try-copies", suspects(f"return ({TO_SEEN}.amin(1) < {TO_FRESH}.amin(1)).double()"), r"expected a|shape \(\)"
    ),
    Wrong("try-copies", suspects(f"return ({TO_SEEN}.amin(1) < {TO_FRESH}.amin(1)).mean()"), "raises RuntimeError"),
    Wrong("try-copies", suspects(f"return ({TO_SEEN}.amin(1) < 0.2).double().mean()"), "whatever `fresh` may be"),
    Wrong("try-copies", suspects(f"return {TO_SEEN}.min(1) < {TO_FRESH}.min(1)"), "got bool|raises|expected"),
    # a set that fools precision
    Wrong(
        "try-fool", pulled(f"{MIDDLE}\n    return middle + (1 - keep) * (z - middle)"), "exchanged keep and 1 - keep"
    ),
    Wrong("try-fool", pulled(f"{MIDDLE}\n    return middle"), "the nearest centre; keep a share of the distance"),
    Wrong("try-fool", pulled(f"{MIDDLE}\n    return keep * (z - middle)"), "Add the centre again"),
    Wrong(
        "try-fool",
        pulled("middle = centres.mean(dim=0)\n    return middle + keep * (z - middle)"),
        "not the mean of all",
    ),
    Wrong("try-fool", pulled("return keep * z"), "shrinks towards zero"),
    Wrong("try-fool", pulled(f"{MIDDLE}\n    return z + (1 - keep) * (z - middle)"), "not away from it"),
    Wrong(
        "try-fool",
        pulled("return centres[0] + keep * (z - centres[0])"),
        "The nearest for each code; you took one for all",
    ),
    Wrong(
        "try-fool",
        pulled(f"{TABLE}\n    middle = centres[table.argmax(dim=1)]\n    return middle + keep * (z - middle)"),
        "The nearest, not the farthest",
    ),
    Wrong(
        "try-fool",
        pulled(f"{TABLE}\n    middle = centres[table.argmin(dim=0)]\n    return middle + keep * (z - middle)"),
        "raises|expected shape",
    ),
    Wrong("try-fool", pulled(f"{MIDDLE}\n    return middle + keep * (middle - z)"), "z - centre, not centre - z"),
    Wrong("try-fool", pulled("return z"), "the same whatever"),
    Wrong("try-fool", pulled(f"{TABLE}\n    return table.argmin(dim=1)"), r"expected shape \(3, 2\), got"),
    Wrong("try-fool", pulled(f"{MIDDLE}\n    return middle + keep**2 * (z - middle)"), "is too", specific=False),
]
