"""Forked kernels: a notebook gives what it gives in a fresh kernel, and none leaves anything behind for the next."""

import os
import signal
import time

import pytest
from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.preprocessors import Execute
from traitlets.config import Config

from grading.warm_kernel import AVAILABLE, Parent, WarmExecute

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="kernels are forked on Linux only")

QUIET = {"Execute": {"extra_arguments": ["--HistoryManager.hist_file=:memory:", "--IPKernelApp.log_level=ERROR"]}}
LIKE_FRESH = (
    "import os, sys; print(sys.argv[0].endswith('ipykernel_launcher.py'), sys.path)",
    "print(os.getcwd(), os.getpgid(0) == os.getpid(), __name__)",
    "print(sorted(name for name in os.environ if name != 'JPY_PARENT_PID'))",
    "import signal, threading; print(signal.getsignal(signal.SIGCHLD), threading.active_count())",
    "print(os.system('exit 3'), file=sys.stderr)",
    "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()",
    "import torch; plt.get_backend(), torch.__version__, torch.get_num_threads(), torch.eye(2).inverse()",
    "import tqdm.auto, course_utils.training as t; print([base.__module__ for base in t.tqdm.__mro__])",
    "'PATH' in os.environ and undefined",
)


def executed(execute, sources, folder, **settings):
    nb = new_notebook(cells=[new_code_cell(source) for source in sources])
    step = execute(config=Config(QUIET), kernel_name="python3", **settings)
    nb, _ = step.preprocess(nb, {"metadata": {"path": str(folder)}})
    return [cell.outputs for cell in nb.cells]


def text(outputs):
    return "".join(output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs)


def test_outputs_are_those_of_a_fresh_kernel(tmp_path):
    fresh, forked = (executed(execute, LIKE_FRESH, tmp_path) for execute in (Execute, WarmExecute))
    for source, one, other in zip(LIKE_FRESH, fresh, forked, strict=True):
        assert one == other, source
    assert text(forked[0]).startswith("True") and "Figure" in text(forked[5]) and "tqdm.notebook" in text(forked[7])
    assert forked[-1][0].ename == "NameError"


def test_no_kernel_sees_what_another_one_changed_or_drew(tmp_path):
    start = "import numpy as np, os, random, torch\n"
    changes = f"{start}print(os.getppid(), random.random(), np.random.rand(), torch.rand(1).item())\ntorch.seen = 1"
    sees = changes.replace("torch.seen = 1", "print(hasattr(torch, 'seen'))")
    one, other = (text(executed(WarmExecute, [source], tmp_path)[0]).split() for source in (changes, sees))
    assert one[0] == other[0] and other[-1] == "False"
    assert set(one[1:]).isdisjoint(other[1:])


def test_a_loop_is_interrupted_and_the_kernel_and_its_children_end(tmp_path):
    loop = "import os, subprocess\nprint(os.getpid(), subprocess.Popen(['sleep', '600']).pid)\nwhile True: pass"
    (first, second) = executed(WarmExecute, [loop, "print('goes on')"], tmp_path, timeout=2)
    assert first[-1].ename in ("KeyboardInterrupt", "CellTimeoutError") and text(second) == "goes on\n"
    pids = [int(word) for word in text(first).split()]
    deadline = time.monotonic() + 30
    while any(running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(pids) == 2 and not any(running(pid) for pid in pids)


def running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_kernel_that_dies_is_told_from_one_that_runs_and_the_next_one_works(tmp_path):
    with pytest.raises(DeadKernelError):
        executed(WarmExecute, ["import os; os._exit(1)"], tmp_path)
    assert text(executed(WarmExecute, ["print(1)"], tmp_path)[0]) == "1\n"


def test_a_parent_that_was_killed_is_replaced(tmp_path):
    asked = ["import os; print(os.getppid())"]
    first = int(text(executed(WarmExecute, asked, tmp_path)[0]))
    os.kill(first, signal.SIGKILL)
    Parent.current.process.wait()
    assert int(text(executed(WarmExecute, asked, tmp_path)[0])) not in (first, os.getpid())


def test_a_parent_serves_its_own_environment_only(tmp_path):
    executed(WarmExecute, ["1"], tmp_path)
    assert Parent.current.serves(dict(os.environ, JPY_PARENT_PID="1", NBGRADER_EXECUTION="autograde"))
    assert not Parent.current.serves(dict(os.environ, OMP_NUM_THREADS="3"))
