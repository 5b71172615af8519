"""Wrong answers to the exercises of lesson 06, each with the sentence that it must get."""

from tests.wrong_answers import Wrong

SIGMA = "def best_sigma2(squared_errors, pixels):\n    "
TARGET = "def move_to(z, direction, target):\n    "
WITHOUT = "def without(direction, other):\n    "
ALPHA = "(target - z @ direction) / (direction @ direction)"  # the right one
WRONG = [
    Wrong("try-sigma", SIGMA + "return squared_errors.mean()", r"share it among the pixels"),
    Wrong("try-sigma", SIGMA + "return squared_errors.mean() / pixels / 2", r"You took half of it"),
    Wrong("try-sigma", SIGMA + "return 2 * squared_errors.mean() / pixels", r"You took twice that"),
    Wrong("try-sigma", SIGMA + "return (squared_errors.mean() / pixels) ** 0.5", r"a standard deviation"),
    Wrong("try-sigma", SIGMA + "return squared_errors.square().mean() / pixels", r"squared once too often"),
    Wrong("try-sigma", SIGMA + "return squared_errors.sum() / pixels", r"take their mean"),
    Wrong("try-sigma", SIGMA + "return squared_errors.var() / pixels", r"the spread of the errors"),
    Wrong("try-sigma", SIGMA + "return pixels / squared_errors.mean()", r"the precision"),
    Wrong("try-sigma", SIGMA + "return 0.01", r"the same whatever `squared_errors` and `pixels` may be"),
    Wrong("try-sigma", SIGMA + "return squared_errors.mean() / 4096", r"the same whatever `pixels` may be"),
    Wrong("try-sigma", SIGMA + "return 8 / pixels", r"the same whatever `squared_errors` may be"),
    Wrong("try-sigma", SIGMA + "return -squared_errors.mean() / pixels", r"the opposite of"),
    Wrong("try-sigma", SIGMA + "return (squared_errors.mean() / pixels).log()", r"the logarithm of"),
    Wrong("try-sigma", SIGMA + "return squared_errors / pixels", r"expected shape \(\), got \(3,\)", specific=False),
    Wrong("try-sigma", SIGMA + "return squared_errors.mean() / pixel", r"raises NameError"),
    Wrong(
        "try-sigma",
        "def best_sigma2(squared_errors):\n    return squared_errors.mean()",
        r"arguments \(squared_errors, pixels\)",
    ),
    Wrong("try-sigma", SIGMA + "squared_errors.mean() / pixels", r"gives back None"),
    Wrong(
        "try-target",
        TARGET + "return z + (target - z @ direction)[:, None] * direction",
        r"Divide the missing projection",
    ),
    Wrong(
        "try-target",
        TARGET + "return z + ((target - z @ direction) / direction.norm())[:, None] * direction",
        r"not by ‖d‖",
    ),
    Wrong(
        "try-target", TARGET + "return z + target / (direction @ direction) * direction", r"each face's own projection"
    ),
    Wrong("try-target", TARGET + f"return z - ({ALPHA})[:, None] * direction", r"target minus projection"),
    Wrong("try-target", TARGET + f"return z + ({ALPHA}).mean() * direction", r"face by face"),
    Wrong("try-target", TARGET + f"return ({ALPHA})[:, None] * direction", r"add it to z"),
    Wrong("try-target", TARGET + f"return {ALPHA}", r"return the moved codes"),
    Wrong("try-target", TARGET + "return z", r"the same whatever `direction` and `target` may be"),
    Wrong(
        "try-target",
        TARGET + "return z + ((6.0 - z @ direction) / (direction @ direction))[:, None] * direction",
        r"the same whatever `target` may be",
    ),
    Wrong("try-target", TARGET + f"return z + {ALPHA} * direction", r"raises RuntimeError"),
    Wrong("try-target", TARGET + "return z + target * direction", r"How far has each face still to go"),
    Wrong("try-target", TARGET + "return z + target", r"Not yet", specific=False),
    Wrong("try-without", WITHOUT + "return direction - (direction @ other) * other", r"need not have length one"),
    Wrong(
        "try-without",
        WITHOUT + "return direction - (direction @ other) / other.norm() * other",
        r"the projection needs ‖u‖²",
    ),
    Wrong(
        "try-without",
        WITHOUT + "return direction - (direction @ other) / (direction @ direction) * other",
        r"divided by d · d",
    ),
    Wrong(
        "try-without",
        WITHOUT + "return direction - F.cosine_similarity(direction, other, dim=0) * other",
        r"A cosine forgets how long",
    ),
    Wrong("try-without", WITHOUT + "return (direction @ other) / (other @ other) * other", r"the component itself"),
    Wrong(
        "try-without",
        WITHOUT + "return other - (direction @ other) / (direction @ direction) * direction",
        r"do the reverse",
    ),
    Wrong("try-without", WITHOUT + "return direction + (direction @ other) / (other @ other) * other", r"subtract it"),
    Wrong("try-without", WITHOUT + "return direction - other", r"not only as much of it as d contains"),
    Wrong("try-without", WITHOUT + "return (direction @ other) / (other @ other)", r"only how much of u is in d"),
    Wrong("try-without", WITHOUT + "return direction", r"the same whatever `other` may be"),
    Wrong("try-without", WITHOUT + "return direction - direction * other", r"Not yet", specific=False),
]
