"""Wrong answers to the exercises of lesson 05: latent space and interpolation."""

from tests.wrong_answers import Wrong


def radius(body: str) -> str:
    return f"def radius_of(share):\n    {body}\n"


def four(body: str) -> str:
    return f"def between_four(top_left, top_right, bottom_left, bottom_right, right, down):\n    {body}\n"


def even(body: str) -> str:
    covered = "covered = np.concatenate([[0.0], np.cumsum(sizes)])"
    times = "times = np.linspace(0, 1, len(covered))"
    wanted = "wanted = np.linspace(0, covered[-1], len(covered))"
    return f"def even_times(sizes):\n    {covered}\n    {times}\n    {wanted}\n    {body}\n"


def middle(body: str) -> str:
    return f"def middle_length(r, omega):\n    {body}\n"


TOP, BOTTOM = "lerp(top_left, top_right, right)", "lerp(bottom_left, bottom_right, right)"

WRONG = [
    # how far the prior reaches
    Wrong("try-quantile", radius("return -2 * math.log(1 - share)"), "the squared radius; take the root"),
    Wrong("try-quantile", radius("return math.sqrt(-2 * math.log(share))"), "use 1 - share"),
    Wrong("try-quantile", radius("return Normal(0.0, 1.0).icdf(torch.tensor(share))"), "quantile of one dimension"),
    Wrong(
        "try-quantile",
        radius("return Normal(0.0, 1.0).icdf(torch.tensor((1 + share) / 2))"),
        "one dimension's, on both sides",
    ),
    Wrong("try-quantile", radius("return math.sqrt(-math.log(1 - share))"), "the logarithm is multiplied by 2"),
    Wrong("try-quantile", radius("return math.sqrt(-math.log(1 - share) / 2)"), "twice it, not half of it"),
    Wrong("try-quantile", radius("return 1 - math.exp(-(share**2) / 2)"), "solve for the radius"),
    Wrong("try-quantile", radius("return -math.sqrt(-2 * math.log(1 - share))"), "the opposite of"),
    Wrong("try-quantile", radius("return 2.448"), "the same whatever `.*` may be"),
    Wrong("try-quantile", radius("return math.sqrt(2 * math.log(1 - share))"), "raises ValueError"),
    Wrong("try-quantile", radius("return math.log(1 + share)"), "is too (small|large)", specific=False),
    # between four digits
    Wrong(
        "try-bilinear",
        four("return lerp(lerp(top_left, top_right, down), lerp(bottom_left, bottom_right, down), right)"),
        "`right` goes to the right and `down` goes down: exchanged",
    ),
    Wrong("try-bilinear", four(f"return {TOP}"), "along the top edge only"),
    Wrong("try-bilinear", four(f"return {BOTTOM}"), "along the bottom edge only"),
    Wrong("try-bilinear", four("return lerp(top_left, bottom_left, down)"), "down the left edge only"),
    Wrong(
        "try-bilinear",
        four("return (top_left + top_right + bottom_left + bottom_right) / 4"),
        "the mean of the corners, whatever the shares are",
    ),
    Wrong("try-bilinear", four(f"return lerp({BOTTOM}, {TOP}, down)"), "`down` = 0 is the top edge"),
    Wrong(
        "try-bilinear",
        four("return lerp(lerp(top_right, top_left, right), lerp(bottom_right, bottom_left, right), down)"),
        "`right` = 0 is the left edge",
    ),
    Wrong("try-bilinear", four(f"return {TOP}, {BOTTOM}"), r"expected shape \(2,\), got \(2, 2\)"),
    Wrong("try-bilinear", four(f"return lerp({TOP}, {BOTTOM}, down).sum()"), r"expected shape \(2,\), got \(\)"),
    Wrong("try-bilinear", four(f"return ({TOP} + {BOTTOM}) / 2"), "the same whatever `down` may be"),
    # an even pace
    Wrong("try-even", even("return covered / covered[-1]"), "You tabulated the distance at even times"),
    Wrong("try-even", even("return times"), "the even times that you started from"),
    Wrong("try-even", even("return np.interp(wanted[1:], covered, times)"), "The first time is missing"),
    Wrong("try-even", even("return np.interp(wanted, covered, times) * len(sizes)"), "yours count steps"),
    Wrong("try-even", even("return covered"), "the distances covered, not the times"),
    Wrong("try-even", even("return np.diff(np.interp(wanted, covered, times))"), "their running sum"),
    Wrong(
        "try-even",
        even(
            "slow = np.concatenate([[0.0], np.cumsum(1 / sizes)])\n"
            "    return np.interp(np.linspace(0, slow[-1], len(slow)), slow, times)"
        ),
        "A long step wants more time, not less",
    ),
    Wrong("try-even", even("return np.interp(wanted, covered[:-1], times)"), "raises ValueError"),
    Wrong("try-even", even("return np.interp(wanted, times, covered)"), "exchanged in your table"),
    Wrong("try-even", even("return np.interp(times, covered, times)"), "ask along all of it"),
    Wrong(
        "try-even",
        even("slow = np.cumsum(1 / sizes)\n    return np.concatenate([[0.0], slow / slow[-1]])"),
        "each old step its time",
    ),
    Wrong("try-even", even("return times * covered / covered[-1]"), "is too (small|large)", specific=False),
    # the dip
    Wrong("try-dip", middle("return (r * math.cos(omega / 2)) ** 2"), "this is the squared length"),
    Wrong("try-dip", middle("return r * math.cos(omega)"), "Use half of the angle"),
    Wrong("try-dip", middle("return r * math.sin(omega / 2)"), "half of the distance between the codes"),
    Wrong("try-dip", middle("return 2 * r * math.cos(omega / 2)"), "the length of the sum: the middle is half of it"),
    Wrong("try-dip", middle("return r"), "the middle of the arc, which keeps the length"),
    Wrong("try-dip", middle("return r * math.cos(math.radians(omega) / 2)"), "in radians already"),
    Wrong("try-dip", middle("return r / math.sqrt(2)"), "for orthogonal codes; use the angle"),
    Wrong("try-dip", middle("return math.cos(omega / 2)"), "You forgot the length r"),
    Wrong("try-dip", middle("return r - omega"), "is too (small|large)", specific=False),
    # an argument that was taken away: its name is that of the cell above
    Wrong("try-quantile", "def radius_of():\n    return 1.0\n", r"arguments \(share\)"),
    Wrong("try-even", "def even_times():\n    return 1.0\n", r"arguments \(sizes\)"),
    Wrong("try-dip", "def middle_length(r):\n    return r\n", r"arguments \(r, omega\)"),
]
