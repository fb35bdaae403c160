"""Replicas and ranks on a Ray cluster, on this machine: hosts come and go, actors die."""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.runtime.ray_place.cluster import RayCluster
from flows.runtime.worker import WorkerDied, WorkerStopped
from mopd.errors import InputError
from mopd.settings.run import parse_settings
from tests.flows.runtime import worker_jobs as jobs
from tests.loopback_cluster import LoopbackCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
BUSY_SECONDS = 120
"""How long a busy machine may take for what is done at once."""


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
    with pytest.raises(InputError, match=r"tasks\.jsonl:3: broken") as error:
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
    future.add_done_callback(lambda _: begun.set())
    assert begun.wait(BUSY_SECONDS)
    if not pids:
        future.result()  # why it never began
    return future, pids[0]


def actor_of(pid: int) -> int:
    """The keeper of a worker process, which is forked from a server that the keeper started."""
    actor = psutil.Process(pid).parents()[1]
    assert actor.name().startswith("ray::Keeper")
    return actor.pid


@pytest.mark.parametrize("who", ["actor", "worker"])
def test_what_is_killed_costs_its_job_alone(place: RayCluster, tmp_path: Path, who: str) -> None:
    pool = place.pool("engine", jobs.load, tmp_path / "notes")
    with ThreadPoolExecutor(2) as threads:
        dying, pid = begin(pool, threads, jobs.sleep)
        going_on = threads.submit(pool.run, jobs.meet, 3.0)
        worker = psutil.Process(pid)
        os.kill(actor_of(pid) if who == "actor" else pid, signal.SIGKILL)
        host = f" on {platform.node()}" if who == "worker" else ""
        with pytest.raises(WorkerDied, match=rf"engine-\d \(engine\){host}: .*see .*engine-\d\.log"):
            dying.result(BUSY_SECONDS)
        psutil.wait_procs([worker], BUSY_SECONDS)
        assert not worker.is_running()
        assert going_on.result(BUSY_SECONDS) != pid
    assert pool.run(jobs.add, 1, 1) == 2
    pool.close()


def test_replicas_that_died_while_nobody_used_them_cost_no_job_a_retry(place: RayCluster, tmp_path: Path) -> None:
    pool = place.pool("engine", jobs.load, tmp_path / "notes")
    with ThreadPoolExecutor(2) as threads:
        pids = list(threads.map(lambda _: pool.run(jobs.meet, 1.0), range(2)))
    for pid in set(pids):
        os.kill(actor_of(pid), signal.SIGKILL)
    assert pool.run(jobs.add, 1, 1) == 2
    pool.close()


def test_a_pool_that_is_killed_lets_nobody_wait(place: RayCluster, tmp_path: Path) -> None:
    pool = place.pool("engine", jobs.load, tmp_path / "notes")
    with ThreadPoolExecutor(3) as threads:
        first, pid = begin(pool, threads, jobs.sleep)
        runs = [first, *(threads.submit(pool.run, jobs.sleep) for _ in range(2))]
        time.sleep(1.0)
        pool.kill()
        assert all(isinstance(run.exception(BUSY_SECONDS), WorkerStopped) for run in runs)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], BUSY_SECONDS)
    assert not psutil.pid_exists(pid)


def test_a_host_that_leaves_is_not_waited_for_and_one_that_joins_is_used(
    cluster: LoopbackCluster, place: RayCluster, tmp_path: Path
) -> None:
    pool = place.pool("engine", jobs.load, tmp_path / "notes")
    with ThreadPoolExecutor(2) as threads:
        runs = [begin(pool, threads, jobs.wait_for, tmp_path / "go on") for _ in range(2)]
        cluster.remove_host(cluster.hosts[0])
        wait((run for run, _ in runs), return_when=FIRST_COMPLETED, timeout=BUSY_SECONDS)
        (tmp_path / "go on").touch()
        ended = [run.exception(BUSY_SECONDS) for run, _ in runs]
        assert sorted(isinstance(error, WorkerDied) for error in ended) == [False, True]
        living = next(pid for (_, pid), error in zip(runs, ended) if error is None)
        assert list(threads.map(lambda _: pool.run(jobs.meet, 0.5), range(2))) == [living] * 2
        cluster.add_host()
        (tmp_path / "go on").unlink()
        pids = {begin(pool, threads, jobs.wait_for, tmp_path / "go on")[1] for _ in range(2)}
        (tmp_path / "go on").touch()
        assert len(pids) == 2
    pool.close()


def test_ranks_meet_and_one_that_dies_ends_all(place: RayCluster) -> None:
    group = place.group("trainer of policy 0", 2)
    reports: list[dict[str, int]] = []
    assert group.run(jobs.add_ranks, 10, report=reports.append) == 21
    assert [report for report in reports if report] == [{"rank": 0}]
    with pytest.raises(WorkerDied, match="trainer-1"):
        group.run(jobs.lose_rank, 1)
    assert group.run(jobs.add_ranks, 20) == 41
    group.close()


def test_hosts_for_all_ranks_are_waited_for(place: RayCluster) -> None:
    group, began = place.group("trainer", 3), time.monotonic()
    with pytest.raises(InputError, match=r"train\.ranks: 3, and the cluster has room for 2; add hosts"):
        group.run(jobs.add_ranks, 1)
    assert time.monotonic() - began > 5
    group.close()


def test_a_host_that_is_not_heard_loses_its_replica(place: RayCluster, tmp_path: Path) -> None:
    """Its keeper tells every few seconds that a job goes on, whatever the job says."""
    pool = place.pool("engine", jobs.load, tmp_path / "notes")
    with ThreadPoolExecutor(1) as threads:
        hanging, pid = begin(pool, threads, jobs.wait_for, tmp_path / "go on")
        pool._replicas[0]._silence_seconds = 12.0
        time.sleep(15.0)
        assert not hanging.done()
        os.kill(actor_of(pid), signal.SIGSTOP)
        with pytest.raises(WorkerDied, match="not heard for 12 s"):
            hanging.result(40)
    assert pool.run(jobs.add, 1, 1) == 2
    pool.close()


def test_no_room_for_long_is_said(cluster: LoopbackCluster, place: RayCluster, tmp_path: Path) -> None:
    pool = place.pool("engine", jobs.load, tmp_path / "notes", devices=2)
    with pytest.raises(InputError, match="engine: no host of the cluster has room for it; add one"):
        pool.run(jobs.add, 1, 1)
