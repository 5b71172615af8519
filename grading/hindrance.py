"""What keeps the machine from marking and is nobody's fault: one sentence with its cure; nothing is lost."""

import errno
import sys
from collections.abc import Callable

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MACHINE = (*FULL, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
FULL_WORDS = ("No space left on device", "database or disk is full", "disk I/O error", "File too large")
LOCKED_WORDS = ("database is locked", "database table is locked")
AGAIN = "Then say `make grade` again: what is marked stays marked, and it goes on with the rest."
STATUS = 3  # of a program that was kept from its work


class Hindered(RuntimeError):
    """The machine keeps marking from its work; the message says how, and what to do."""


def hindrance(error: BaseException) -> Hindered | None:
    """The sentence about a full disk or a gradebook that somebody holds, if that is what an error is about."""
    text = str(error)
    if any(words in text for words in LOCKED_WORDS):
        who = "Another program holds gradebook.db, perhaps formgrader (make teach) or nbgrader."
        return Hindered(f"{who} Close it. {AGAIN}")
    if isinstance(error, OSError) and error.errno in FULL or any(words in text for words in FULL_WORDS):
        where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
        return Hindered(f"The disk is full{where}. Free some space. {AGAIN}")
    return None


def is_machines(error: BaseException) -> bool:
    """Whether this is the machine's failure, and nothing that a submission could be blamed for."""
    return isinstance(error, OSError) and error.errno in MACHINE


def explained(work: Callable[[], int]) -> int:
    """What `work()` ends with; STATUS after one sentence on stderr where the machine kept it from its end."""
    from sqlalchemy.exc import SQLAlchemyError  # only here, for those who mark need no database

    try:
        return work()
    except (OSError, SQLAlchemyError, Hindered) as error:
        plain = f"{str(error).splitlines()[0]} ({type(error).__name__}). Mend that. {AGAIN}"
        told = error if isinstance(error, Hindered) else hindrance(error) or plain
        print(told, file=sys.stderr)
        return STATUS
