"""For all tests: they run two at a time on two cores, so that each computes on one of them."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
if worker := os.environ.get("PYTEST_XDIST_WORKER"):  # threads of two that wait for each other on one core take ages
    cores = sorted(os.sched_getaffinity(0))
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = str(cores[int(worker.removeprefix("gw")) % len(cores)])
