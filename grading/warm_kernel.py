"""Kernels without the wait: each is forked from one process that has imported already what every submission imports.

A fresh kernel spends some five seconds of processor time on imports, a forked one none. It has the environment, folder,
process group and arguments of a fresh one. Where there is no `pidfd_open` (not Linux), kernels start afresh as usual.
"""

import atexit
import os
import select
import signal
import subprocess
import sys
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner
from nbgrader.preprocessors import Execute

AVAILABLE = hasattr(os, "pidfd_open")
PASSING = ("JPY_", "NBGRADER_", "PYTEST_")  # variables that no import reads


class ForkedKernel:
    """As much of `subprocess.Popen` as a provisioner needs, for a process that is another one's child."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._ended = os.pidfd_open(pid)
        except ProcessLookupError:
            self._ended = None

    def poll(self) -> int | None:
        """None while it runs, then 0: its exit status is its parent's to know."""
        if self._ended is not None and select.select([self._ended], [], [], 0)[0]:
            os.close(self._ended)
            self._ended = None
        return 0 if self._ended is None else None

    def wait(self) -> int:
        """Return when it has ended."""
        if self.poll() is None:
            select.select([self._ended], [], [])
        return self.poll()

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


class Parent:
    """The warm process that kernels are forked from; it ends when the process that made it closes the pipe, or ends."""

    current: "Parent | None" = None

    def __init__(self, environment: dict[str, str]) -> None:
        self.key = _read_on_import(environment)
        self.pipe, end = Pipe()
        command = [sys.executable, str(Path(__file__).with_name("warm_parent.py")), str(end.fileno())]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, pass_fds=[end.fileno()], start_new_session=True
        )
        end.close()

    @classmethod
    def of(cls, environment: dict[str, str]) -> "Parent":
        """The one that is running, or another if that one has ended or was started in a different environment."""
        if cls.current is None or not cls.current.serves(environment):
            cls.end()
            cls.current = cls(environment)
        return cls.current

    @classmethod
    def end(cls) -> None:
        """End the one that is running, if any; kernels that were forked from it end with it."""
        if cls.current is not None:
            cls.current.pipe.close()
            cls.current.process.wait()
        cls.current = None

    def serves(self, environment: dict[str, str]) -> bool:
        """Whether it runs and its imports read an environment like this one."""
        return self.process.poll() is None and self.key == _read_on_import(environment)

    def fork(self, arguments: list[str], environment: dict[str, str], folder: str) -> ForkedKernel:
        """A kernel with these command-line arguments.  EOFError if the warm process is gone."""
        self.pipe.send((arguments, environment, folder))
        return ForkedKernel(self.pipe.recv())


atexit.register(Parent.end)


def _read_on_import(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(PASSING)}


class WarmProvisioner(LocalProvisioner):
    """Starts IPython kernels by a fork, and any other kernel as ever."""

    async def launch_kernel(self, cmd: list[str], **options: Any) -> KernelConnectionInfo:
        """Launch a kernel with a command."""
        if cmd[1:3] != ["-m", "ipykernel_launcher"]:
            return await super().launch_kernel(cmd, **options)
        environment, folder = options["env"], str(options.get("cwd") or os.getcwd())
        self.process = Parent.of(environment).fork(cmd[3:], environment, folder)
        self.pid = self.pgid = self.process.pid
        self.cwd = folder
        return self.connection_info


class WarmKernelManager(AsyncKernelManager):
    """A kernel manager whose kernels are forked."""

    async def _async_pre_start_kernel(self, **options: Any) -> tuple[list[str], dict[str, Any]]:
        if self.provisioner is None:
            self.provisioner = WarmProvisioner(kernel_id="", kernel_spec=self.kernel_spec, parent=self)
        return await super()._async_pre_start_kernel(**options)

    pre_start_kernel = _async_pre_start_kernel


class WarmExecute(Execute):
    """nbgrader's step that executes a notebook, in a forked kernel."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("kernel_manager_class", WarmKernelManager)
        super().__init__(*args, **options)
