"""The benchmarks run on a handful of images, in processes of their own; how long that takes is not asked here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bank import sandboxed

PROGRAM = """
from benchmarks.recipes import course_recipe, lecture_recipe, timed
import torch
images = torch.randint(0, 256, (130, 1, 28, 28), dtype=torch.uint8)
for recipe in (lecture_recipe, course_recipe):
    seconds, model = timed(recipe, images, 1)
    assert seconds > 0
    assert model(images[:2] / 255).x_logits.shape == (2, 1, 28, 28)
"""


def python(*arguments: str) -> str:
    """What a fresh interpreter prints."""
    root = Path(__file__).parents[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COURSE_DATA": "bundled", "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_both_recipes_train_the_network():
    python("-c", PROGRAM)


def test_every_seed_has_a_row_in_every_precision_and_both_starts_differ():
    command = ("-m", "benchmarks.seeds", "--epochs", "1", "--seeds", "0", "1", "--latent-dim", "2")
    ours, pytorch = python(*command), python(*command, "--pytorch-start")
    for rows in (ours, pytorch):
        for precision in ("float32", "bfloat16"):
            assert [f"precision {precision}  seed {seed}  " in rows for seed in (0, 1)] == [True, True]
    first, other = (next(line for line in rows.splitlines() if "seed 0" in line) for rows in (ours, pytorch))
    assert first.split("  s ")[0] != other.split("  s ")[0]


def test_the_waits_have_a_row_each():
    rows = [line.split("  ")[0] for line in python("-m", "benchmarks.waits", "--faces", "60").splitlines()]
    assert {"explorer", "smile slider", "drawing", "cropping"} <= set(rows)


def test_every_model_has_a_row_and_only_the_flat_one_no_upper_layer():
    rows = python("-m", "benchmarks.layers", "--epochs", "1", "--seeds", "0", "--images", "256").splitlines()[-3:]
    assert [row.split()[0] for row in rows] == ["flat", "bottom-up", "ladder"]
    assert [("kl_top 0.0 " in row) for row in rows] == [True, False, False]


def test_every_way_of_marking_has_a_row_and_the_gradebook_a_line_for_each_size():
    if not sandboxed():
        pytest.skip("bubblewrap does not work here")
    rows = python("-m", "benchmarks.marking", "--submissions", "1", "--ways", "ours, 1 job").splitlines()[-2:]
    assert rows[0].split() == ["s", "each", "each", "minute", "ratio"] and float(rows[1].split()[-1]) == 1
    lines = python("-m", "benchmarks.scale", "--submissions", "1").splitlines()
    assert [line.split()[0] for line in lines] == ["1", "reports:"]


def test_the_comparison_writes_a_row_for_every_model_and_seed_once(tmp_path):
    program = f"""
import json, pathlib
from benchmarks import comparison
comparison.weights_dir = lambda: pathlib.Path({str(tmp_path)!r})
comparison.row = lambda name, seed, seconds: {{"model": name, "seed": seed, "seconds": seconds, "fd": len(name)}}
for _ in range(2):
    comparison.main(["--seeds", "0", "1", "--models", "VAE", "GAN", "--seconds", "5"])
rows = json.loads((comparison.weights_dir() / "comparison.json").read_text())
assert [(one["model"], one["seed"]) for one in rows] == [("VAE", 0), ("GAN", 0), ("VAE", 1), ("GAN", 1)]
"""
    python("-c", program)
