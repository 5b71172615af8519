"""Wrong answers to the exercises of lesson 10: adversaries."""

from tests.wrong_answers import Wrong


def best(body: str) -> str:
    return f"def best_loss(p, q):\n    D = p / (p + q)\n    {body}\n"


def heaps(body: str) -> str:
    start = "def known(points, centres, radius, least):\n    near = torch.cdist(points, centres) <= radius\n"
    return f"{start}    {body}\n"


def wheel(r: str = "2 + eps[:, 0] / 2", t: str = "eps[:, 1] / 10", a: str = "2 * math.pi * arm / 10 + r / 2") -> str:
    lines = [f"r = {r}", f"t = {t}", f"a = {a}", f"return torch.stack([{X}, {Y}], dim=1)"]
    return "def pinwheel(eps, arm):\n    " + "\n    ".join(lines) + "\n"


def stacked(last: str) -> str:
    return wheel().replace(f"return torch.stack([{X}, {Y}], dim=1)", last)


X, Y = "r * a.cos() - t * a.sin()", "r * a.sin() + t * a.cos()"
TURN = "2 * math.pi * arm"

WRONG = [
    # the best critic
    Wrong("try-best", best("return (p * D.log() + q * (1 - D).log()).sum()"), "The sign"),
    Wrong("try-best", best("D = q / (p + q)\n    return -(p * D.log() + q * (1 - D).log()).sum()"), "You exchanged"),
    Wrong("try-best", best("D = p / q\n    return -(p * D.log() + q * (1 - D).log()).sum()"), "NaN or infinity"),
    Wrong("try-best", best("return 2 * math.log(2)"), "the same whatever `p` and `q` may be|always says one half"),
    Wrong("try-best", best("D = 0.5 + 0 * p\n    return -(p * D.log() + q * (1 - D).log()).sum()"), "one half"),
    Wrong("try-best", best("return -(p * D.log()).sum()"), "The fakes' term is missing"),
    Wrong("try-best", best("return -(q * (1 - D).log()).sum()"), "The real ones' term is missing"),
    Wrong("try-best", best("return -(p * D.log() + q * (1 - D).log()).mean()"), "Sum over the values; do not average"),
    Wrong("try-best", best("return -(p * D.log() + q * (1 - D).log())"), "These are the terms: sum over the values"),
    Wrong("try-best", best("return D"), "This is D; its loss is asked for"),
    Wrong("try-best", best("return -(D.log() + (1 - D).log()).sum()"), "Weigh each logarithm by its share"),
    Wrong(
        "try-best", best("return (p * D.log() + q * (1 - D).log()).mean()"), "sign is wrong, and it is a sum, no mean"
    ),
    Wrong(
        "try-best",
        best("js = (p * (2 * D).log() + q * (2 - 2 * D).log()).sum() / 2\n    return 2 * math.log(2) - js"),
        "JS counts twice",
    ),
    Wrong("try-best", best("return -(p * D.log2() + q * (1 - D).log2()).sum()"), "These are bits"),
    Wrong("try-best", best("return -(p * D.log() + q * (1 - D).log()).max()"), "is too (small|large)", specific=False),
    # heaps that are known
    Wrong("try-modes", heaps("return int(near.any(dim=1).sum())"), "This counts points; count heaps"),
    Wrong("try-modes", heaps("return int((near.sum(dim=1) >= least).sum())"), "Sum over the points"),
    Wrong(
        "try-modes",
        heaps("near = torch.cdist(points, centres) <= radius**2\n    return int((near.sum(dim=0) >= least).sum())"),
        "The radius, not its square",
    ),
    Wrong("try-modes", heaps("return int(((~near).sum(dim=0) >= least).sum())"), "Within the radius, not beyond it"),
    Wrong(
        "try-modes",
        heaps(
            "distance = torch.cdist(points, centres)\n"
            "    own = distance == distance.amin(dim=1, keepdim=True)\n"
            "    return int(((near & own).sum(dim=0) >= least).sum())"
        ),
        "A point may belong to two heaps",
    ),
    Wrong("try-modes", heaps("return int(near.any(dim=0).sum())"), "mind `least`"),
    Wrong("try-modes", heaps("return int((near.sum(dim=0) > least).sum())"), "`least` points are enough"),
    Wrong("try-modes", heaps("return int((near.sum(dim=0) < least).sum())"), "These are .not. known"),
    Wrong(
        "try-modes",
        heaps("near = torch.cdist(points, centres) ** 2 <= radius\n    return int((near.sum(dim=0) >= least).sum())"),
        "not its square",
    ),
    Wrong("try-modes", heaps("return near.sum(dim=0) >= least"), "Return a count, not True and False"),
    Wrong("try-modes", heaps("return near.sum(dim=0)"), "not the points"),
    Wrong("try-modes", heaps("return (near.sum(dim=0) >= least).float().mean()"), "not a share"),
    Wrong("try-modes", heaps("return 8"), "the same whatever `points` and `centres`"),
    Wrong("try-modes", heaps("return int(near.sum() >= least)"), "the same whatever"),
    # the pinwheel
    Wrong("try-pinwheel", wheel(a=f"{TURN} / 10 + 0 * r"), "The arms do not bend"),
    Wrong("try-pinwheel", wheel(a=f"-{TURN} / 10 - r / 2"), "You turned to the right"),
    Wrong("try-pinwheel", wheel(a=f"{TURN} / 9 + r / 2"), "divide by 10, not by 9"),
    Wrong("try-pinwheel", wheel(a="math.pi * arm / 10 + r / 2"), "The circle is 2π, not π"),
    Wrong("try-pinwheel", wheel(a=f"({TURN} / 10 + r) / 2"), "only r is halved"),
    Wrong("try-pinwheel", wheel(r="2 + eps[:, 0]"), "Along the arm, the noise is halved"),
    Wrong("try-pinwheel", wheel(r="(2 + eps[:, 0]) / 2"), "Halve the noise alone"),
    Wrong("try-pinwheel", wheel(t="-eps[:, 1] / 10"), "sign of t, in both"),
    Wrong("try-pinwheel", stacked(f"return torch.stack([{X.replace('-', '+')}, {Y}], dim=1)"), "t in the first"),
    Wrong("try-pinwheel", stacked(f"return torch.stack([{X}, {Y.replace('+', '-')}], dim=1)"), "t in the second"),
    Wrong("try-pinwheel", wheel(t="0 * r"), "The noise across, t, is missing"),
    Wrong("try-pinwheel", wheel().replace("* arm /", "* (arm - 1) /"), "numbered from 0"),
    Wrong("try-pinwheel", wheel(a="360 * arm / 10 + r / 2"), "2π radians, not 360"),
    Wrong("try-pinwheel", wheel(a=f"{TURN} / 10 + r"), "bends by r/2, not by r"),
    Wrong("try-pinwheel", wheel(a="r / 2"), "All points lie on one arm"),
    Wrong("try-pinwheel", wheel(r="eps[:, 0] / 2"), "start away from the centre"),
    Wrong("try-pinwheel", wheel(r="2 + eps[:, 1] / 2", t="eps[:, 0] / 10"), "goes along the arm"),
    Wrong("try-pinwheel", wheel(t="eps[:, 1]"), "Across, the noise is divided by ten"),
    Wrong("try-pinwheel", stacked(f"return torch.stack([{Y}, {X}], dim=1)"), "Exchange the two coordinates"),
    Wrong("try-pinwheel", stacked(f"return torch.stack([{X}, {Y}])"), r"expected shape \(3, 2\), got \(2, 3\)"),
    Wrong("try-pinwheel", stacked("return torch.stack([r, t], dim=1)"), "is too (small|large)", specific=False),
    Wrong("try-pinwheel", stacked("return r"), r"expected shape \(3, 2\), got \(3,\)"),
    Wrong("try-pinwheel", wheel(a=f"{TURN} / 10 + eps[:, 0] / 2"), "is too (small|large)", specific=False),
]
