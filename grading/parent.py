"""A process that has imported what every notebook does, and forks a session for each student: nobody waits for imports.

It lies in a sandbox of its own, and no student's code ever runs in it. A session has processes, shared memory, folders
to write to and runs of its own, and no rights to anything; the next one is forked when nothing of it is left.
`python -c "from grading.parent import main; main()"` takes two pipes for each from its standard input, a socket.
"""

import ctypes
import gc
import os
import select
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from grading import guest
from grading.plain import HEAD, parse_frame

APART = 0x0002_0000 | 0x0800_0000 | 0x2000_0000  # CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWPID
READ_ONLY, NO_SUID, NO_DEVICES, NO_PROGRAMS, AGAIN, ALL_BELOW, PRIVATE = 1, 2, 4, 8, 32, 1 << 14, 1 << 18  # MS_…
END_WITH_PARENT = 1  # PR_SET_PDEATHSIG
CAPABILITIES_3 = 0x2008_0522  # _LINUX_CAPABILITY_VERSION_3
LOOK_MILLISECONDS = 250

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Import, and fork a session for each pair of pipes until the input ends."""
    control, nothing = socket.socket(fileno=os.dup(0)), os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    for name in guest.WARM:
        import_module(name)
    gc.collect()
    gc.freeze()  # what is not looked at again stays shared with the sessions
    while len(pipes := socket.recv_fds(control, 1, 2)[1]) == 2:
        keeper = _forked(_keep, control, *pipes)
        for descriptor in pipes:
            os.close(descriptor)
        os.waitpid(keeper, 0)


def _forked(work: Callable[..., object], *arguments: Any) -> int:
    """The number of a process that does this work and ends."""
    number = os.fork()
    if number == 0:
        try:
            work(*arguments)
        finally:
            os._exit(0)
    return number


def _keep(control: socket.socket, requests: int, replies: int) -> None:
    """Begin a session in namespaces of its own; end it when nobody asks any more, or it takes too much memory."""
    control.close()
    _done(_libc.unshare(APART))
    first = _forked(_begin, requests, replies)
    os.close(replies)
    poll = select.poll()
    poll.register(requests, 0)  # the pipe's other end is closed
    poll.register(os.pidfd_open(first), select.POLLIN)  # the session has ended
    while not poll.poll(LOOK_MILLISECONDS) and _memory() <= guest.TOGETHER:
        pass
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)


def _memory() -> int:
    """Bytes that the processes of the session have; what a fork left as it was counts for each of them."""
    pages, others = 0, {1, os.getppid(), os.getpid()}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            _, resident, shared, *_ = (path / "statm").read_text().split()
            pages += (int(resident) - int(shared)) * (int(path.name) not in others)
    return pages * os.sysconf("SC_PAGESIZE")


def _begin(requests: int, replies: int) -> None:
    """As the first process of its namespace: furnish it, give up every right, and serve in a process of its own."""
    _furnish(requests)
    guest.confine()
    _drop_rights()
    _done(_libc.prctl(END_WITH_PARENT, signal.SIGKILL))
    session = _forked(guest.serve, requests, replies)
    for descriptor in (requests, replies):
        os.close(descriptor)
    while os.wait()[0] != session:
        pass


def _furnish(requests: int) -> None:
    """Empty folders, the runs that come as the first frame, and this namespace's own processes."""
    _mount("none", "/", "", ALL_BELOW | PRIVATE)
    for folder in guest.WRITABLE:
        _mount("tmpfs", folder, "tmpfs", NO_SUID | NO_DEVICES, f"mode=1777,size={guest.FOLDER_SIZE}")
    _mount("proc", "/proc", "proc", NO_SUID | NO_DEVICES | NO_PROGRAMS)
    os.chdir("/hand-in")
    os.mkdir("runs")
    _mount("tmpfs", "/hand-in/runs", "tmpfs", NO_SUID | NO_DEVICES, f"mode=0755,size={guest.FOLDER_SIZE}")
    with open(requests, "rb", buffering=0, closefd=False) as file:
        sizes = HEAD.unpack(_exactly(file, HEAD.size))
        names, contents = parse_frame(*(_exactly(file, size) for size in sizes))
    for name, content in zip(names, contents, strict=True):
        Path("runs", name).write_bytes(content)
    _mount("none", "/hand-in/runs", "", AGAIN | READ_ONLY | NO_SUID | NO_DEVICES)


def _exactly(file: Any, size: int) -> bytes:
    """So many bytes and not one more, for the next frame is the session's."""
    data = bytearray()
    while len(data) < size and (more := file.read(size - len(data))):
        data += more
    return bytes(data)


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    words = (text.encode() for text in (source, target, kind))
    _done(_libc.mount(*words, ctypes.c_ulong(flags), options.encode()))


def _drop_rights() -> None:
    """No capabilities, whoever this process is by now; bubblewrap has seen to it that none can be had again."""
    header, none = (ctypes.c_uint32 * 2)(CAPABILITIES_3, 0), (ctypes.c_uint32 * 6)()
    _done(_libc.capset(header, none))


def _done(failed: int) -> None:
    if failed:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
