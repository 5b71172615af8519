"""Who works: processes on this machine, or those that wait at a dask scheduler. Results come as soon as they are there.

A process that is killed costs nobody anything: what it was at is tried again, and given up only if that kills processes
again and again.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED
from typing import Any

from joblib.externals import loky
from joblib.externals.loky.process_executor import TerminatedWorkerError

DEATHS = 3  # of processes at one piece of work, after which it is given up
AHEAD = 2  # pieces of work for each process that are handed out at a time
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # more in each of several processes are slower, not faster
CONNECT_SECONDS = 20
IDLE_SECONDS = 10  # after which a process ends that nobody has work for


class NoCluster(RuntimeError):
    """There is nobody to work at the scheduler's address; the message says why, and what to do."""


def spread(
    work: Callable[[str], Any], names: Sequence[str], jobs: int, scheduler: str = ""
) -> Iterator[tuple[str, Any | None]]:
    """What `work` gives for each name, by so many processes or by those of a scheduler; None where it was given up.

    With no jobs, it is done in this process.  NoCluster if there is nobody at the scheduler's address.
    """
    if scheduler:
        yield from _on_cluster(work, names, scheduler)
    elif jobs:
        yield from _here(work, names, jobs)
    else:
        yield from ((name, work(name)) for name in names)


def in_a_process(work: Callable, *arguments: Any) -> Any:
    """What `work` gives, by a process that ends with it: the one that has just marked, if it is still there."""
    with loky.get_reusable_executor(1, env=_settings()) as pool:
        return pool.submit(work, *arguments).result()


def _settings() -> dict[str, str]:
    """What processes are told; those that were told something else are not given more work."""
    return {name: value for name, value in os.environ.items() if name.startswith("COURSE_")} | ONE_THREAD


def _here(work: Callable, names: Iterable[str], jobs: int) -> Iterator[tuple[str, Any | None]]:
    left, deaths = dict.fromkeys(names), Counter()
    while left:
        suspect = next((name for name in left if deaths[name]), None)
        now = [suspect] if suspect else list(left)  # the work that a process died at is tried alone
        for name, result in _while_none_dies(work, now, min(jobs, len(now)), deaths):
            left.pop(name)
            yield name, result
        for name in [name for name in left if deaths[name] >= DEATHS]:
            left.pop(name)
            yield name, None


def _while_none_dies(work: Callable, names: Sequence[str], jobs: int, deaths: Counter) -> Iterator[tuple[str, Any]]:
    """Results until a process dies, if one does; the work that was handed out then is noted in `deaths`."""
    pool, out = loky.get_reusable_executor(jobs, env=_settings(), timeout=IDLE_SECONDS), {}
    whole = False
    try:
        for name, future in _as_done(lambda name: pool.submit(work, name), loky.wait, names, AHEAD * jobs, out):
            yield name, future.result()
            del out[future]
        whole = True
    except TerminatedWorkerError:
        deaths.update(out.values())
    finally:
        if not whole:
            pool.shutdown(kill_workers=True)


def _as_done(
    submit: Callable[[str], Any], wait: Callable, names: Iterable[str], width: int, out: dict[Any, str]
) -> Iterator[tuple[str, Any]]:
    """Futures that are done, with their names; so many are `out`, whose reader takes them from there."""
    waiting = iter(names)
    while True:
        while len(out) < width and (name := next(waiting, None)) is not None:
            out[submit(name)] = name
        if not out:
            return
        for future in wait(list(out), return_when=FIRST_COMPLETED).done:
            yield out[future], future


def _on_cluster(work: Callable, names: Iterable[str], address: str) -> Iterator[tuple[str, Any | None]]:
    with _client(address) as client:
        from distributed import KilledWorker, wait

        out: dict[Any, str] = {}
        width = AHEAD * len(client.nthreads())
        for name, future in _as_done(lambda name: client.submit(work, name, pure=False), wait, names, width, out):
            try:
                result = future.result()
            except KilledWorker:
                result = None
            del out[future]
            yield name, result


def _client(address: str) -> Any:
    """A client of the scheduler, at which processes wait that have one thread each.  NoCluster in one sentence."""
    try:
        from distributed import Client  # an extra that most do without
    except ImportError as error:
        raise NoCluster("--scheduler needs dask.distributed: pip install '.[cluster]' in the checkout.") from error
    try:
        client = Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise NoCluster(f"No dask scheduler answers at {address} ({error}). Start one, or mark with --jobs.") from error
    threads = client.nthreads()
    if threads and set(threads.values()) == {1}:
        return client
    client.close()
    found = f"workers with {max(threads.values())} threads" if threads else "no workers"
    raise NoCluster(f"There are {found} at {address}. Start some: dask worker {address} --nthreads 1 --nworkers 4")
