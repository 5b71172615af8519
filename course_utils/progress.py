"""How long work goes on: a bar that leaves one plain line in a notebook."""

from collections.abc import Mapping
from typing import Any

from IPython.display import display
from tqdm.auto import tqdm

IN_NOTEBOOK = any(base.__module__ == "tqdm.notebook" for base in tqdm.__mro__)


class Bar(tqdm):
    """A bar of which a notebook keeps one plain line: a widget is gone when the kernel is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | ({"display": False} if IN_NOTEBOOK else {}))
        self.shown = display(self.container, display_id=True) if IN_NOTEBOOK and not self.disable else None

    def close(self) -> None:
        """Put the line in the place of the widget, once."""
        super().close()
        shown, self.shown = getattr(self, "shown", None), None
        if shown is not None:
            shown.update({"text/plain": str(self)}, raw=True, metadata={"progress-bar": True})


def epochs_bar(epochs: int, steps_per_epoch: int, *, done: int = 0, enabled: bool = True) -> Bar:
    """A bar over the steps of all epochs, of which `done` lie behind."""
    return Bar(
        total=epochs * steps_per_epoch,
        initial=done * steps_per_epoch,
        desc=f"{epochs} epoch{'s' if epochs > 1 else ''}",
        unit="step",
        mininterval=0.5,
        disable=not enabled,
    )


def in_words(losses: Mapping[str, float], unit: str = " nats") -> str:
    """What stands behind the bar: every loss by its name."""
    return ", ".join(f"{name} {value:.1f}" for name, value in losses.items()) + unit
