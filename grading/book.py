"""Enters a marked notebook into the gradebook, with nbgrader's own steps; only one process at a time may do this."""

import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from nbformat import NotebookNode
from nbgrader.apps import NbGraderAPI
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import CheckCellMetadata, Execute, NbGraderPreprocessor
from sqlalchemy.exc import SAWarning

from course_utils.assignment.plan import ASSIGNMENT
from grading.course import configuration, put_tools_on_path, succeed

STOPPED = "KeyboardInterrupt"


class Recorded(NbGraderPreprocessor):
    """Puts the outputs that were recorded into a notebook, where nbgrader would run its cells."""

    outputs: ClassVar[Mapping[str, list[dict[str, Any]]]] = {}

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """nb and resources, every code cell with its outputs."""
        number = 0
        for cell in nb.cells:
            if cell.cell_type == "code":
                number += 1
                cell.outputs = [NotebookNode(output) for output in self.outputs.get(cell.get("id"), [])]
                cell.execution_count = number
                for output in cell.outputs:
                    if output.output_type == "execute_result":
                        output.execution_count = number
        return nb, resources


class Book:
    """The gradebook of the course in `root`, entered through a scratch course in `scratch`."""

    def __init__(self, root: Path, scratch: Path) -> None:
        put_tools_on_path()
        self.root, self.scratch = root, scratch
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        config = configuration(scratch, root / "gradebook.db")
        for name in ("sanitize_preprocessors", "autograde_preprocessors"):
            steps = getattr(Autograde, name).default()
            steps = [Recorded if step is Execute else step for step in steps if step is not CheckCellMetadata]
            setattr(config.Autograde, name, steps)  # intake has put the release's own metadata there
        self.course = NbGraderAPI(CourseDirectory(config=config), config=config)

    def enter(self, student: str, taken: Path, outputs: Mapping[str, list[dict[str, Any]]]) -> None:
        """Score the notebook in `taken` with these outputs and keep it in autograded/.  MarkingFailed if that fails."""
        handed_in, made = (self.scratch / step / student / ASSIGNMENT for step in ("submitted", "autograded"))
        shutil.copytree(taken, handed_in)
        Recorded.outputs = outputs
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SAWarning)  # nbgrader's own queries; nobody here can mend them
                result = self.course.autograde(ASSIGNMENT, student)
            if not result["success"] and (result.get("error") or "").strip().endswith(STOPPED):
                raise KeyboardInterrupt  # nbgrader takes Ctrl-C for a failure of the submission that it is at
            succeed(result)
            self._keep(made, self.root / "autograded" / student / ASSIGNMENT)
        finally:
            Recorded.outputs = {}
            for step in ("submitted", "autograded"):
                shutil.rmtree(self.scratch / step / student, ignore_errors=True)

    def _keep(self, made: Path, target: Path) -> None:
        """Put a folder in the place of an older one."""
        old = self.scratch / "old"
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
            target.rename(old)
        made.rename(target)
        shutil.rmtree(old, ignore_errors=True)
