"""This course as nbgrader sees it, in the checkout or in any other folder."""

import os
import re
import sys
from pathlib import Path

from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from course_utils.assignment.plan import ASSIGNMENT
from grading.hindrance import hindrance

REASON = re.compile(r"(?m)^ *((?:\w+\.)*\w+(?:Error|Exception): .*)$")  # in nbgrader's log: how a traceback ends
CHECKOUT = Path(__file__).resolve().parents[1]


class MarkingFailed(RuntimeError):
    """nbgrader could not do what was asked; the message holds the end of its log."""


def configuration(root: Path, gradebook: Path | None = None) -> Config:
    """nbgrader_config.py of the checkout for a course that lies in `root`, with its gradebook there or elsewhere."""
    config = PyFileConfigLoader("nbgrader_config.py", path=str(CHECKOUT)).load_config()
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.db_url = f"sqlite:///{gradebook or root / 'gradebook.db'}"
    return config


def api(root: Path, gradebook: Path | None = None) -> NbGraderAPI:
    """nbgrader's API for that course. Its calls change the working directory: one process at a time."""
    put_tools_on_path()
    config = configuration(root, gradebook)
    return NbGraderAPI(CourseDirectory(config=config), config=config)


def put_tools_on_path() -> None:
    """Let nbgrader find `alembic`, which it calls by its bare name, where the virtual environment is not activated."""
    tools = str(Path(sys.executable).parent)
    if tools not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([tools, os.environ["PATH"]])


def succeed(result: dict) -> None:
    """MarkingFailed unless a call of the API reports success; Hindered where the machine is to blame."""
    if not result["success"]:
        said = [(result.get(part) or "").strip() for part in ("error", "log")]
        if found := hindrance(MarkingFailed("\n".join(said))):
            raise found
        lines = (said[0] or said[1] or "nbgrader gave no reason").splitlines()
        raise MarkingFailed("\n".join([*lines[-12:], *REASON.findall(said[1])[-1:]]))


def students(root: Path) -> list[str]:
    """Everybody who handed in the assignment, in order."""
    return sorted(folder.parent.name for folder in (root / "submitted").glob(f"*/{ASSIGNMENT}") if folder.is_dir())
