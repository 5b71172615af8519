"""Where nbgrader finds this course: the assignment's source in solutions/, what students get in assignments/."""

from pathlib import Path

import nbgrader

c = get_config()  # noqa: F821

ROOT = Path(__file__).resolve().parent
c.CourseDirectory.root = str(ROOT)
c.CourseDirectory.course_id = "vae"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "assignments"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", "unfinished", ".*"]

# What stands in a student's notebook in the place of a solution; in a notebook it shows as one friendly sentence.
c.ClearSolutions.code_stub = {"python": "raise Unanswered()"}
c.ClearSolutions.text_stub = "Your answer here."

# Marking trains nothing, so a cell that takes longer than this is lost in a loop.
c.Execute.timeout = 60
c.ExecutePreprocessor.timeout = 60

# No tag leaves a cell out, for nbgrader gives full points for a test that did not run. And lines on stderr, which
# libraries and loggers write whatever the answer is, cost nothing: nbgrader would give 0 for them.
c.Execute.skip_cells_with_tag = "none,at,all"  # no tag may hold a comma
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = r"[\s\S]"

# A notice about loopback ports is nothing to read once for every submission.
c.Execute.extra_arguments = ["--HistoryManager.hist_file=:memory:", "--IPKernelApp.log_level=ERROR"]

# Formulas are MathML in feedback and in formgrader, for neither should need a network (tools/maths.py). nbgrader's own
# templates are named again because ours only come before them.
NBGRADER_TEMPLATES = Path(nbgrader.__file__).parent / "server_extensions" / "formgrader" / "templates"
c.HTMLExporter.filters = {"markdown2html": "tools.maths.markdown2html"}
c.HTMLExporter.preprocessors = ["tools.maths.LatexOutputs"]
c.HTMLExporter.extra_template_basedirs = [str(ROOT / "labconfig" / "templates"), str(NBGRADER_TEMPLATES)]

# `nbgrader zip_collect` reads downloaded/assignment4/archive/: STUDENT_assignment4.zip, with whatever a learning-
# management system puts before or behind these words, or its folders NAME_NUMBER_assignsubmission_file with a zip in
# each. What stands before the words becomes the student's name; the folder in the zip may have any name. Hidden
# folders, copies that macOS adds, and unfinished runs are left out.
c.FileNameCollectorPlugin.named_regexp = (
    r".*/extracted/(?P<student_id>[^/]+?)_(?:assignment4|assignsubmission_file)[^/]*/"
    r"(?:(?!\.)[^/]+/)*"
    r"(?P<file_id>(?!\.)[^/]+\.ipynb|cells\.json|runs/[a-z0-9]+\.(?:safetensors|json))$"
)
c.FileNameCollectorPlugin.valid_ext = [".ipynb", ".safetensors", ".json"]

# The folder through which work is exchanged on one machine is yours to choose (docs/instructors.md):
# c.Exchange.root = "/srv/nbgrader/exchange"
