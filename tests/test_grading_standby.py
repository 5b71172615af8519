"""Sessions are forked: each is another one with nothing of the student's before, and nothing of it stays behind."""

import os
import signal
import time
from pathlib import Path

import pytest

from grading import standby
from grading.sandbox import Place
from grading.student import Gone, session
from tests.bank import sandboxed

pytestmark = [
    pytest.mark.skipif(not sandboxed(), reason="bubblewrap does not work here"),
    pytest.mark.skipif(standby.python_lies_in_the_way(), reason="Python lies where every session has its own folder"),
]

LEAVES = """
import os, subprocess
mine = 1
for folder in ("/tmp", "/hand-in", "/dev/shm"):
    open(f"{folder}/left", "w").write("x")
os.environ["LEFT"] = "x"
import torch
torch.left = 1
subprocess.Popen(["sleep", "600"], start_new_session=True)
if os.fork() == 0:
    import time
    time.sleep(600)
"""
LOOKS = """
import os
print(os.listdir("runs"), "mine" in globals(), "LEFT" in os.environ, hasattr(__import__("torch"), "left"))
print([path for folder in ("/tmp", "/hand-in", "/dev/shm") for path in os.listdir(folder) if path == "left"])
print(sum(name.isdigit() for name in os.listdir("/proc")))
"""
UNCOVERS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
flags, folders = ctypes.c_ulong(32), (b"/hand-in/runs", b"/hand-in", b"/tmp", b"/dev/shm", b"/proc")
def attempts():
    undone = [libc.umount2(folder, 2) for folder in folders]
    return undone + [libc.mount(b"none", b"/hand-in/runs", b"", flags, b"")]
print({line.split()[1] for line in open("/proc/self/status") if line.startswith(("CapPrm", "CapEff", "CapAmb"))})
print(attempts(), libc.unshare(0x10000000 | 0x20000) and "refused", attempts())
"""


@pytest.fixture(autouse=True, scope="module")
def none_stands_by_afterwards():
    yield
    standby.end()


def runs(folder, name):
    (folder / name).mkdir()
    (folder / name / f"{name}.safetensors").write_text(name)
    return folder / name


def below(number: int) -> list[int]:
    """The processes that a process has, and these have."""
    tasks = Path(f"/proc/{number}/task").glob("*/children")
    found = [int(word) for task in tasks for word in task.read_text().split()]
    return [*found, *(other for child in found for other in below(child))]


def left_of(parent: standby.Parent) -> int:
    """How many processes it has when those of the last session have ended."""
    until = time.monotonic() + 20
    while len(below(parent.process.pid)) > 2 and time.monotonic() < until:
        time.sleep(0.05)
    return len(below(parent.process.pid))


def test_nothing_of_a_student_reaches_the_next_one_or_stays(tmp_path):
    standby.prepare()
    (parent,) = standby._parents
    assert parent.forks()
    for name in ("ann", "bob"):
        with session(runs(tmp_path, name), confined=True) as student:
            assert type(student.process) is standby.Forked
            looked = student.cell(LOOKS)["printed"].splitlines()
            assert student.cell(LEAVES)["error"] is None
            assert len(below(parent.process.pid)) == 2 + 5  # keeper, first, session, and its two
        assert left_of(parent) == 2  # bubblewrap, and the parent
        assert looked == [f"['{name}.safetensors'] False False False", "[]", "2"]
    assert standby._parents == [parent]


def test_a_session_cannot_uncover_what_lies_below_its_folders(tmp_path):
    with session(runs(tmp_path, "ann"), confined=True) as student:
        rights, told = student.cell(UNCOVERS)["printed"].splitlines()
        refused = student.cell("open('runs/ann.safetensors', 'w')")["error"]["ename"]
    assert told.replace("refused", "0").split() == "[-1, -1, -1, -1, -1, -1] 0 [-1, -1, -1, -1, -1, -1]".split()
    assert rights == "{'0000000000000000'}" and refused in ("OSError", "PermissionError")


def test_a_session_that_kills_itself_or_hangs_is_followed_by_another(tmp_path, monkeypatch):
    monkeypatch.setattr("grading.student.CELL_SECONDS", 2)
    hangs = "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass"
    with session(runs(tmp_path, "ann"), confined=True) as student:
        student.cell("mine = 1")
        for source, words in (("import os; os.kill(os.getpid(), 9)", "ended the process"), (hangs, "took longer")):
            with pytest.raises(Gone, match=words):
                student.cell(source)
            assert student.cell("print(mine)")["printed"] == "1\n"
        assert student.starts == 3 and type(student.process) is standby.Forked


def test_processes_that_take_too_much_memory_in_all_are_ended_and_a_few_workers_are_not(tmp_path):
    forks = "import os, time\nfor _ in range({}):\n    if os.fork() == 0:\n        time.sleep(40)\ntime.sleep({})"
    with session(runs(tmp_path, "ann"), confined=True) as student:
        assert student.cell(forks.format(8, 1))["error"] is None
        with pytest.raises(Gone, match="8 GiB of memory"):
            student.cell(forks.format(50, 40))
        assert student.cell("print(1)")["printed"] == "1\n"
    assert left_of(standby._parents[0]) == 2


def test_a_parent_of_other_settings_is_not_used_and_ends(tmp_path, monkeypatch):
    with session(runs(tmp_path, "ann"), confined=True):
        (first,) = standby._parents
    monkeypatch.setenv("COURSE_PRECISION", "float32")
    with session(runs(tmp_path, "bob"), confined=True) as student:
        assert "float32" in student.cell("import os\nprint(os.environ['COURSE_PRECISION'])")["printed"]
    assert standby._parents[0] is not first and not os.path.exists(f"/proc/{first.process.pid}")


def test_a_killed_parent_is_replaced(tmp_path):
    with session(runs(tmp_path, "ann"), confined=True) as student:
        (first,) = standby._parents
        os.killpg(first.process.pid, signal.SIGKILL)
        with pytest.raises(Gone):
            student.cell("print(1)")
        assert student.cell("print(2)")["printed"] == "2\n"
    assert standby._parents[0] is not first


def test_where_none_can_fork_sessions_start_alone(tmp_path, monkeypatch):
    standby.end()
    ends = "import socket; socket.recv_fds(socket.socket(fileno=0), 1, 2)"
    monkeypatch.setattr("grading.sandbox.PARENT", ("-c", ends))
    monkeypatch.setattr(standby, "_unable", [])
    place = Place(runs(tmp_path, "ann"), True, tmp_path)
    for _ in range(2):
        process = standby.begun(place)
        assert type(process) is standby.Alone and not standby._parents
        process.end()
    assert len(standby._unable) == 1


def test_a_parent_forks_while_it_has_one_thread(tmp_path):
    """Locks that another thread holds would stay locked in every session."""
    with session(runs(tmp_path, "ann"), confined=True):
        (parent,) = standby._parents
        numbers = [parent.process.pid, *below(parent.process.pid)]
        assert {len(os.listdir(f"/proc/{number}/task")) for number in numbers} == {1}
