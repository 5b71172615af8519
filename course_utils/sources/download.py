"""Fetching a data set so that a slow network is given up soon and an interruption leaves nothing behind."""

import os
import shutil
import socket
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

from course_utils.sources.source import DataUnavailable

CONNECT_SECONDS = 5
SILENCE_SECONDS = 15


def download(fetch: Callable[[Path], Any], folder: Path, *, title: str, address: str, files: str) -> None:
    """Have `fetch` download into a scratch folder, and move what is finished into `folder`.

    DataUnavailable where `address` does not answer or the download fails: it says to put `files` there by hand.
    """
    by_hand = f"Put {files} into {folder} yourself, or connect and run again."
    problem = connection_problem(address)
    if problem:
        raise DataUnavailable(f"{title} is not in {folder} and cannot be downloaded ({problem}). {by_hand}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch:
        try:
            with _impatient_sockets(), redirect_stdout(StringIO()):
                fetch(Path(scratch))
        except (RuntimeError, urllib.error.URLError, TimeoutError, EOFError, ConnectionError) as error:
            detail = " ".join(str(error).split())[-300:]
            raise DataUnavailable(f"the download of {title} failed ({detail}). {by_hand}") from error
        _move_finished(Path(scratch), folder)


def _move_finished(scratch: Path, folder: Path) -> None:
    for item in scratch.iterdir():
        if item.is_dir():
            shutil.rmtree(folder / item.name, ignore_errors=True)
        if item.is_dir() or item.suffix == ".npz":
            os.replace(item, folder / item.name)


@cache
def connection_problem(address: str) -> str:
    """Why `address` does not answer, or "" if it does; decided within CONNECT_SECONDS, name look-up included."""
    outcome = [f"no answer within {CONNECT_SECONDS} s"]

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=CONNECT_SECONDS).close()
            outcome[0] = ""
        except urllib.error.HTTPError as error:
            error.close()
            outcome[0] = "" if error.code < 500 else f"HTTP {error.code} from {address}"
        except (OSError, ValueError) as error:
            outcome[0] = f"no network: {getattr(error, 'reason', error)}"

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS + 1)
    return outcome[0]


@contextmanager
def _impatient_sockets() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
