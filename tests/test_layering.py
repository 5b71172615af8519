"""The arrows of the house: which module of ours may import which."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "__init__": {"runtime"},
    "runtime": set(),
    "files": set(),
    "flip_book": set(),
    "batching": set(),
    "exercises": set(),
    "objectives": set(),
    "plotting": set(),
    "stand_ins": set(),
    "face_factors": set(),
    "face_measures": set(),
    "drawn_faces": {"face_factors"},
    "celeba": {"files"},
    "smiles": {"files"},
    "checkpoints": {"files"},
    "models": {"objectives"},
    "data": {"batching", "celeba", "drawn_faces", "files", "runtime", "smiles", "stand_ins"},
    "latent": {"batching"},
    "widgets": {"plotting"},
    "pretrained": {"checkpoints", "models", "runtime"},
    "training": {"batching", "checkpoints"},
    "checks": {"exercises"},
    "submission": {"checkpoints", "checks", "run_checks", "runs", "runtime"},
    "runs": {
        *("batching", "checkpoints", "data", "files", "latent", "models", "objectives", "runtime", "training"),
    },
    "run_checks": {"batching", "checkpoints", "checks", "data", "latent", "models", "runs"},
    "train": {"checkpoints", "data", "files", "models", "objectives", "runtime", "training"},
}


def imports_of_ours(source: str) -> set[str]:
    """Modules of course_utils that this source imports absolutely, wherever the import stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide an arrow; write course_utils.name"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("course_utils.")}
    return found


def modules() -> list[Path]:
    return sorted((ROOT / "course_utils").glob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_a_module_imports_only_what_lies_below_it(path):
    assert path.stem in ALLOWED, f"{path.name} is new: say in ALLOWED what it may import"
    assert imports_of_ours(path.read_text()) <= ALLOWED[path.stem]


def test_the_table_names_no_module_that_is_gone():
    assert set(ALLOWED) == {path.stem for path in modules()}


def test_the_arrows_make_no_circle():
    below = dict(ALLOWED)
    while below:
        leaves = {name for name, needs in below.items() if not needs & set(below)}
        assert leaves, f"a circle among {sorted(below)}"
        below = {name: needs for name, needs in below.items() if name not in leaves}


@pytest.mark.parametrize("folder", ["course_utils", "tools"])
def test_the_package_knows_neither_tests_nor_grading(folder):
    for path in (ROOT / folder).glob("*.py"):
        roots = {name.split(".")[0] for name in _absolute_imports(path.read_text())}
        assert not roots & {"tests", "grading", "solutions", "assignments"}, path.name


def test_the_package_never_prints_but_for_stand_ins_changed_runs_and_the_command_lines():
    speakers = {path.stem for path in modules() if _calls_print(path.read_text())}
    assert speakers == {"data", "runs", "submission", "train"}


def _absolute_imports(source: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(source)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


def _calls_print(source: str) -> bool:
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return any(getattr(call.func, "id", "") == "print" for call in calls)


def test_the_detector_sees_every_form_of_import():
    source = "from course_utils.a import x\nimport course_utils.b\nfrom course_utils import c\n"
    source += "def f():\n    import course_utils.d\n"
    assert imports_of_ours(source) == {"a", "b", "c", "d"}
