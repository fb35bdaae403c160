"""`kill -9`, of whom."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from tests.e2e.harness import wait_for
from tests.faults.process import Started

ROLE_SECONDS = 120.0


def kill_run(started: Started) -> None:
    """The run's process alone: all that it started ends by itself."""
    started.process.kill()


def kill_family(started: Started) -> None:
    """The run with all that works for it, at once."""
    for process in [psutil.Process(started.process.pid), *started.family()]:
        _kill(process)


def kill_worker(started: Started) -> None:
    """Whatever worker there is."""
    workers: list[psutil.Process] = []
    wait_for(lambda: started.ended or workers.extend(started.workers().values()) or workers, ROLE_SECONDS)
    for worker in workers[:1]:
        _kill(worker)


def kill_server(started: Started) -> None:
    """The Prefect server that the run started."""
    server = started.server()
    if server is not None:
        _kill(server)


def await_trainer(started: Started, seconds: float) -> psutil.Process | None:
    """The trainer, so many seconds after it was first seen; None where the run ended before there was one."""
    wait_for(lambda: started.ended or "trainer-0" in started.workers(), ROLE_SECONDS)
    time.sleep(seconds)
    return started.workers().get("trainer-0")


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


KILLS: dict[str, Callable[[Started], None]] = {
    "run": kill_run,
    "family": kill_family,
    "worker": kill_worker,
    "server": kill_server,
}
