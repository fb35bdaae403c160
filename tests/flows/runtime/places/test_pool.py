"""Jobs go to whichever replica is free; one that dies holds up its own job alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flows.runtime.places.pool import ReplicaPool
from flows.runtime.worker import Worker, WorkerDied, WorkerStopped
from tests.flows.runtime import worker_jobs as jobs


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[ReplicaPool]:
    pool = ReplicaPool("test", 2, lambda number: Worker(f"test-{number}", jobs.load, tmp_path / f"notes-{number}"))
    yield pool
    pool.kill()


def test_one_job_loads_one_replica(pool: ReplicaPool, tmp_path: Path) -> None:
    assert [pool.run(jobs.add, 1, n) for n in range(3)] == [1, 2, 3]
    pool.close()
    assert [path.name for path in tmp_path.iterdir()] == ["notes-0"]


def test_two_jobs_run_beside_each_other_and_a_third_waits(pool: ReplicaPool) -> None:
    with ThreadPoolExecutor(3) as threads:
        pids = list(threads.map(lambda _: pool.run(jobs.meet, 0.5), range(3)))
    assert len(set(pids)) == 2


def test_a_replica_that_dies_is_replaced_and_the_other_goes_on(pool: ReplicaPool) -> None:
    reports = threading.Event()
    pids: list[int] = []

    def note(report: dict[str, int]) -> None:
        if report:
            pids.append(report["pid"])
            reports.set()

    with ThreadPoolExecutor(2) as threads:
        dying = threads.submit(pool.run, jobs.sleep, report=note)
        assert reports.wait(20)
        going_on = threads.submit(pool.run, jobs.meet, 1.0)
        os.kill(pids[0], 9)
        with pytest.raises(WorkerDied):
            dying.result()
        assert going_on.result() not in pids
    assert pool.run(jobs.add, 1, 1) == 2


def test_a_pool_that_is_killed_lets_nobody_wait(pool: ReplicaPool) -> None:
    begun = threading.Semaphore(0)
    with ThreadPoolExecutor(3) as threads:
        runs = [
            threads.submit(pool.run, jobs.sleep, report=lambda report: begun.release() if report else None)
            for _ in range(3)
        ]
        assert begun.acquire(timeout=20) and begun.acquire(timeout=20)
        pool.kill()
        assert all(isinstance(run.exception(20), WorkerStopped) for run in runs)
