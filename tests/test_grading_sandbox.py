"""The sandbox: what a student's code can reach in it, what crosses its border, and what is said where there is none."""

import math
import stat

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_utils.assignment import questions
from course_utils.assignment.answers import PASSED, CheckFailed
from grading import report, run, sandbox, standby
from grading.judge import Answer, judged
from grading.marking import RELEASED, SOURCE
from grading.plain import HEAD, NotPlain, frame, pack, parse_frame, unpack
from grading.sandbox import NoSandbox, Place, require
from grading.student import Student
from tests.bank import BUNDLED, sandboxed
from tests.test_grading_bank import hand_in
from tools.normal_form import read

LOOKS = """
import os, socket, subprocess, pathlib
def attempt(call):
    try:
        return str(call())
    except Exception as error:
        return type(error).__name__
print(os.getuid() != 0 and os.getgid() != 0, os.getpid() < 10)
print(attempt(lambda: socket.create_connection(("127.0.0.1", 9), 1)), [p for p in ["/sys"] if os.path.exists(p)])
places = ("/etc/passwd", "/var", "/home", "/root/.ssh", "/course/solutions", "/course/tests", "/course/grading")
print([path for path in places if os.path.exists(path)])
print(attempt(lambda: open("/course/course_utils/models.py", "a")), attempt(lambda: open("/hand-in/runs/x", "w")))
print(attempt(lambda: os.setuid(0)), attempt(lambda: os.mkdir("/new")), attempt(lambda: open("/dev/x", "w")))
print(sorted(name for name in os.environ if "SECRET" in name or "KEY" in name))
print(sorted(path.name for path in pathlib.Path("/hand-in").rglob("*")))
print(attempt(lambda: __import__("resource").setrlimit(__import__("resource").RLIMIT_AS, (-1, -1))))
"""

needs_sandbox = pytest.mark.skipif(not sandboxed(), reason="bubblewrap does not work here")


@needs_sandbox
@pytest.mark.parametrize("alone", [False, True])
def test_what_code_in_the_sandbox_can_reach(tmp_path, monkeypatch, alone):
    monkeypatch.setenv("MY_SECRET", "hidden")
    if alone:
        monkeypatch.setattr("grading.student.begun", standby.Alone)
    (tmp_path / "runs").mkdir()
    (tmp_path / "assignment4.ipynb").write_text("a neighbour's")
    with Student(Place(tmp_path / "runs", True, tmp_path)) as student:
        lines = student.cell(LOOKS)["printed"].splitlines()
        assert type(student.process) is (standby.Alone if alone or standby.python_lies_in_the_way() else standby.Forked)
    assert lines[0] == "True True"
    assert lines[1].split(" ", 1)[1] == "[]" and lines[1].split()[0] in ("OSError", "ConnectionRefusedError")
    assert lines[2] == "[]" and set(" ".join(lines[3:5]).split()) <= {"PermissionError", "OSError"}
    assert lines[5:7] == ["[]", "['runs']"]
    assert lines[7] == "ValueError"


def test_without_bubblewrap_marking_is_refused_in_one_sentence(tmp_path, monkeypatch, capsys):
    (tmp_path / "submitted" / "ada" / "assignment4").mkdir(parents=True)
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    sandbox._why_not.cache_clear()
    try:
        assert run.main(["--root", str(tmp_path)]) == 2
    finally:
        sandbox._why_not.cache_clear()
    told = capsys.readouterr().err
    assert "bubblewrap is not installed" in told and "--unsafe-no-sandbox" in told and told.count("\n") == 1


def test_where_namespaces_are_forbidden_it_is_said_why(tmp_path, monkeypatch):
    tool = tmp_path / "bwrap"
    tool.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    tool.chmod(stat.S_IRWXU)
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: str(tool))
    sandbox._why_not.cache_clear()
    try:
        with pytest.raises(NoSandbox, match="No permissions to create new namespace.*AppArmor"):
            require()
    finally:
        sandbox._why_not.cache_clear()


def test_without_a_sandbox_the_first_line_of_the_report_says_so(tmp_path, monkeypatch, capsys):
    from tests.bank import Course

    course = Course(tmp_path)
    hand_in(course, "ada", course.submission({}))
    with BUNDLED():
        assert run.main(["--root", str(tmp_path), "--unsafe-no-sandbox"]) == 0
    assert capsys.readouterr().out.startswith(report.UNSAFE)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "MARKED WITHOUT A SANDBOX" in page.split("<body>")[1].splitlines()[1]
    assert "<b>ada</b>" in page and "0 of 40" in page


# What crosses


def crossed(value):
    blobs = []
    packed = pack(value, blobs)
    data = frame(packed, blobs)
    text, _ = HEAD.unpack_from(data)
    return unpack(*parse_frame(data[HEAD.size : HEAD.size + text], data[HEAD.size + text :]))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
        max_leaves=8,
    )
)
def test_plain_values_cross_as_they_are(value):
    assert crossed(value) == value


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
def test_tensors_cross_with_shape_dtype_and_gradient(dtype):
    value = torch.arange(6).reshape(2, 3).to(dtype)
    for tensor in (value, value[:, ::2], value[:0], value.t(), value[0, 1]):
        other = crossed(tensor)
        assert other.dtype == dtype and torch.equal(other, tensor)
    assert crossed(torch.zeros(2, requires_grad=True)).requires_grad


def test_arrays_generators_and_named_tuples_cross():
    generator = torch.Generator().manual_seed(3)
    torch.rand(5, generator=generator)
    twin = crossed(generator)
    assert torch.equal(torch.rand(3, generator=twin), torch.rand(3, generator=generator))
    assert np.array_equal(crossed(np.arange(4.0)[::2]), [0, 2]) and crossed(np.float32(2)).dtype == "float32"
    from course_utils.objectives import NegativeElbo

    assert type(crossed(NegativeElbo(1, 2, 3))).__name__ == "NegativeElbo" and crossed(NegativeElbo(1, 2, 3)).kl == 3


def test_what_is_no_plain_data_crosses_as_the_name_of_its_type():
    for value in (object(), lambda: 0, torch.eye(2).to_sparse(), torch.empty(2, device="meta"), np.array([object()])):
        assert type(crossed(value)).__name__ == type(value).__name__
        assert not hasattr(crossed(value), "shape")


LIES = (
    *(
        {"is": "tensor", "dtype": "float32", "shape": shape, "at": 0}
        for shape in ([3], [-2], [2**40], ["2"], None, [2.0])
    ),
    *({"is": "tensor", "dtype": "object", "shape": [2], "at": 0}, {"is": "array", "dtype": "O", "shape": [1], "at": 0}),
    *({"is": "tensor", "dtype": "float32", "shape": [2], "at": 7}, {"is": "generator", "at": 0}, {"is": "pickle"}, []),
    *({"is": "tuple", "items": [1], "name": "x", "fields": ["__class__"]}, {"is": "mapping", "items": [[[], 1]]}),
    *({"is": "list", "items": "abc"}, {"is": "complex", "parts": ["1", 2]}, {"is": "list"}),
)


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_a_lie_about_a_value_is_no_value(lie):
    with pytest.raises(NotPlain):
        unpack(lie, [bytes(8)])


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"message": 1}', b'{"message": 1, "sizes": 3}', b"[" * 10**5])
def test_a_damaged_frame_is_said_to_be_one(text):
    with pytest.raises(NotPlain):
        parse_frame(text, b"")


# What a test sees of a student's function


class Far:
    """A session that answers one call with what it is told to."""

    def __init__(self, call):
        self.function = call

    def call(self, name, request, blobs):
        given = unpack(request["arguments"], blobs)
        back = []
        before = [t.clone() if torch.is_tensor(t) else t for t in given]
        value = pack(self.function(*given), back)
        changed = [
            [k, pack(t, back)] for k, t in enumerate(given) if torch.is_tensor(t) and not torch.equal(t, before[k])
        ]
        return {"value": value, "changed": changed, "printed": "seen\x1b[2J"}, back


def test_a_stand_in_does_what_the_function_does(capsys):
    argument = torch.ones(3)
    value = Answer("double", Far(lambda x: x.mul_(2).sum()))(argument)
    assert value == 6 and torch.equal(argument, torch.full((3,), 2.0))
    assert capsys.readouterr().out == "seen"
    assert math.isnan(Answer("nothing", Far(lambda: math.nan))())


FUNCTIONS = """
import torch
from collections import namedtuple
def product(mu, logvar): return mu**2 * logvar.exp()
def parts(mu, logvar): return namedtuple("Parts", "a b")(mu**2 * logvar.exp(), mu)
def cut(mu, logvar): return product(mu, logvar).detach()
def half(mu, logvar): return 3 * mu
def faulty(mu, logvar): return mu[7]
def sample_latent(mu, logvar, generator=None):
    return mu + (logvar / 2).exp() * torch.randn(mu.shape, generator=generator)
"""


@needs_sandbox
def test_gradients_are_asked_where_the_function_is(tmp_path):
    (tmp_path / "runs").mkdir()
    mu, logvar = (torch.tensor([[1.0, -2.0, 0.5]], requires_grad=True) for _ in range(2))
    expected = [2 * mu.detach() * logvar.detach().exp(), mu.detach() ** 2 * logvar.detach().exp()]
    with BUNDLED(), Student(Place(tmp_path / "runs", True, tmp_path)) as student:
        student.cell(FUNCTIONS)
        found = {
            name: questions.gradients(Answer(name, student), mu, logvar) for name in ("product", "parts", "cut", "half")
        }
        for name in ("product", "parts"):
            torch.testing.assert_close(found[name], expected)
        assert found["cut"] == [None, None]
        assert torch.equal(found["half"][0], torch.full((1, 3), 3.0)) and found["half"][1] is None
        assert questions.check_gradient(Answer("sample_latent", student)) == PASSED
        with pytest.raises(CheckFailed, match="no gradient reaches mu and logvar"):
            questions.check_gradient(Answer("cut", student))
        with pytest.raises(CheckFailed, match="faulty raised IndexError"):
            questions.gradients(Answer("faulty", student), mu, logvar)


@needs_sandbox
def test_tests_that_a_student_cannot_reach_judge_what_he_gives(tmp_path):
    """The same notebook, honest and with everything patched that a test uses."""
    notebook = read(RELEASED)
    for cell in notebook.cells:
        if cell.id == "kl-per-image":
            cell.source = (
                "import course_utils.assignment.questions as q\\nq.check = q.check_that = lambda *a, **k: None\\n"
            )
            cell.source = cell.source.replace("\\n", "\n") + "def kl_per_image(mu, logvar): return mu.sum(dim=1)"
    (tmp_path / "runs").mkdir()
    with BUNDLED(), Student(Place(tmp_path / "runs", True, tmp_path)) as student:
        outputs = judged(notebook, read(SOURCE), student, tmp_path)
    assert outputs["test-kl-shape"][-1].text.startswith("Passed.")
    assert outputs["test-kl-values"][-1].ename == "CheckFailed"
    assert "Not answered yet" in outputs["test-sse"][-1].evalue
