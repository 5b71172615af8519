"""The parts that the lessons share. Importing it makes `import torchvision` work beside a CPU-only torch."""

from course_utils.runtime import keep_freed_memory, mend_torchvision

mend_torchvision()
keep_freed_memory()
