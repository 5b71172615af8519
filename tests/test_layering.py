"""The arrows of the house: which module of ours may import which, in every folder, however deep."""

import ast
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# module: what it may import of its folder. A package's name stands for all of its modules.
ALLOWED = {
    "": "runtime",
    "runtime": "",
    "files": "",
    "flip_book": "",
    "batching": "",
    "exercises": "",
    "objectives": "",
    "plotting": "",
    "checkpoints": "files",
    "models": "objectives",
    "latent": "batching",
    "widgets": "plotting",
    "learner": "",
    "progress": "",
    "training": "batching checkpoints learner progress runtime",
    "pretrained": "checkpoints models runtime",
    "data": "sources drawn_faces runtime",
    "train": "checkpoints data files models objectives runtime sources training",
    "sources": "",
    "sources.source": "",
    "sources.download": "sources.source",
    "sources.idx": "sources.source",
    "sources.cifar10": "sources.source",
    "sources.celeba": "sources.source files",
    "sources.smiles": "sources.source files",
    "sources.stand_ins": "sources.source",
    "drawn_faces": "",
    "drawn_faces.factors": "",
    "drawn_faces.drawing": "drawn_faces.factors",
    "drawn_faces.measures": "",
    "variants": "",
    "variants.conditional": "models objectives",
    "variants.judge": "batching models pretrained",
    "variants.measures": "batching",
    "variants.two_samples": "variants.measures",
    "variants.hierarchical": "models objectives variants.layered_loss",
    "variants.layered_loss": "objectives",
    "variants.codebook": "",
    "variants.quantized": "models objectives variants.codebook",
    "variants.code_prior": "",
    "variants.outlines": "objectives",
    "variants.recurrent": "models objectives",
    "variants.adversarial": "batching checkpoints learner progress training",
    "variants.players": "models",
    "variants.games": "objectives training variants.adversarial variants.averaging variants.players",
    "variants.diffusion": "",
    "variants.diffusion_bound": "batching variants.diffusion",
    "variants.flow_matching": "",
    "variants.denoisers": "",
    "variants.averaging": "",
    "variants.reference": "batching pretrained variants.judge variants.measures",
    "variants.settled": (
        "variants.code_prior variants.denoisers variants.diffusion variants.flow_matching variants.players "
        "variants.quantized"
    ),
    "assignment": "",
    "assignment.plan": "",
    "assignment.answers": "exercises",
    "assignment.runs": "batching checkpoints data files latent models objectives runtime training",
    "assignment.run_checks": (
        "assignment.plan assignment.answers assignment.runs batching checkpoints data latent models sources training"
    ),
    "assignment.outputs": "assignment.runs batching",
    "assignment.truths": "assignment.plan",
    "assignment.questions": "assignment.plan assignment.answers assignment.truths models",
    "assignment.run_questions": ("assignment.plan assignment.answers assignment.outputs assignment.run_checks data"),
    "assignment.finding": "assignment.plan",
    "assignment.notebook_file": "assignment.plan runtime",
    "assignment.answer_code": "assignment.notebook_file",
    "assignment.submitted_runs": (
        "assignment.plan assignment.answers assignment.finding assignment.notebook_file assignment.run_checks "
        "assignment.runs checkpoints"
    ),
    "assignment.submission": (
        "assignment.plan assignment.answer_code assignment.finding assignment.notebook_file assignment.submitted_runs"
    ),
}
GRADING = {
    "": "",
    "__main__": "run",
    "plain": "",
    "guest": "plain",
    "course": "hindrance",
    "release": "course",
    "placing": "",
    "intake": "placing",
    "sandbox": "course guest",
    "parent": "guest plain",
    "student": "guest plain sandbox standby",
    "hindrance": "",
    "pool": "",
    "standby": "guest plain sandbox",
    "judge": "guest hindrance plain student",
    "replay": "",
    "alike": "course",
    "marking": "alike course intake judge replay standby student",
    "book": "course",
    "handback": "course guest hindrance",
    "report": "alike course handback marking pool",
    "class_page": "course handback report",
    "run": "book class_page course hindrance marking pool report sandbox",
    "lms": "course handback hindrance report",
}
LATER = ("assignment", "variants")  # what no module that a lesson teaches may import


def modules(folder: Path) -> dict[str, Path]:
    """Dotted name within the folder -> file, for every module below it; a package's own file has the package's name."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(source: str) -> set[str]:
    """Everything that this source imports, by its whole name, wherever the import stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide an arrow; write the whole name"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def arrows(folder: Path) -> dict[str, set[str]]:
    """Module -> the modules of the same folder that it imports."""
    known, found = modules(folder), {}
    for name, path in known.items():
        ours = (whole for whole in imports(path.read_text()) if whole.split(".")[0] == folder.name)
        found[name] = {_module(whole.partition(".")[2], known) for whole in ours} - {name}
    return found


def _module(target: str, known: dict[str, Path]) -> str:
    """The longest part of an imported name that is a module: what follows is a name in it."""
    while target and target not in known:
        target = target.rpartition(".")[0]
    return target


def forbidden(found: dict[str, set[str]], allowed: dict[str, str]) -> list[str]:
    """The arrows that the table does not allow, and the modules that it does not know."""
    wrong = [f"{name} is new: say what it may import" for name in sorted(found.keys() - allowed.keys())]
    for name, targets in found.items():
        may = allowed.get(name, "").split()
        fine = {target for target in targets if any(f"{target}.".startswith(f"{one}.") for one in may)}
        wrong += [f"{name} -> {target}" for target in sorted(targets - fine)]
    return wrong


@pytest.mark.parametrize(("folder", "allowed"), [("course_utils", ALLOWED), ("grading", GRADING)])
def test_a_module_imports_only_what_lies_below_it(folder, allowed):
    assert forbidden(arrows(ROOT / folder), allowed) == []
    assert set(allowed) == set(modules(ROOT / folder)), "the table names a module that is gone"


def test_a_planted_import_in_a_sub_package_is_found(tmp_path):
    deep = tmp_path / "course_utils" / "sources"
    deep.mkdir(parents=True)
    for name, source in {
        "../__init__": "",
        "__init__": "",
        "idx": "",
        "source": "def f():\n    from course_utils.sources.idx import read_idx\n",
        "stranger": "import course_utils.sources.source",
    }.items():
        (deep / f"{name}.py").write_text(source)
    found = arrows(deep.parent)
    assert found["sources.source"] == {"sources.idx"}
    assert found["sources.stranger"] == {"sources.source"}
    assert forbidden(found, ALLOWED) == [
        "sources.stranger is new: say what it may import",
        "sources.source -> sources.idx",
        "sources.stranger -> sources.source",
    ]


@pytest.mark.parametrize("folder", ["course_utils", "grading", "tools"])
def test_the_arrows_make_no_circle(folder):
    below = {name: targets - {""} for name, targets in arrows(ROOT / folder).items()}
    while below:
        leaves = {name for name, needs in below.items() if not needs & set(below)}
        assert leaves, f"a circle among {sorted(below)}"
        below = {name: needs for name, needs in below.items() if name not in leaves}


def test_what_lessons_teach_knows_nothing_of_what_comes_later():
    for name, targets in arrows(ROOT / "course_utils").items():
        if not name.startswith(LATER):
            assert not {target for target in targets if target.startswith(LATER)}, name


@pytest.mark.parametrize("folder", ["course_utils", "tools"])
def test_the_package_knows_neither_tests_nor_grading(folder):
    for path in modules(ROOT / folder).values():
        roots = {name.split(".")[0] for name in imports(path.read_text())}
        assert not roots & {"tests", "grading", "solutions", "assignments"}, path.name


def test_the_package_never_prints_but_for_stand_ins_changed_runs_and_the_command_lines():
    speakers = {name for name, path in modules(ROOT / "course_utils").items() if _calls_print(path.read_text())}
    assert speakers == {"data", "assignment.runs", "assignment.submission", "train"}


def _calls_print(source: str) -> bool:
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return any(getattr(call.func, "id", "") == "print" for call in calls)


def test_the_detector_sees_every_form_of_import():
    source = "from course_utils.a import x\nimport course_utils.b\nfrom course_utils import c\n"
    source += "def f():\n    import course_utils.d.e\n"
    assert imports(source) == {"course_utils.a.x", "course_utils.b", "course_utils.c", "course_utils.d.e"}


def test_a_wheel_brings_every_module_and_each_can_be_imported(tmp_path):
    """An editable install hides that a plain one drops a sub-package."""
    origin, unpacked = tmp_path / "origin", tmp_path / "unpacked"
    shutil.copytree(ROOT / "course_utils", origin / "course_utils", ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, origin)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", tmp_path, origin], check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(unpacked)
    names = [f"course_utils.{name}".rstrip(".") for name in modules(ROOT / "course_utils")]
    code = f"import sys; sys.path.insert(0, {str(unpacked)!r})\nfrom importlib import import_module\n"
    code += f"files = [import_module(name).__file__ for name in {names}]\n"
    code += f"assert all(file.startswith({str(unpacked)!r}) for file in files), files"
    subprocess.run([sys.executable, "-I", "-c", code], check=True)


def taught_in() -> dict[str, set[str]]:
    """Module or folder -> numbers of the lessons with a cell that carries `teaches-NAME` for a name in it."""
    found: dict[str, set[str]] = {}
    homes = {name: module for module, path in modules(ROOT / "course_utils").items() for name in _defined(path)}
    for lesson in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        for cell in json.loads(lesson.read_text(encoding="utf-8"))["cells"]:
            for tag in cell["metadata"].get("tags", []):
                if tag.startswith("teaches-"):
                    home = homes[tag.removeprefix("teaches-")].split(".")[0]  # a package stands for its modules
                    found.setdefault(home, set()).add(lesson.name[:2])
    return found


def _defined(path: Path) -> list[str]:
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [node.name for node in ast.parse(path.read_text()).body if isinstance(node, kinds)]


def test_the_package_opens_with_a_map_of_its_modules_and_the_lessons_that_teach_them():
    docstring = ast.get_docstring(ast.parse((ROOT / "course_utils" / "__init__.py").read_text())) or ""
    rows = re.findall(r"(?m)^    ([a-z_]+)  +\S.*?  +([0-9 ]+|-)$", docstring)
    top = {name for name in modules(ROOT / "course_utils") if name and "." not in name}
    assert {name for name, _ in rows} == top
    told = {name: set(lessons.split()) for name, lessons in rows if lessons != "-"}
    assert told == taught_in()
