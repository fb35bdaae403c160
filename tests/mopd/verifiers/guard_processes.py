"""Helpers and forks of guarded calls, from outside."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest


def kill(pid: int) -> None:
    """As the kernel does when memory is short; back when it has ended."""
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)


def wait_for_end(pid: int) -> None:
    """Until there is no such process, for ten seconds at most."""
    for _ in range(200):
        if not is_running(pid):
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} is still there after 10 s")


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
