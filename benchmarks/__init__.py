"""Measurements, never tests: ratios of two things done side by side in one run."""

import course_utils  # noqa: F401  (makes torchvision importable before any benchmark imports it)
