"""The benchmark runs on a handful of images, in a process of its own; how long it takes is not the question here."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
from benchmarks.recipes import course_recipe, lecture_recipe, timed
import torch
images = torch.randint(0, 256, (130, 1, 28, 28), dtype=torch.uint8)
for recipe in (lecture_recipe, course_recipe):
    seconds, model = timed(recipe, images, 1)
    assert seconds > 0
    assert model(images[:2] / 255).x_logits.shape == (2, 1, 28, 28)
"""


def test_both_recipes_train_the_network():
    root = Path(__file__).parents[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
