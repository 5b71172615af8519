"""The parts that the lessons share; importing it also makes `import torchvision` work beside a CPU-only torch."""

from course_utils.runtime import mend_torchvision

mend_torchvision()
