"""A run on the hosts of a Ray cluster is the run on this host, whatever dies on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from storage.runs import RunFolder
from storage.shards import manifests
from tests.e2e.harness import FAKE, TINY, Prefect, is_alive, wait_for
from tests.loopback_cluster import ENVIRONMENT, LoopbackCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

SETTINGS = ("--set", "shard_retries=5")
"""Hosts and actors that are killed may have the same shard more than once."""

REAL = (
    *("model.path=embedded:smollm2-135m-instruct", "generate.engine=vllm", "evaluate.when=never", "rounds=1"),
    *("generate.num_prompts=2", "generate.num_samples=2", "prompts_per_shard=1", "train.updates_per_round=1"),
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LoopbackCluster]:
    cluster = LoopbackCluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def driver(prefect: Prefect, cluster: LoopbackCluster) -> Prefect:
    """Commands on the cluster's head."""
    return replace(prefect, env={**prefect.env, **ENVIRONMENT, "OMP_NUM_THREADS": "1"})


@pytest.fixture(scope="module")
def whole(prefect: Prefect, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digests of the tiny run on this host, with real passes."""
    run = tmp_path_factory.mktemp("local") / "whole"
    done = prefect.mopd("run", TINY, "--run", run)
    assert done.returncode == 0, done.stdout + done.stderr
    return prefect.mopd("digest", run).stdout


def on(cluster: LoopbackCluster) -> tuple[str, ...]:
    return ("--set", f"place={{kind: ray, address: '{cluster.address}', join_seconds: 60}}", *SETTINGS)


def test_a_run_of_two_hosts_is_that_of_one(
    driver: Prefect, cluster: LoopbackCluster, finished_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "fake"
    done = driver.own_mopd("run", TINY, "--run", run, *FAKE, *on(cluster), seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert driver.mopd("digest", run).stdout == driver.mopd("digest", finished_run).stdout
    assert "2 replicas" in done.stdout
    assert {path.stem for path in (run / "logs").iterdir()} >= {"engine-0", "engine-1", "scorer-0", "trainer-0"}


def test_an_actor_that_is_killed_in_each_stage_changes_nothing(
    driver: Prefect, cluster: LoopbackCluster, whole: str, tmp_path: Path
) -> None:
    run = tmp_path / "killed"
    run_disturbed(driver, cluster, run, lambda kind: kill_actors(run, kind))
    assert driver.mopd("digest", run).stdout == whole
    assert max(one["run_count"] for one in driver.task_runs(run)) >= 2


def test_a_host_that_is_lost_changes_nothing(
    driver: Prefect, cluster: LoopbackCluster, whole: str, tmp_path: Path
) -> None:
    """In generate, score and train; each time another one joins."""
    run = tmp_path / "lost"

    def replace_host(kind: str) -> None:
        cluster.remove_host(host_of(cluster, run, kind))
        cluster.add_host()

    run_disturbed(driver, cluster, run, replace_host, kinds={"engine", "scorer", "trainer"})
    assert driver.mopd("digest", run).stdout == whole


def test_a_killed_command_leaves_no_actors_and_goes_on_when_it_is_started_again(
    driver: Prefect, cluster: LoopbackCluster, whole: str, tmp_path: Path
) -> None:
    run = tmp_path / "again"
    with driver.start_mopd("run", TINY, "--run", run, *on(cluster)) as process:
        wait_while_it_runs(process, lambda: committed(run, "scores"))
        held = processes(run)
        assert held
        os.kill(process.pid, signal.SIGKILL)
    began = time.monotonic()
    wait_for(lambda: not any(is_alive(one) for one in held), 30)
    print(f"devices were free {time.monotonic() - began:.1f} s after the command was killed")
    done = driver.own_mopd("run", TINY, "--run", run, *on(cluster), seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert driver.mopd("digest", run).stdout == whole


def test_sigterm_ends_a_run_on_ray_in_order(driver: Prefect, cluster: LoopbackCluster, tmp_path: Path) -> None:
    run = tmp_path / "terminated"
    with driver.start_mopd("run", TINY, "--run", run, *on(cluster)) as process:
        wait_while_it_runs(process, lambda: committed(run, "rollouts"))
        held = processes(run)
        assert held
        os.kill(process.pid, signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 143, output
    assert "mopd: terminated; start the same command again to continue" in output
    assert driver.flow_runs(run)[-1]["state_type"] == "CRASHED"
    wait_for(lambda: not any(is_alive(one) for one in held), 30)


def run_disturbed(
    driver: Prefect,
    cluster: LoopbackCluster,
    run: Path,
    disturb: Callable[[str], object],
    kinds: Collection[str] = ("engine", "cpu", "scorer", "trainer"),
) -> None:
    """A whole run, disturbed once in each stage where one of these kinds of processes works."""
    with driver.start_mopd("run", TINY, "--run", run, *on(cluster)) as process:
        for kind, has_come in stages(run):
            if kind in kinds:
                wait_while_it_runs(process, has_come)
                disturb(kind)
        output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output


def stages(run: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """What works in each stage of the first round, and when it does: shards have come, or it is there."""
    yield "engine", lambda: workers(run, "engine")  # evaluate
    for kind, table in (("engine", "rollouts"), ("cpu", "verdicts"), ("cpu", "contexts"), ("scorer", "scores")):
        yield kind, lambda table=table: committed(run, table)
    yield "trainer", lambda: workers(run, "trainer")


def wait_while_it_runs(process: subprocess.Popen[str], condition: Callable[[], object]) -> None:
    wait_for(lambda: condition() or process.poll() is not None, 400)


def committed(run: Path, table: str) -> bool:
    return (run / "run.json").exists() and bool(manifests(RunFolder.open(run), table, 0))


def workers(run: Path, kind: str) -> list[psutil.Process]:
    """The worker processes of a run, of one kind: each writes into a log of its own."""
    found = []
    for process in psutil.process_iter():
        try:
            log = Path(f"/proc/{process.pid}/fd/1").readlink()
        except OSError:
            continue
        if log.parent == run / "logs" and log.name.startswith(kind) and os.getsid(process.pid) == process.pid:
            found.append(process)
    return found


def actors(run: Path, kind: str) -> list[psutil.Process]:
    """What keeps these workers: not the actors of other tests, which the machine has too."""
    return [worker.parents()[1] for worker in workers(run, kind)]


def processes(run: Path) -> list[psutil.Process]:
    """The workers of a run, and what keeps them."""
    return [*workers(run, ""), *actors(run, "")]


def kill_actors(run: Path, kind: str) -> None:
    for actor in actors(run, kind):
        actor.kill()


def host_of(cluster: LoopbackCluster, run: Path, kind: str) -> object:
    """The host whose actor keeps the first worker of a kind; another one while there is none."""
    for worker in workers(run, kind):
        raylets = {process.pid for process in worker.parents()}
        for host in cluster.hosts:
            if cluster.raylet_of(host) in raylets:
                return host
    return cluster.hosts[0]


@pytest.mark.slow
@pytest.mark.usefixtures("one_engine")
def test_a_real_engine_samples_on_another_host_what_it_samples_here(
    driver: Prefect, cluster: LoopbackCluster, tmp_path: Path
) -> None:
    settings = [part for override in REAL for part in ("--set", override)]
    for run, place in (("here", ()), ("there", on(cluster))):
        done = driver.own_mopd("run", TINY, "--run", tmp_path / run, *settings, *place, seconds=800)
        assert done.returncode == 0, done.stdout + done.stderr
    digests = [driver.mopd("digest", tmp_path / run).stdout for run in ("here", "there")]
    assert digests[0] == digests[1] != ""
