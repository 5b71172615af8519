"""A session that starts early is another one for every student, and is used only as it would be started now."""

import os

import pytest

from grading import standby
from grading.standby import session
from tests.bank import sandboxed

pytestmark = pytest.mark.skipif(not sandboxed(), reason="bubblewrap does not work here")


@pytest.fixture(autouse=True)
def none_waits():
    yield
    standby.end()


def runs(folder, name):
    (folder / name).mkdir()
    (folder / name / f"{name}.safetensors").write_text(name)
    return folder / name


def test_each_student_has_a_session_and_runs_of_its_own(tmp_path):
    seen = []
    for name, more in (("ann", True), ("bob", False)):
        with session(runs(tmp_path, name), confined=True, more=more) as student:
            student.cell("mine = open('/tmp/left', 'w').write('x')" if name == "ann" else "")
            seen.append(student.process.pid)
            answer = student.cell("import os\nprint(os.listdir('runs'), 'mine' in globals(), os.listdir('/tmp'))")
        assert f"['{name}.safetensors']" in answer["printed"]
    assert "False" in answer["printed"] and "left" not in answer["printed"]
    assert not standby._waiting and len(set(seen)) == 2


def test_a_session_of_other_settings_is_not_used_and_ends(tmp_path, monkeypatch):
    with session(runs(tmp_path, "ann"), confined=True, more=True):
        (waiting,) = standby._waiting
    first, folder = waiting.student.process.pid, waiting.student.place.folder
    monkeypatch.setenv("COURSE_PRECISION", "float32")
    with session(runs(tmp_path, "bob"), confined=True, more=False) as student:
        assert student.process.pid != first
        assert "float32" in student.cell("import os\nprint(os.environ['COURSE_PRECISION'])")["printed"]
    assert not folder.exists() and not os.path.exists(f"/proc/{first}")
