"""What the gradebook's process needs for very many submissions: `python -m benchmarks.scale`, memory and time.

The submissions are simulated: one result stands for all of them, as if everybody had been marked just now. What follows
is what always follows, the way from the workers' results to gradebook, autograded/, grades.csv and report.html.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from grading import class_page, run
from grading.pool import in_a_process
from grading.report import grades_csv, look


def apart(name: str, *arguments: Any) -> Any:
    """What a function of `benchmarks.simulated` gives, in a process of its own: its memory is not the gradebook's."""
    return in_a_process(_call, name, *arguments)


def _call(name: str, *arguments: Any) -> Any:
    from benchmarks import simulated

    return getattr(simulated, name)(*arguments)


def memory(what: str) -> int:
    """VmRSS or VmHWM of this process in MB; Linux alone tells."""
    status = Path("/proc/self/status")
    return int(status.read_text().split(f"{what}:")[1].split()[0]) // 1_000 if status.exists() else 0


def measure(root: Path, numbers: list[int]) -> None:
    """Print a line at each of these numbers of submissions, and what the reports need at the last."""
    done = 0
    for number in numbers:
        names = apart("simulate", root, done, number)
        start = time.perf_counter(), time.process_time()
        failed = run.mark(root, names, jobs=1)
        assert not failed, failed
        wall, cpu = ((now - then) / len(names) for now, then in zip((time.perf_counter(), time.process_time()), start))
        told = f"{number:5} submissions: {wall:.2f} s each, of them {cpu:.2f} s of this process's processor time"
        print(f"{told}; memory {memory('VmRSS')} MB, at most {memory('VmHWM')} MB", flush=True)
        done = number
    start = time.perf_counter(), time.process_time()
    class_page.write(root / "report.html", look(root, apart=True))
    grades_csv(root)
    wall, cpu = ((now - then) for now, then in zip((time.perf_counter(), time.process_time()), start))
    print(f"reports: {wall:.1f} s, {cpu:.1f} s here; memory {memory('VmRSS')} MB, at most {memory('VmHWM')} MB")


def main() -> None:
    """Simulate a course."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__.split("\n")[0])
    parser.add_argument("--submissions", type=int, nargs="+", default=[10, 100, 1_000], metavar="N")
    options = parser.parse_args()
    os.environ["COURSE_DATA"] = "bundled"
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "course")
        apart("empty_course", root)
        measure(root, options.submissions)


if __name__ == "__main__":
    main()
