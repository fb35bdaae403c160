"""Tasks: problems to solve, from any source, every row checked before a device is taken."""

from mopd.tasks.task import Task

__all__ = ["Task"]
