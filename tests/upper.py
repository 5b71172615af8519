"""Work for the pool's tests, in a module of its own that a process imports in no time."""

import os
import signal
import time
from pathlib import Path


def upper(folder: Path, name: str) -> str:
    """The name in capitals, and a file that says which process was at it; "deadly" kills its process, "once" once."""
    (folder / f"{name}-{os.getpid()}").touch()
    if name == "deadly" or name == "once" and len(list(folder.glob("once-*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return name.upper()
