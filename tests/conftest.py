"""For all tests: they run three at a time on two cores, each of them computing on one core, as some always wait."""

from __future__ import annotations

import os
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

os.environ["OMP_NUM_THREADS"] = "1"
if worker := os.environ.get("PYTEST_XDIST_WORKER"):  # threads of two that wait for each other on one core take ages
    cores = sorted(os.sched_getaffinity(0))
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = str(cores[int(worker.removeprefix("gw")) % len(cores)])

ONE_AFTER_THE_OTHER = {
    f"tests/e2e/test_{name}.py": group
    for group, names in {
        "a finished run": ("eval_command", "fork", "interruptions", "server_away", "whole_run"),
        "a real engine": ("real_lora", "real_model"),
    }.items()
    for name in names
} | {"tests/mopd/engines/test_sampling.py": "a real engine"}
"""Files that need the same thing, which one worker makes once, or of which the machine bears one at a time."""
MOSTLY_WAITING = "tests/faults/"
"""Each test there is as long as other files."""


class FilesTogether(LoadFileScheduling):
    """A file's tests, or those of a group of files, run in one worker; long ones each for itself."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return nodeid if file.startswith(MOSTLY_WAITING) else ONE_AFTER_THE_OTHER.get(file, file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FilesTogether:
    return FilesTogether(config, log)
