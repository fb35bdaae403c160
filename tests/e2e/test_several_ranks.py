"""A run whose policies are trained by two ranks, from end to end; and one that loses a rank within a round."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from flows.folder.checkpoints import CHECKPOINTS
from storage.runs import RunFolder
from storage.shards import manifests
from tests.e2e.harness import FAKE, TINY, Prefect, wait_for
from tests.loopback_cluster import ENVIRONMENT, LoopbackCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
TWO = ("train.ranks=2", "place.devices=2")
WAYS = {"copies": ("train.shard=none",), "shares": ("train.shard=full",)}
ROUNDING = 1e-5


def assigned(*settings: str) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]


@pytest.mark.parametrize("shard", WAYS.values(), ids=WAYS.keys())
def test_two_ranks_train_what_one_trains(
    prefect: Prefect, finished_run: Path, tmp_path: Path, shard: tuple[str, ...]
) -> None:
    run = tmp_path / finished_run.name  # the rows have the name
    done = prefect.mopd("run", TINY, "--run", run, *FAKE, *assigned(*TWO, *shard))
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("experimental" in done.stdout) == ("train.shard=full" in shard)
    first, second = (RunFolder.open(path) for path in (finished_run, run))
    for table in ("rollouts", "verdicts", "contexts"):
        mine, theirs = (
            [shard.untimed or shard.sha256 for shard in manifests(folder, table)] for folder in (first, second)
        )
        assert mine == theirs
    assert [policy.info["ranks"] for policy in manifests(second, "policies")] == [2, 2]
    for policy, same in zip(manifests(first, "policies"), manifests(second, "policies"), strict=True):
        assert policy.files.keys() == same.files.keys()
        assert_same_tensors(first.path / policy.file, second.path / same.file)


def contents(folder: RunFolder, table: str) -> list[str]:
    return [shard.untimed or shard.sha256 for shard in manifests(folder, table)]


def assert_same_tensors(first: Path, second: Path) -> None:
    for path in first.rglob("*.safetensors"):
        mine, theirs = load_file(path), load_file(second / path.relative_to(first))
        assert mine.keys() == theirs.keys()
        for name, value in mine.items():
            torch.testing.assert_close(value, theirs[name], rtol=1e-3, atol=ROUNDING)


LONG = ("rounds=1", "evaluate.when=never", "train.epochs=10", "train.updates_per_round=4")
"""A round of forty updates: long enough to be killed in."""


@pytest.fixture(scope="module", params=WAYS.values(), ids=WAYS.keys())
def whole(request: pytest.FixtureRequest, prefect: Prefect, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    run = tmp_path_factory.mktemp("ranks") / "whole"
    settings = (*LONG, *TWO, *request.param, "train.checkpoint_every_updates=5")
    done = prefect.mopd("run", TINY, "--run", run, *FAKE, *assigned(*settings))
    assert done.returncode == 0, done.stdout + done.stderr
    return run


@contextmanager
def trained_to_a_checkpoint(
    prefect: Prefect, whole: Path, run: Path, *settings: str
) -> Iterator[subprocess.Popen[str]]:
    """Trains the policy of a run again, in a copy: both have one name in their rows."""
    shutil.copytree(whole, run)
    for table in ("policies", "updates"):
        shutil.rmtree(run / table)
    with prefect.start_mopd("run", run, *assigned(*settings)) as process:
        try:
            wait_for(lambda: process.poll() is not None or any((run / CHECKPOINTS).glob("*/update-*")), 240)
            yield process
        finally:
            process.kill()


def assert_a_killed_rank_costs_a_retry(prefect: Prefect, whole: Path, run: Path, *settings: str) -> None:
    """The round goes on from its last checkpoint, and ends as one that nobody disturbed."""
    with trained_to_a_checkpoint(prefect, whole, run, *settings) as process:
        rank_of(run, 1).kill()
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert max(task["run_count"] for task in prefect.task_runs(run)) == 2
    assert output.count("step 0:") == 1, output
    assert not (run / CHECKPOINTS).exists()
    assert digests(run) == digests(whole)


def test_a_killed_rank_costs_a_retry_and_nothing_of_the_updates_before(
    prefect: Prefect, whole: Path, tmp_path: Path
) -> None:
    assert_a_killed_rank_costs_a_retry(prefect, whole, tmp_path / "run")


def test_ranks_on_two_hosts_of_a_cluster_are_those_of_one_host(prefect: Prefect, whole: Path, tmp_path: Path) -> None:
    """Each has a device, so a rank is on each; one of them is killed there too."""
    cluster = LoopbackCluster(hosts=2)
    driver = replace(prefect, env={**prefect.env, **ENVIRONMENT, "OMP_NUM_THREADS": "1"})
    place = f"place={{kind: ray, address: '{cluster.address}', join_seconds: 60}}"
    try:
        assert_a_killed_rank_costs_a_retry(driver, whole, tmp_path / "run", place)
    finally:
        cluster.close()


def test_a_killed_run_goes_on_from_a_checkpoint_with_one_rank(prefect: Prefect, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with trained_to_a_checkpoint(prefect, whole, run) as process:
        process.kill()
    done = prefect.mopd("run", run, *assigned("train.ranks=1", "train.shard=none"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "step 0:" not in done.stdout and "step 39:" in done.stdout
    first, second = (RunFolder.open(path) for path in (whole, run))
    (policy,), (same,) = (manifests(folder, "policies") for folder in (first, second))
    assert (policy.info["ranks"], same.info["ranks"]) == (2, 1)
    assert_same_tensors(first.path / policy.file, second.path / same.file)


def rank_of(run: Path, number: int) -> psutil.Process:
    """The process whose output goes to that rank's log."""
    for process in psutil.process_iter():
        try:
            if Path(f"/proc/{process.pid}/fd/1").readlink() == run / "logs" / f"trainer-{number}.log":
                return process
        except OSError:
            continue
    raise AssertionError("no such rank")


def digests(run: Path) -> list[str]:
    folder = RunFolder.open(run)
    return contents(folder, "policies") + contents(folder, "updates")
