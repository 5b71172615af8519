"""Writing files so that a reader never meets half of one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A scratch path beside `path` that replaces it only if the block succeeds; no half-written file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    try:
        yield scratch
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def require_writable(path: Path) -> None:
    """Raise the OSError that writing `path` would raise, before hours of work depend on it; `path` is left as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; expected the name of a file.")
    probe = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    probe.touch()
    probe.unlink()
