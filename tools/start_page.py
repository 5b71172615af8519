"""The page that `make lab` opens: the lessons in order, from what their own title cells say."""

import re
from pathlib import Path

from course_utils.runtime import profile
from tools.normal_form import ROOT, read
from tools.working_copy import sources

NAME = "START.md"
PAGE = """# Variational autoencoders, executed

**A click on a lesson opens it.** Read from top to bottom. `Shift` + `Enter` runs the framed cell and goes to the
next one, *Run ▸ Run All Cells* runs them all, and ■ in the toolbar stops. What was training goes on from there
when its cell is run again.

| lesson | what you need | time |
|---|---|---|
{lessons}

**Quick or full.** Lessons come with the results of full runs on real data, so you can read them without running
anything. A run of yours replaces the results in your copy. This JupyterLab runs the **{profile}** profile; {other}

**Your copy.** All this lies in the folder `work`, is yours, and is never overwritten. When the course changes, you
get the new version of what you have not touched, and a second file beside your own of what you have. `make fresh
LESSONS=02` gives you a lesson as it came, and keeps yours under another name.

## Assignment

| assignment | what you need | time |
|---|---|---|
{assignments}

Its runs are kept beside it, in `runs`. Before you hand in, run its last cell, or `make check-submission`.
"""
OTHER = {
    "quick": "`COURSE_PROFILE=full make lab` gives the runs that the prose describes.",
    "full": "without `COURSE_PROFILE=full` it runs in a fraction of the time.",
}


class Unsaid(ValueError):
    """A title cell that does not say what the start page needs to know."""


def page(root: Path = ROOT) -> str:
    """The start page in Markdown, with links that hold in the working copy.  Unsaid where a title cell lacks a fact."""
    notebooks = [
        path for source in sources(root) for path in ([source] if source.is_file() else source.glob("*.ipynb"))
    ]
    lessons = [row(path, path.name) for path in notebooks if path.parent.name == "notebooks"]
    others = [row(path, f"{path.parent.name}/{path.name}") for path in notebooks if path.parent.name != "notebooks"]
    words = {"profile": profile(), "other": OTHER[profile()]}
    return PAGE.format(lessons="\n".join(lessons), assignments="\n".join(others), **words)


def row(path: Path, link: str) -> str:
    """A notebook's line of the table, from its first cell."""
    title = read(path).cells[0].source
    facts = [_said(pattern, title, path) for pattern in (r"^# (.+)$", _field("What you need"), _field("Time"))]
    name, need, time = (fact.replace("|", r"\|") for fact in facts)
    return f"| [{name}]({link}) | {need} | {time} |"


def _field(name: str) -> str:
    return rf"^\*\*{name}:?\*\*:? (.+(?:\n.+)*)"


def _said(pattern: str, title: str, path: Path) -> str:
    found = re.search(pattern, title, flags=re.MULTILINE)
    if not found:
        raise Unsaid(f"{path.name}: its first cell has no line like {pattern}; the start page needs it.")
    return " ".join(found[1].split())
