"""Tiny lessons, written by the tests and executed by real kernels."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools import lessons
from tools.lessons import Outcome, UnknownLesson, main, select, table
from tools.normal_form import KERNELSPEC, LANGUAGE, problems, read, text, write

HEADLINE = '{"data": "none: closed forms", "headline": "KL = 0.50 nats"}'


@pytest.fixture(autouse=True)
def restore_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what `main` sets for its kernels; one lesson at a time unless a test is about several."""
    monkeypatch.setattr(lessons, "cores", lambda: 1)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in ("COURSE_PROFILE", "COURSE_DATA", "JUPYTER_PATH", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


def make(folder: Path, name: str, **cells: str) -> Path:
    """A lesson with these code cells, each after prose; the cell named headline is tagged so."""
    nb = new_notebook(metadata={"kernelspec": KERNELSPEC, "language_info": LANGUAGE})
    for number, (cell, source) in enumerate(cells.items()):
        tags = {"headline": ["headline"], "refused": ["raises-exception"]}.get(cell)
        nb.cells.append(new_markdown_cell("Say.", id=f"say{number}"))
        nb.cells.append(new_code_cell(source, id=cell, metadata={"tags": tags} if tags else {}))
    folder.mkdir(exist_ok=True)
    write(nb, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def test_the_table_shows_data_and_headline_and_copies_are_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, build = tmp_path / "notebooks", tmp_path / "build"
    show = "import os, sys\nprint(os.environ['COURSE_PROFILE'], os.path.basename(os.getcwd()), sys.prefix)"
    lesson = make(folder, "01_first", show=show, refused="1 / 0", headline=HEADLINE)
    before = lesson.read_text()
    assert main(["run", "--profile", "full"], folder, build) == 0
    header, _, row = capsys.readouterr().out.strip().splitlines()
    assert header.split() == ["lesson", "seconds", "data", "headline"]
    assert row.startswith("01_first") and row.endswith("none: closed forms  KL = 0.50 nats")
    executed = read(build / "01_first.ipynb")
    assert executed.cells[1].outputs[0].text == f"full notebooks {lessons.sys.prefix}\n"
    assert problems(executed, folder / "01_first.ipynb") == []
    assert "KL = 0.50 nats" in (build / "01_first.html").read_text(encoding="utf-8")
    assert lesson.read_text() == before


def test_another_seed_takes_the_place_of_the_lessons_own(tmp_path: Path) -> None:
    folder, build = tmp_path / "notebooks", tmp_path / "build"
    lesson = make(folder, "01_first", knobs="SEED = 0", show="print(SEED)", headline=HEADLINE)
    nb = read(lesson)
    next(cell for cell in nb.cells if cell.id == "knobs").metadata.tags = ["parameters"]
    write(nb, lesson)
    assert main(["run", "--seed", "3"], folder, build) == 0
    executed = {cell.id: cell for cell in read(build / "01_first.ipynb").cells}
    assert executed["show"].outputs[0].text == "3\n"
    assert executed["knobs"].source == "SEED = 0"


def test_a_failure_names_lesson_cell_and_error_and_the_others_still_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, build = tmp_path / "notebooks", tmp_path / "build"
    make(
        folder, "01_fails", fine="print('before')", bad="raise ValueError('sigma must\\nbe positive')", never="print(3)"
    )
    make(folder, "02_dies", leave="import os\nos._exit(3)", never="1")
    (folder / "03_broken.ipynb").write_text("{")
    make(folder, "04_works", headline=HEADLINE)
    assert main(["run"], folder, build) == 1
    output = capsys.readouterr().out
    rows = {line.split()[0]: line for line in output.splitlines() if line[:2].isdigit() and " failed " not in line}
    assert [name for name, row in rows.items() if "FAILED" in row] == ["01_fails", "02_dies", "03_broken"]
    assert rows["04_works"].endswith("KL = 0.50 nats")
    assert "01_fails failed in cell bad with ValueError: sigma must be positive\n" in output
    assert "02_dies failed in cell leave with DeadKernelError: " in output
    assert "03_broken failed before its first cell with " in output
    page = (build / "01_fails.html").read_text(encoding="utf-8")
    assert "before" in page and "sigma must" in page
    assert not (build / "03_broken.html").exists()


def test_lessons_that_run_at_the_same_time_stay_in_reading_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, build = tmp_path / "notebooks", tmp_path / "build"
    monkeypatch.setattr(lessons, "cores", lambda: 2)
    wait = "import os, time\nwhile not os.path.exists('../{}'):\n    time.sleep(.05)"
    leave = "open('../{}', 'w').close()"
    make(folder, "01_a", leave=leave.format("a"), wait=wait.format("b"), headline=HEADLINE)
    make(folder, "02_b", leave=leave.format("b"), wait=wait.format("a"), bad="1 / 0")
    assert main(["run"], folder, build) == 1
    said = capsys.readouterr()
    assert [line[:4] for line in said.out.splitlines() if line[:2] in ("01", "02")] == ["01_a", "02_b", "02_b"]
    assert "01_a: done after" in said.err and "02_b: FAILED after" in said.err


@pytest.mark.parametrize(
    ("chosen", "available", "jobs", "threads"), [(1, 2, 1, 2), (6, 2, 2, 1), (6, 1, 1, 1), (2, 8, 2, 4), (6, 16, 4, 4)]
)
def test_cores_are_shared_between_lessons(chosen: int, available: int, jobs: int, threads: int) -> None:
    assert lessons.share(chosen, available) == (jobs, threads)


def test_each_of_several_lessons_has_its_share_of_the_cores_or_what_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(lessons, "_side_by_side", lambda *given: seen.append(os.environ["OMP_NUM_THREADS"]) or [])
    monkeypatch.setattr(lessons, "cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    lessons.run([tmp_path / "01_a.ipynb", tmp_path / "02_b.ipynb"], tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    lessons.run([tmp_path / "01_a.ipynb", tmp_path / "02_b.ipynb"], tmp_path)
    assert seen == ["4", "3"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to a process group")
def test_ctrl_c_ends_everything_without_a_traceback(tmp_path: Path) -> None:
    begun = "import os, time\nopen('../{0}.part', 'w').write(str(os.getpid()))\nos.rename('../{0}.part', '../{0}')"
    for name in ("01_a", "02_b"):
        make(tmp_path / "notebooks", name, begun=begun.format(name), wait="time.sleep(300)")
    code = "import sys; from pathlib import Path; from tools import lessons; lessons.cores = lambda: 2\n"
    code += "sys.exit(lessons.main(['run'], Path(sys.argv[1]) / 'notebooks', Path(sys.argv[1]) / 'build'))"
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = subprocess.Popen(command, cwd=lessons.ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until(lambda: all((tmp_path / name).exists() for name in ("01_a", "02_b")))
    os.killpg(running.pid, signal.SIGINT)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 130
    assert "Traceback" not in said and "Interrupted: the lessons that were done are in" in said
    until(lambda: not any(alive(int((tmp_path / name).read_text())) for name in ("01_a", "02_b")))


def until(true: Callable[[], bool]) -> None:
    """Wait for it, a minute at most."""
    for _ in range(600):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("a minute passed")


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked for does not."""
    with contextlib.suppress(OSError):
        os.kill(process, 0)
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    return False


def test_store_keeps_full_runs_on_real_data_and_only_those_that_succeed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, build = tmp_path / "notebooks", tmp_path / "build"
    show = "import os\nprint(os.environ['COURSE_PROFILE'], os.environ['COURSE_DATA'])"
    good = make(folder, "01_good", show=show, headline=HEADLINE)
    bad = make(folder, "02_bad", fine="1", bad="1 / 0")
    before = bad.read_text()
    assert main(["store"], folder, build) == 1
    stored = read(good)
    assert stored.cells[1].outputs[0].text == "full real\n"
    assert problems(stored, good) == [] and good.read_text(encoding="utf-8") == text(stored)
    assert bad.read_text() == before
    assert sorted(path.name for path in folder.iterdir()) == ["01_good.ipynb", "02_bad.ipynb"]


def test_a_missing_or_odd_headline_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, build = tmp_path / "notebooks", tmp_path / "build"
    make(folder, "01_none", one="1")
    make(folder, "02_odd", headline="object()")
    assert main(["run"], folder, build) == 0
    rows = capsys.readouterr().out.strip().splitlines()[2:]
    assert len(rows) == 2 and all("no cell tagged headline ends in a dict" in row for row in rows)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ([], ["01_a", "02_b", "10_c"]),
        (["all"], ["01_a", "02_b", "10_c"]),
        (["10", "1"], ["01_a", "10_c"]),
        (["02_b"], ["02_b"]),
        (["02_b.ipynb,01", "2"], ["01_a", "02_b"]),
    ],
)
def test_lessons_are_selected_by_number_or_name_in_reading_order(
    tmp_path: Path, names: list[str], chosen: list[str]
) -> None:
    for name in ("10_c", "01_a", "02_b"):
        make(tmp_path, name)
    make(tmp_path, "scratch")
    assert [path.stem for path in select(names, tmp_path)] == chosen


def test_an_unknown_lesson_gets_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, "01_a")
    with pytest.raises(UnknownLesson):
        select(["0"], tmp_path)
    assert main(["run", "--profile", "quick", "01", "07"], tmp_path, tmp_path / "build") == 1
    assert capsys.readouterr().err == "There is no lesson '07'; the lessons are: 01_a.\n"
    assert not (tmp_path / "build").exists()


def test_columns_are_aligned() -> None:
    lines = table([Outcome("01_a", 3.4, "digits", "x"), Outcome("02_long_name", 123.6, failure="no")]).splitlines()
    assert lines == [
        "lesson        seconds  data    headline",
        "------------  -------  ------  --------",
        "01_a          3        digits  x",
        "02_long_name  124              FAILED",
    ]
