"""Submissions that are as good as marked, for `benchmarks.scale`; in a module that its own process does not import."""

import json
import shutil
from pathlib import Path

import torch

from benchmarks.marking import course
from course_utils.assignment.plan import ASSIGNMENT, NOTEBOOK, RUNS
from course_utils.checkpoints import save_checkpoint
from course_utils.models import ConvVAE
from grading.intake import take
from grading.marking import MARKING, RELEASED, RESULT, Result, fingerprint
from tools.normal_form import read

SMALL = {"latent_dim": 2, "channels": (4, 4), "hidden": 16}


def _runs(folder: Path, number: int) -> None:
    """Four runs of a student's own that nobody trained, from small networks."""
    torch.manual_seed(number)
    entry = {"loss": 1.0, "bce": 1.0, "sse": 1.0, "kl": 1.0}
    for planned in RUNS.values():
        model = ConvVAE(planned.image_shape, **SMALL)
        history = [{name: value + torch.rand(()).item() for name, value in entry.items()} for _ in range(100)]
        facts = {"data": "simulated", "data_set": planned.data_set, "bundled": True, "epochs": 100, "seed": number}
        path = folder / planned.file
        path.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(path, model, half=True, history=history, student=number, test=entry, **facts)


def empty_course(root: Path) -> None:
    """A course with a gradebook and nobody in it."""
    course(root, 0, Path())


def simulate(root: Path, first: int, last: int) -> list[str]:
    """The names of so many students who are as good as marked."""
    outputs = {cell.id: [] for cell in read(RELEASED).cells if cell.cell_type == "code"}
    return [_simulated(root, number, outputs) for number in range(first, last)]


def _simulated(root: Path, number: int, outputs: dict) -> str:
    name = f"student-{number:04d}"
    folder, place = root / "submitted" / name / ASSIGNMENT, root / MARKING / name
    _runs(folder, number)
    shutil.copyfile(RELEASED, folder / NOTEBOOK)
    take(folder, read(RELEASED), place / "taken")
    result = Result(fingerprint(root, name, True), "", [], outputs, True, 1.0)
    (place / RESULT).write_text(json.dumps(result._asdict()), encoding="utf-8")
    return name
