"""How well two colours can be told apart, for tests of what is shown."""

from collections.abc import Sequence


def contrast(first: Sequence[int], second: Sequence[int]) -> float:
    """The contrast of two colours, each three numbers from 0 to 255: between 1 and 21.  [WCAG 2.1, contrast ratio]"""
    lights = sorted(luminance(colour) for colour in (first, second))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(colour: Sequence[int]) -> float:
    """Relative luminance, 0 to 1.  [WCAG 2.1]"""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (n / 255 for n in colour)]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear))
