"""Marking what was trained: full marks for honest runs and other right answers; every deceit costs its own points."""

import json
import re
import shutil

import pytest
import torch

from course_utils.assignment.runs import measure, read_run, seed_of
from course_utils.checkpoints import read_facts, write_tensors
from course_utils.data import load
from course_utils.models import DCGANVAE, ConvVAE
from tests.bank import BUNDLED, answers, dealt
from tests.bank_runs import CLASSMATE, STUDENT, relabelled, run

pytestmark = pytest.mark.filterwarnings("ignore:Object of type <Submitted")  # nbgrader's own database session

TASKS = {
    1: ("sample-latent", "kl-per-image", "bce-per-image", "bce-objective"),
    2: ("sse-per-image", "gaussian-nll-per-image", "variance-of-mse", "gaussian-objective", "common-measures"),
    3: ("combined-objective", "beta-of-plain-sum", "comparison"),
    4: ("to-model-input", "flat-features", "cifar-arguments", "power-spectrum"),
}
RUN_OF = {1: "bce", 2: "mse", 3: "combined", 4: "cifar10"}
WITHOUT = {  # points of a run that is not there or cannot be read
    "bce": {"whole": 1, "own": 1, "honest": 1, "quality": 2},
    "mse": {"whole": 1, "honest": 1, "quality": 2},
    "combined": {"whole": 1, "honest": 1, "quality": 1},
    "cifar": {"whole": 1, "quality": 1},
}


def points_of(name, *parts):
    return {f"test-run-{name}-{part}": WITHOUT[name][part] for part in parts or WITHOUT[name]}


# The whole, nothing, and each task alone


def test_the_solution_gets_full_marks_and_waits_for_a_reader(marking):
    course, runs = marking
    marks = course.mark("student", course.submission(answers()), runs)
    assert marks.lost == {}, {test: marks.said[test] for test in marks.lost}
    assert (marks.total, marks.remarks) == (40, [])
    assert marks.to_read == {"conclusion-sum": 3, "conclusion-samples": 3, "blur": 4}


def test_the_untouched_release_gets_nothing_and_is_told_so_in_one_line(marking):
    course, _ = marking
    marks = course.mark("student", course.submission({}), None)
    assert marks.total == 0
    assert set(marks.lost) == set(marks.maxima)
    for test, said in marks.said.items():
        assert "Not answered yet" in said or "There is no finished run at" in said, (test, said)
    assert all(len(lines) <= 2 for lines in marks.tracebacks.values())


@pytest.mark.parametrize("task", TASKS)
def test_each_task_alone_gets_its_points(marking, task, tmp_path):
    course, runs = marking
    (tmp_path / "runs").mkdir()
    shutil.copy(runs / f"{RUN_OF[task]}.safetensors", tmp_path / "runs")
    marks = course.mark("student", course.submission(only(task)), tmp_path / "runs")
    got = {test for test, score in marks.scores.items() if score == marks.maxima[test]}
    # the comparison needs all three runs, and task 3 alone has one
    assert got == BELONGS[task] - {"test-comparison"}, {test: marks.said[test] for test in got ^ BELONGS[task]}
    assert marks.total == sum(marks.maxima[test] for test in got)


def only(task):
    """The answers of one task; those of earlier tasks that it calls come too late for their own tests."""
    solution = answers()
    earlier = [solution[name] for other in range(1, task) for name in TASKS[other]]
    replies = {name: solution[name] for name in ("student-number", *TASKS[task])}
    first = TASKS[task][0]
    return replies | {first: "\n\n\n".join([*earlier, solution[first]])}


BELONGS = {
    1: {
        *("test-sample-fresh-noise", "test-sample-spread", "test-kl-shape", "test-kl-values", "test-bce-values"),
        *("test-bce-extremes", "test-bce-objective", *points_of("bce")),
    },
    2: {
        *("test-sse", "test-gaussian-nll", "test-variance-of-sum", "test-variance-of-mean", "test-gaussian-objective"),
        *("test-common-measures", "test-active-units", *points_of("mse")),
    },
    3: {
        *("test-combined-ends", "test-combined-between", "test-beta-of-plain-sum", "test-comparison"),
        *points_of("combined"),
    },
    4: {"test-model-input", "test-flat-features", "test-cifar-arguments", "test-power-spectrum", *points_of("cifar")},
}
# Deceit and accidents: each changes one file of runs/


def edit(name, origin=None, **changes):
    """Replace runs/NAME by the weights of a trained run with other facts; a fact may be computed from the old one."""

    def change(folder):
        source = run(origin or name)
        facts = read_facts(source)
        new = {
            key: value(facts[key]) if callable(value) and key != "change" else value for key, value in changes.items()
        }
        relabelled(folder / f"runs/{name}.safetensors", source, **new)

    return change


def put(name, write):
    """Replace runs/NAME by what `write(path, old content)` leaves there."""

    def change(folder):
        path = folder / f"runs/{name}.safetensors"
        old = path.read_bytes()
        path.unlink()
        write(path, old)

    return change


def last_bettered(history):
    return [*history[:-1], history[-1] | {"bce": 0.9 * history[-1]["bce"]}]


def noisy(tensor):
    return tensor * (1 + 1e-3 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0)))


def shifted(history):
    return [epoch | {"kl": 1.0001 * epoch["kl"]} for epoch in history]


def blended(told):
    """Writes a classmate's weights with a little of those that one's own run starts from, and what is `told`."""

    def write(path, old):
        theirs = read_run(run("classmate-mse"))
        torch.manual_seed(seed_of(STUDENT))
        own = ConvVAE(**theirs.model.arguments).state_dict()
        theirs.model.load_state_dict(
            {name: (value + 0.05 * own[name]).half() for name, value in theirs.model.state_dict().items()}
        )
        write_tensors(path, theirs.model.state_dict(), theirs.facts | MINE | told(theirs))

    return write


def bettered(theirs):
    return {"history": last_bettered(theirs.facts["history"])}


def measured(theirs):
    with BUNDLED():
        last, test = (measure(theirs.model, load("mnist", split).images) for split in ("train", "test"))
    *before, end = theirs.facts["history"]
    return {"history": [*before, end | last], "test": test}


def invented(path, old):
    """Ten epochs' weights, and a hundred epochs that end where these do."""
    facts = read_facts(run("ten-epochs"))
    first, *_, end = facts["history"]
    ways = [(1 - 0.96**k) / (1 - 0.96**99) for k in range(100)]
    history = [{part: (1 - way) * first[part] + way * end[part] for part in first} for way in ways]
    relabelled(path, run("ten-epochs"), epochs=100, history=history)


def giant(path, old):
    header = json.dumps({"w": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)


def another_network(path, old):
    model = DCGANVAE()
    write_tensors(
        path, model.state_dict(), read_facts(run("bce")) | {"model": model.name, "arguments": model.arguments}
    )


MINE = {"student": STUDENT, "seed": seed_of(STUDENT)}
COMPARED = {"test-comparison": 2}
UNREADABLE = "damaged or not a safetensors file"
# name: (run, what happens to its file, points lost, what is said)
DECEITS = {
    "ten epochs relabelled as a hundred": (
        *("bce", edit("bce", "ten-epochs", epochs=100), points_of("bce", "whole", "quality")),
        "says 100 epochs and its history has 10",
    ),
    "a history stretched": (
        "bce",
        edit("bce", "ten-epochs", epochs=100, history=lambda history: [epoch for epoch in history for _ in range(10)]),
        *(points_of("bce", "whole", "quality"), "repeat each other"),
    ),
    "a history bettered": (
        *("bce", edit("bce", history=last_bettered), points_of("bce", "honest")),
        "the last epoch of its history gives bce",
    ),
    "a test result bettered": (
        *("combined", edit("combined", test=lambda test: test | {"kl": 0.5 * test["kl"]})),
        *(points_of("combined", "honest"), "its facts about the test images give kl"),
    ),
    "a classmate's run": (
        *("mse", edit("mse", "classmate-mse"), points_of("mse")),
        f"belongs to student number {CLASSMATE}",
    ),
    "a classmate's weights relabelled": (
        *("mse", edit("mse", "classmate-mse", **MINE), points_of("mse")),
        "somebody else's weights",
    ),
    "a classmate's seed kept": (
        *("mse", edit("mse", "classmate-mse", student=STUDENT), points_of("mse")),
        "somebody else's weights",
    ),
    "trained on the test images": (
        *("bce", edit("bce", "saw-the-test-images"), points_of("bce", "honest")),
        "only if they were trained on",
    ),
    "trained as if in evaluation, without noise": (
        *("bce", edit("bce", "without-noise"), points_of("bce", "honest", "quality")),
        "but its weights give",
    ),
    "one run under two names": (
        "mse combined",
        edit("combined", "mse"),
        *(points_of("combined"), "hold the same history"),
    ),
    "one run under two names, with noise": (
        "bce combined",
        edit("combined", "bce", change=noisy, history=shifted),
        *(points_of("combined"), "hold the same weights"),
    ),
    "a classmate's weights blended with one's own start, and bettered": (
        *("mse", put("mse", blended(bettered)), points_of("mse")),
        "somebody else's weights",
    ),
    "a classmate's weights blended with one's own start, and measured anew": (
        *("mse", put("mse", blended(measured)), points_of("mse")),
        "somebody else's weights",
    ),
    "a run missing": (
        *("mse", put("mse", lambda path, old: None), {**points_of("mse"), **COMPARED}),
        "There is no finished run at runs/mse",
    ),
    "a file cut short": (
        *("combined", put("combined", lambda path, old: path.write_bytes(old[: len(old) // 2]))),
        *({**points_of("combined"), **COMPARED}, UNREADABLE),
    ),
    "a pickle": (
        *("combined", put("combined", lambda path, old: torch.save(ConvVAE().state_dict(), path))),
        *({**points_of("combined"), **COMPARED}, UNREADABLE),
    ),
    "a header that declares a giant": ("cifar10", put("cifar10", giant), points_of("cifar"), UNREADABLE),
    "a fact removed": (
        *("cifar10", edit("cifar10", history=None), points_of("cifar")),
        "the fact 'history' is missing",
    ),
    "another network": (
        *("bce", put("bce", another_network), points_of("bce")),
        "holds a dcgan",
    ),
    "weights that are no numbers": (
        *("mse", edit("mse", change=lambda tensor: tensor * float("nan")), {**points_of("mse"), **COMPARED}),
        "some of its weights are infinite or not numbers",
    ),
    "digits in the place of colours": (
        *("cifar10", edit("cifar10", "combined"), points_of("cifar")),
        r"expected conv, \(3, 32, 32\)",
    ),
}


@pytest.mark.parametrize(
    "names",
    dealt(DECEITS, lambda *names: not set.isdisjoint(*(set(DECEITS[name][0].split()) for name in names))),
    ids=lambda names: f"{len(names)}-{names[0].replace(' ', '-')}",
)
def test_a_deceit_costs_its_points_and_is_named(marking, names):
    course, runs = marking

    def change(folder):
        for name in names:
            DECEITS[name][1](folder)

    marks = course.mark("student", course.submission(answers()), runs, change)
    expected = {}
    for name in names:
        expected |= DECEITS[name][2]
    assert marks.lost == expected, {test: marks.said[test] for test in marks.lost.keys() ^ expected.keys()}
    for name in names:
        *_, lost, told = DECEITS[name]
        assert any(re.search(told, marks.said[test]) for test in lost), (name, [marks.said[test] for test in lost])


def test_an_invented_history_that_ends_with_the_weights_is_named_and_left_to_a_person(marking):
    course, runs = marking
    marks = course.mark("student", course.submission(answers()), runs, put("bce", invented))
    assert marks.scores["test-run-bce-whole"] == marks.scores["test-run-bce-honest"] == 1, marks.said
    (told,) = marks.remarks
    assert re.match(r"HISTORY: runs/bce.safetensors says .* in epoch 1; trained again from its seed", told)
