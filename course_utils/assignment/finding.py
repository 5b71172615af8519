"""One thing that the check before hand-in found, with its cure."""

from typing import NamedTuple

from course_utils.assignment.plan import NOTEBOOK

FATAL, COSTLY, NOTE = "fatal", "costly", "note"
FRESH = f"Fetch a fresh {NOTEBOOK}, put your answers into its cells, and hand in that one."


class Finding(NamedTuple):
    """One sentence or two: what was found, and the cure. A costly one takes points away."""

    weight: str  # FATAL: nothing can be marked; COSTLY, or only a NOTE
    sentence: str

    @property
    def costly(self) -> bool:
        return self.weight != NOTE


def points(worth: float) -> str:
    """1 point, 2 points, 2.5 points."""
    return "1 point" if worth == 1 else f"{worth:g} points"
