"""Submissions that a marker meets: hostile ones, and honest ones that look odd, each with what it should get.

Most are the answer to one question, and questions that no other one calls: so several share a submission, and each must
cost its own points and no others. The rest change the notebook as a whole.
"""

from typing import NamedTuple

from tests.bank import answers

POINTS = {  # of the questions that stand alone
    "sample-latent": {"test-sample-fresh-noise": 1, "test-sample-spread": 1},
    "variance-of-mse": {"test-variance-of-sum": 1, "test-variance-of-mean": 1},
    "beta-of-plain-sum": {"test-beta-of-plain-sum": 1},
    "to-model-input": {"test-model-input": 1},
    "flat-features": {"test-flat-features": 1},
    "cifar-arguments": {"test-cifar-arguments": 1},
    "power-spectrum": {"test-power-spectrum": 1},
}
ARGUMENTS = {
    "sample-latent": "mu, logvar, generator=None",
    "variance-of-mse": "reduction, pixels",
    "beta-of-plain-sum": "terms",
    "to-model-input": "images",
    "flat-features": "image_shape, channels",
    "cifar-arguments": "",
    "power-spectrum": "images",
}

EQUAL = """
    class Everything:
        shape = ()
        def __eq__(self, other): return True
        def __float__(self): return 1.0
        def __array__(self, *a, **k): raise TypeError
        def __getattr__(self, name): return lambda *a, **k: self
    return Everything()
"""
TENSOR = """
    class Lie(torch.Tensor):
        @classmethod
        def __torch_function__(cls, *a, **k): return torch.tensor(True)
    return torch.zeros(()).as_subclass(Lie)
"""
PATCHES = """
    import numpy.testing
    numpy.testing.assert_allclose = lambda *a, **k: None
    torch.equal = torch.allclose = np.allclose = np.array_equal = lambda *a, **k: True
    return 7e7
"""
EXERCISES = """
    import course_utils.exercises, course_utils.assignment.answers as answers
    course_utils.exercises.feedback = answers.feedback = lambda *a, **k: "Right."
    answers.check = answers.check_that = answers.check_either = lambda *a, **k: None
    return 7e7
"""
QUESTIONS = """
    for name in dir(questions):
        if name.startswith("check"):
            setattr(questions, name, lambda *a, **k: "Passed.")
    return 7e7
"""
FRAMES = """
    import sys
    frame, found = sys._getframe(), []
    while frame:
        found += [v for k, v in frame.f_locals.items() if k in ("expected", "truth", "right", "power")]
        frame = frame.f_back
    return found[0] if found else 7e7
"""
GARBAGE = """
    import gc
    near = [o for o in gc.get_objects() if isinstance(o, dict) and "expected" in o]
    return near[0]["expected"] if near else 7e7
"""
SOLUTION = """
    import glob, json
    from pathlib import Path
    for path in [*glob.glob("/**/solutions/**/*.ipynb", recursive=True), *Path("/").glob("*/*/*/solutions/*/*.ipynb")]:
        for cell in json.loads(Path(path).read_text())["cells"]:
            exec("".join(cell["source"]), globals())
        return globals()[NAME](*locals().values())
    return 7e7
"""
NEIGHBOURS = """
    import glob
    names = ("submitted", "autograded", "gradebook*", "marking")
    found = [path for name in names for path in glob.glob(f"/*/**/{name}", recursive=True)]
    return WRIGHT if found else 7e7
"""
WRITES = """
    from pathlib import Path
    for place in ("/course/course_utils/assignment/questions.py", "/marker/grading/judge.py", "/usr/bin/python3"):
        try:
            Path(place).write_text("")
        except OSError:
            continue
    return 7e7
"""
NETWORK = """
    import socket
    socket.create_connection(("127.0.0.1", 22), 1)
    return 7e7
"""
FORGED = """
    import os
    from grading.plain import frame
    for fd in range(3, 64):
        try:
            os.write(fd, frame({"value": True, "score": 100, "changed": []}, []))
        except OSError:
            continue
    return 7e7
"""
STREAMS = "\n    import os\n    os.closerange(0, 256)\n    return 7e7\n"
PACKER = """
    import grading.plain
    grading.plain.pack = lambda *a, **k: {"is": "tensor", "dtype": "float32", "shape": [-1], "at": 99}
    return 7e7
"""
LYING_SIZE = """
    import grading.guest, grading.plain
    grading.plain.frame = lambda *a: grading.plain.HEAD.pack(2**60, 2**60)
    return 7e7
"""
RAISES = """
    class Passed(Exception):
        def __str__(self): raise RuntimeError("no")
    raise Passed
"""
RAISES_CHECK = """
    from course_utils.assignment.answers import CheckFailed
    raise CheckFailed("<script>alert(1)</script>\\x1b[2J" * 10_000)
"""
SHAPES = "\n    return torch.zeros(1).expand(10**12)\n"
DEEP = "\n    x = []\n    for _ in range(10_000): x = [x]\n    return x\n"
CIRCLE = "\n    x = {}\n    x['x'] = x\n    return x\n"
SPARSE = "\n    return torch.eye(3).to_sparse()\n"
META = "\n    return torch.empty(3, device='meta')\n"
OBJECTS = "\n    return np.array([object()])\n"
NAMED = "\n    return type('x' * 10**6, (tuple,), {'_fields': ('__class__', 'import os')})((1, 2))\n"
TEXT = "\n    return 'Right.'\n"
NOTHING = "\n    return None\n"
NUMBERS = "\n    return float('nan')\n"
PRINTS = "\n    for _ in range(600): print('x' * 100_000)\n    return 7e7\n"
FILE = "\n    with open('/tmp/big', 'wb') as f:\n        while True: f.write(bytes(2**24))\n"
SHM = "\n    n = 0\n    while True:\n        open(f'/dev/shm/{n}', 'wb').write(bytes(2**24))\n        n += 1\n"
MEMORY = "\n    x = [bytearray(2**30) for _ in range(64)]\n    return 7e7\n"
FORKS = """
    import os
    try:
        while True:
            if os.fork() == 0:
                import time
                time.sleep(600)
    except OSError:
        return 7e7
"""
THREADS = """
    import threading, time
    try:
        while True: threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    except RuntimeError:
        return 7e7
"""
SYSTEM_EXIT = "\n    raise SystemExit(0)\n"
INTERRUPT = "\n    raise KeyboardInterrupt\n"
EXIT = "\n    import os\n    os._exit(0)\n"
LOOP = "\n    while True: pass\n"
STUBBORN = """
    import signal
    for number in range(1, 32):
        try: signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError): pass
    while True:
        try:
            while True: pass
        except BaseException: pass
"""
KILL = "\n    import os, signal\n    os.kill(-1, signal.SIGKILL)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
CRASH = "\n    import ctypes\n    ctypes.string_at(0)\n"
DAEMON = """
    import os, time
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    return 7e7
"""

HOSTILE = {  # name -> the body of a function that does not answer the question
    **{"equals everything": EQUAL, "a tensor that lies": TENSOR, "patched comparisons": PATCHES},
    **{"patched checks": EXERCISES, "patched questions": QUESTIONS, "looks up the stack": FRAMES},
    **{"looks through the memory": GARBAGE, "reads the solution": SOLUTION, "looks for neighbours": NEIGHBOURS},
    **{"writes into the course": WRITES, "the network": NETWORK, "forged frames": FORGED, "closed streams": STREAMS},
    **{"a packer that lies": PACKER, "a frame without end": LYING_SIZE},
    **{"an error that cannot be shown": RAISES, "an error with a script": RAISES_CHECK},
    **{"an endless tensor": SHAPES, "a deep list": DEEP, "a dictionary in itself": CIRCLE, "a sparse tensor": SPARSE},
    **{"a tensor without memory": META, "an array of objects": OBJECTS, "a forged named tuple": NAMED},
    **{"a text": TEXT, "nothing": NOTHING, "no number": NUMBERS, "sixty megabytes of text": PRINTS},
    **{"a file without end": FILE, "shared memory without end": SHM, "memory without end": MEMORY, "a daemon": DAEMON},
    **{"threads without end": THREADS, "SystemExit": SYSTEM_EXIT, "KeyboardInterrupt": INTERRUPT},
}
KILLERS = {"forks without end": FORKS, "os._exit": EXIT, "a loop": LOOP, "a stubborn loop": STUBBORN, "kills": KILL}
KILLERS |= {"a crash": CRASH}

ODD = {  # name -> (question, what is replaced in the solution, by what): right, and to be paid
    "NumPy": ("power-spectrum", "torch.fft.rfft(images, dim=-1).abs()", "torch.tensor(np.abs(np.fft.rfft(images)))"),
    "an array of NumPy": ("power-spectrum", "mean(dim=(0, 1, 2))", "mean(dim=(0, 1, 2)).numpy()"),
    "a list": ("power-spectrum", "mean(dim=(0, 1, 2))", "mean(dim=(0, 1, 2)).tolist()"),
    "float64": ("to-model-input", ".float()", ".double()"),
    "a number of NumPy": ("beta-of-plain-sum", "1 / terms", "np.float32(1) / terms"),
    "a tensor for a number": ("beta-of-plain-sum", "1 / terms", "torch.tensor(1 / terms)"),
    "a parameter": ("sample-latent", "return mu +", "return 0 + torch.nn.Parameter(mu.clone()) +"),
    "lists for tuples": ("cifar-arguments", "(3, 32, 32)", "[3, 32, 32]"),
    "an ordered dictionary": (
        *("cifar-arguments", "return {", "import collections\n    return collections.OrderedDict({"),
    ),
    "a warning": ("variance-of-mse", "return 0.5", "import warnings\n    warnings.warn('!')\n    return 0.5"),
    "stderr": ("flat-features", "_, h, w", "import sys\n    print('!', file=sys.stderr)\n    _, h, w"),
    "a library's stderr": ("flat-features", "_, h, w", "import os\n    os.write(2, b'!')\n    _, h, w"),
    "a progress bar": (
        *("flat-features", "for _ in channels", "from tqdm.auto import tqdm\n    for _ in tqdm(channels)"),
    ),
    "a plot": ("flat-features", "_, h, w", "plt.plot([1])\n    plt.show()\n    _, h, w"),
    "much printed": ("variance-of-mse", "return 0.5", "print('x' * 10**6)\n    return 0.5"),
    "another folder": ("beta-of-plain-sum", "return", "import os\n    os.chdir('/')\n    return"),
    "a file": ("beta-of-plain-sum", "return", "open('/tmp/mine', 'w').write('x')\n    return"),
    "a thread": (
        *(
            "variance-of-mse",
            "return 0.5",
            "import threading\n    threading.Thread(target=int).start()\n    return 0.5",
        ),
    ),
    "escape codes": ("to-model-input", "return", "print('\\x1b[31mred')\n    return"),
    "a script": (
        "to-model-input",
        "return",
        "from IPython.display import HTML, display\n    display(HTML('<script>'))\n    return",
    ),
}


class Case(NamedTuple):
    """An answer to one question, and the points that it loses."""

    name: str
    question: str
    source: str
    lost: dict[str, float]


def hostile(name: str, body: str, question: str) -> Case:
    """That body as the answer to a question."""
    function = question.replace("-", "_")
    body = body.replace("NAME", repr(function)).replace("WRIGHT", "0.5")
    return Case(name, question, f"def {function}({ARGUMENTS[question]}):{body.rstrip()}\n", POINTS[question])


def odd(name: str) -> Case:
    """A right answer of an odd kind."""
    question, old, new = ODD[name]
    assert old in answers()[question], (name, answers()[question])
    source = answers()[question].replace(old, new, 1)
    return Case(name, question, "})".join(source.rsplit("}", 1)) if "OrderedDict" in source else source, {})


def dealt_cases() -> list[list[Case]]:
    """All cases, each group with at most one for every question."""
    questions = list(POINTS)
    groups: list[dict[str, Case]] = []
    spread = [hostile(name, body, questions[k % 7]) for k, (name, body) in enumerate(HOSTILE.items())]
    killers = [hostile(name, body, questions[(2 * k + 2) % 7]) for k, (name, body) in enumerate(KILLERS.items())]
    for case in [*spread, *map(odd, ODD), *killers]:
        killing = case.name in KILLERS
        free = (
            group
            for group in groups
            if case.question not in group and sum(other.name in KILLERS for other in group.values()) < 1 + (not killing)
        )
        group = next(free, None)
        groups.append({case.question: case}) if group is None else group.setdefault(case.question, case)
    return [list(group.values()) for group in groups]
