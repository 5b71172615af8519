"""What would cost points in the folder of a submission: its runs, and its size."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from course_utils.assignment.answers import CheckFailed
from course_utils.assignment.finding import COSTLY, Finding, points
from course_utils.assignment.notebook_file import Json
from course_utils.assignment.plan import COMPARISON, MAX_MEGABYTES, RUNS, earlier_runs, planned
from course_utils.assignment.run_checks import check_different, check_own, check_whole
from course_utils.assignment.runs import read_run
from course_utils.checkpoints import CheckpointError, read_facts

MAX_FILES = 20_000  # somebody's home folder is not walked to its end


def about_folder(folder: Path, reference: dict[str, Json], own: int | None = None) -> Iterator[Finding]:
    """What is wrong with the runs, compared with the student number `own` if it is known, and with their size."""
    for name in RUNS:
        yield from _about_run(folder, name, reference, own)
    if own is None:
        yield from _about_numbers(folder)
    sizes = _sizes(folder)
    total = sum(sizes.values()) / 1e6
    if total > MAX_MEGABYTES:
        largest = ", ".join(f"{name} ({size / 1e6:.1f} MB)" for name, size in sizes.most_common(3))
        sentence = f"The folder has {total:.0f} MB; {MAX_MEGABYTES} are allowed. The largest: {largest}."
        yield Finding(COSTLY, f"{sentence} Delete or move what does not belong to the submission.")


def _about_run(folder: Path, name: str, reference: dict[str, Json], own: int | None) -> Iterator[Finding]:
    path = folder / "runs" / f"{name}.safetensors"
    shown, again = f"runs/{path.name}", "Run its training cell to the end, then save."
    worth, gone = _worth_of_run(name, reference)
    if path.is_symlink():
        yield Finding(COSTLY, f"{shown}{gone} is a link, and links are not handed in. Put the file itself there.")
    elif not path.exists() and any((folder / "runs" / "unfinished").glob(f"{name}-*.safetensors")):
        yield Finding(COSTLY, f"The run {shown}{gone} is unfinished. {again} It goes on where it stopped.")
    elif not path.exists():
        yield Finding(COSTLY, f"The run {shown}{gone} is missing. {again}")
    else:
        try:
            read_run(path)
            _check_contents(path, own)
        except CheckpointError as error:
            reason = str(error).replace(str(path), shown)
            yield Finding(COSTLY, f"The run {shown}{gone} is damaged: {reason} Delete the file first.")
        except CheckFailed as error:
            reason = str(error).replace(f"{path.parent}{os.sep}", "runs/")
            cure = "" if "delete" in reason.lower() else f" Delete {shown}. {again}"
            yield Finding(COSTLY, f"The run {shown}{worth} will lose points: {reason}{cure}")
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            yield Finding(COSTLY, f"The run {shown}{gone} cannot be read ({reason}). Delete the file. {again}")


def _worth_of_run(name: str, reference: dict[str, Json]) -> tuple[str, str]:
    """The points of a run in brackets, alone and with those of the comparison that needs it."""
    worth = sum(cell["points"] for test, cell in reference.items() if test.startswith(RUNS[name].tests))
    if not worth:
        return "", ""
    compared = reference.get(COMPARISON, {}).get("points", 0) if RUNS[name].data_set == "mnist" else 0
    also = f", and {points(compared)} of `comparison`" if compared else ""
    return f" ({points(worth)})", f" ({points(worth)}{also})"


def _check_contents(path: Path, own: int | None) -> None:
    """CheckFailed where marking will say so too, as far as that needs none of the images."""
    check_whole(path, planned(path).epochs)
    if own is not None:
        check_own(path, own)
    check_different(path, earlier_runs(path))


def _about_numbers(folder: Path) -> Iterator[Finding]:
    found: dict[int, list[str]] = {}
    for name in RUNS:
        with suppress(CheckpointError, TypeError):  # said already
            found.setdefault(read_facts(folder / "runs" / f"{name}.safetensors").get("student"), []).append(name)
    if len(found) > 1:
        told = "; ".join(f"{number} in {', '.join(names)}" for number, names in found.items())
        cure = "Delete those that do not carry yours, and run their training cells."
        yield Finding(COSTLY, f"The runs carry different student numbers: {told}. {cure}")


def _sizes(folder: Path) -> Counter[str]:
    """Bytes of each file that is handed in, by its path in the folder; hidden and unfinished ones stay behind."""
    sizes: Counter[str] = Counter()
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__")) and name != "unfinished"]
        for name in files:
            path = Path(place, name)
            if not name.startswith(".") and path.is_file():
                sizes[str(path.relative_to(folder))] = path.stat().st_size
        if len(sizes) > MAX_FILES:
            break
    return sizes
