"""Replicas and ranks on a Ray cluster, on this machine: hosts come and go, actors die."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.runtime.places.ray_cluster import RayCluster
from flows.runtime.worker import WorkerDied, WorkerStopped
from mopd.errors import InputError
from mopd.settings.run import parse_settings
from tests.flows.runtime import worker_jobs as jobs
from tests.loopback_cluster import LoopbackCluster

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[LoopbackCluster]:
    cluster = LoopbackCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def place(cluster: LoopbackCluster, tmp_path: Path) -> RayCluster:
    return place_at(cluster, tmp_path)


def place_at(cluster: LoopbackCluster, tmp_path: Path, **settings: Any) -> RayCluster:
    settings = {"kind": "ray", "address": cluster.address, "join_seconds": 5, **settings}
    return RayCluster(parse_settings({"place": settings}), tmp_path / "logs")


def test_jobs_go_to_both_hosts_and_a_third_waits(place: RayCluster, tmp_path: Path) -> None:
    pool = place.pool("engine of policy 0", jobs.load, tmp_path / "notes")
    assert pool.size == 2
    with ThreadPoolExecutor(3) as threads:
        pids = list(threads.map(lambda _: pool.run(jobs.meet, 1.0), range(3)))
    assert len(set(pids)) == 2
    pool.close()
    assert sorted((tmp_path / "notes").read_text().split()) == ["closed", "closed", "loaded", "loaded"]
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["engine-0.log", "engine-1.log"]


def test_one_job_loads_one_replica_and_reports(place: RayCluster, tmp_path: Path) -> None:
    pool = place.pool("engine", jobs.load, tmp_path / "notes")
    reports: list[dict[str, int]] = []
    assert [pool.run(jobs.add, 1, n, report=reports.append) for n in range(3)] == [1, 2, 3]
    assert [report for report in reports if report] == [{"a": 1}] * 3
    with pytest.raises(InputError, match="tasks.jsonl:3: broken") as error:
        pool.run(jobs.fail)
    assert "In the worker process" in error.value.__notes__[0]
    pool.close()
    assert (tmp_path / "notes").read_text().split() == ["loaded", "closed"]


def test_processors_need_no_device(place: RayCluster, tmp_path: Path) -> None:
    devices = place.pool("engine", jobs.load, tmp_path / "notes")
    processors = place.pool("cpu", jobs.load, tmp_path / "notes", devices=0, replicas=1)
    with ThreadPoolExecutor(3) as threads:
        runs = [threads.submit(pool.run, jobs.meet, 1.0) for pool in (devices, devices, processors)]
        assert len({run.result() for run in runs}) == 3
    devices.close()
    processors.close()


def begin(pool: Any, threads: ThreadPoolExecutor, job: Callable[..., Any], *args: Any) -> tuple[Future[Any], int]:
    """A job that reports its process's id, and that id."""
    begun = threading.Event()
    pids: list[int] = []

    def note(report: dict[str, int]) -> None:
        if report:
            pids.append(report["pid"])
            begun.set()

    future = threads.submit(pool.run, job, *args, report=note)
    assert begun.wait(60)
    return future, pids[0]


@pytest.mark.parametrize("who", ["actor", "worker"])
def test_what_is_killed_costs_its_job_alone(place: RayCluster, tmp_path: Path, who: str) -> None:
    pool = place.pool("engine", jobs.load, tmp_path / "notes")
    with ThreadPoolExecutor(2) as threads:
        dying, pid = begin(pool, threads, jobs.sleep)
        going_on = threads.submit(pool.run, jobs.meet, 3.0)
        worker = psutil.Process(pid)
        actor = next(process for process in psutil.process_iter() if process.name() == "ray::Keeper.run")
        os.kill(actor.pid if who == "actor" else pid, signal.SIGKILL)
        with pytest.raises(WorkerDied, match=r"engine-\d.*see .*engine-\d.log"):
            dying.result(20)
        psutil.wait_procs([worker], 10)
        assert not worker.is_running()
        assert going_on.result(20) != pid
    assert pool.run(jobs.add, 1, 1) == 2
    pool.close()


def test_a_pool_that_is_killed_lets_nobody_wait(place: RayCluster, tmp_path: Path) -> None:
    pool = place.pool("engine", jobs.load, tmp_path / "notes")
    with ThreadPoolExecutor(3) as threads:
        first, pid = begin(pool, threads, jobs.sleep)
        runs = [first, *(threads.submit(pool.run, jobs.sleep) for _ in range(2))]
        time.sleep(1.0)
        pool.kill()
        assert all(isinstance(run.exception(20), WorkerStopped) for run in runs)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], 10)
    assert not psutil.pid_exists(pid)
