"""The warm process of `grading.warm_kernel`: it imports what submissions import, and forks a kernel for every request.

It has only one thread and computes nothing, so nothing but memory is shared with the kernels.
"""

import os
import signal
import sys
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

INLINE = "module://matplotlib_inline.backend_inline"
WARM = (  # nothing that looks on import for the kernel it runs in: no INLINE, no ipywidgets, no tqdm.auto, no course
    *("IPython.core.completer", "ipykernel.ipkernel", "ipykernel.kernelapp", "ipykernel.zmqshell"),
    *("matplotlib.pyplot", "pandas", "safetensors.torch", "sklearn.datasets", "torch._dynamo", "torch.distributions"),
)


def serve(descriptor: int) -> None:
    """Import what is wanted, then fork a kernel for every request that comes over the pipe, until that is closed."""
    import_path = [path for path in sys.path if path != str(Path(__file__).parent)]
    os.environ.setdefault("MPLBACKEND", INLINE)  # Matplotlib reads it on import; a fresh kernel sets it before that
    for name in WARM:
        import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks for a kernel's exit status
    pipe = Connection(descriptor)
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        pid = os.fork()
        if pid == 0:
            pipe.close()
            _become_kernel(import_path, *request)
        pipe.send(pid)


def _become_kernel(import_path: list[str], arguments: list[str], environment: dict[str, str], folder: str) -> None:
    """What a fresh process would have: its own session, environment, folder and random numbers. Never returns."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment, JPY_PARENT_PID=str(os.getppid()))
    arguments = [*arguments, f"--IPKernelApp.parent_handle={os.getppid()}"]  # its default was read on import
    sys.argv, sys.path[:] = ["ipykernel_launcher.py", *arguments], import_path
    for draws in ("random", "numpy.random", "torch.random"):
        import_module(draws).seed()
    try:
        import_module("ipykernel.kernelapp").launch_new_instance(argv=arguments)
    finally:
        os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
