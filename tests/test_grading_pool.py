"""Work is spread over processes, here or behind a scheduler, and none of it is lost when one of them is killed."""

import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from course_utils.assignment.plan import ASSIGNMENT
from grading import pool, run
from grading.course import CHECKOUT, configuration
from grading.pool import NoCluster, spread
from tests.bank import sandboxed
from tests.test_grading_bank import ALL
from tests.test_grading_resume import STUDENTS, course_of_three
from tests.upper import upper

NAMES = [f"s{k}" for k in range(12)]


def processes(folder: Path) -> set[int]:
    return {int(path.name.rsplit("-", 1)[1]) for path in folder.iterdir()}


def test_without_processes_the_work_is_done_here_and_in_order(tmp_path):
    assert list(spread(partial(upper, tmp_path), NAMES, jobs=0)) == [(name, name.upper()) for name in NAMES]
    assert processes(tmp_path) == {os.getpid()}


def test_what_kills_its_process_is_given_up_and_the_rest_is_done(tmp_path):
    names = [*NAMES[:3], "deadly", "once", *NAMES[3:]]
    found = dict(spread(partial(upper, tmp_path), names, jobs=2))
    assert found == {name: name.upper() for name in names} | {"deadly": None}
    assert len(list(tmp_path.glob("deadly-*"))) == pool.DEATHS and os.getpid() not in processes(tmp_path)


def test_what_goes_wrong_in_the_work_is_raised(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(spread(partial(upper, tmp_path / "missing"), NAMES, jobs=1))


def test_processes_know_the_settings_of_now_though_others_still_wait_for_work(monkeypatch):
    for value in ("bundled", "real"):
        monkeypatch.setenv("COURSE_DATA", value)
        assert list(spread(os.getenv, ["COURSE_DATA"], jobs=1)) == [("COURSE_DATA", value)]


def test_what_is_told_of_a_course_comes_from_the_process_that_marked(tmp_path):
    assert list(spread(partial(upper, tmp_path), NAMES[:1], jobs=1))
    assert {pool.in_a_process(os.getpid)} == processes(tmp_path)


def test_without_distributed_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(NoCluster, match=r"pip install '.\[cluster\]'"):
        list(spread(str, NAMES, 0, "tcp://127.0.0.1:9"))


# Behind a scheduler


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """The address of a scheduler on this machine's loopback, and its two workers."""
    pytest.importorskip("distributed")
    monkeypatch.setattr(pool, "CONNECT_SECONDS", 60)
    scheduler = started("dask_scheduler", tmp_path, "--host", "127.0.0.1", "--port", "0")
    until = time.monotonic() + 120
    while not (tmp_path / "scheduler.json").exists() and time.monotonic() < until:
        time.sleep(0.05)
    workers = [
        started("dask_worker", tmp_path, "--no-nanny", "--nthreads", "1", "--host", "127.0.0.1") for _ in range(2)
    ]
    from distributed import Client

    with Client(scheduler_file=str(tmp_path / "scheduler.json"), set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)
        address = client.scheduler.address
    yield address, workers
    for process in (*workers, scheduler):
        process.kill()
        process.wait()


def started(command: str, folder: Path, *arguments: str) -> subprocess.Popen:
    words = [sys.executable, "-m", f"distributed.cli.{command}", "--scheduler-file", str(folder / "scheduler.json")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(CHECKOUT), *sys.path]), "OMP_NUM_THREADS": "1"}
    words += ["--no-dashboard", *arguments]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(words, env=environment | {"COURSE_DATA": "bundled"}, cwd=folder, **quiet)


def test_a_worker_that_is_killed_on_the_way_costs_nobody_anything(cluster, tmp_path):
    address, workers = cluster
    (tmp_path / "seen").mkdir()
    found = {}
    for name, result in spread(partial(upper, tmp_path / "seen"), NAMES, 0, address):
        found[name] = result
        if len(found) == 3:
            workers[0].kill()
    assert found == {name: name.upper() for name in NAMES}
    assert {worker.pid for worker in workers} >= processes(tmp_path / "seen") > {workers[1].pid}


def test_a_scheduler_without_workers_is_refused(cluster, tmp_path):
    address, workers = cluster
    for worker in workers:
        worker.kill()
        worker.wait()
    with pytest.raises(NoCluster, match="no workers at tcp.*--nthreads 1"):
        while True:  # until the scheduler has noticed
            list(spread(str, [], 0, address))


def test_where_no_scheduler_answers_it_is_said(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(pool, "CONNECT_SECONDS", 1)
    with pytest.raises(NoCluster, match="No dask scheduler answers at tcp://127.0.0.1:9"):
        list(spread(str, NAMES, 0, "tcp://127.0.0.1:9"))


@pytest.mark.skipif(not ALL or not sandboxed(), reason="make test-grading")
def test_submissions_are_marked_behind_a_scheduler_though_a_worker_is_killed(cluster, tmp_path, monkeypatch):
    address, workers = cluster
    monkeypatch.setenv("COURSE_DATA", "bundled")
    course_of_three(tmp_path / "course")
    threading.Timer(20, workers[0].kill).start()
    assert run.main(["--root", str(tmp_path / "course"), "--scheduler", address]) == 0
    config = configuration(tmp_path / "course")
    with Gradebook(config.CourseDirectory.db_url, "vae") as book:
        scores = {name: book.find_submission(ASSIGNMENT, name).score for name in STUDENTS}
    assert scores == {"ann": 24, "bob": 0, "cy": 0}
