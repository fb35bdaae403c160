"""A run on two devices of this host is the run on one, whichever replica made a shard and whichever died."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from storage.runs import RunFolder
from storage.shards import manifests
from tests.e2e.harness import FAKE, FAKE_ENGINE, TINY, Prefect, wait_for

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core has no two sets"),
]
TWO = ("--set", "place.devices=2")


def test_two_devices_make_what_one_makes(prefect: Prefect, finished_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "two"
    done = prefect.mopd("run", TINY, "--run", run, *FAKE, *TWO)
    assert done.returncode == 0, done.stdout + done.stderr
    assert prefect.mopd("digest", run).stdout == prefect.mopd("digest", finished_run).stdout
    assert makers(run, "rollouts") == {"engine-0", "engine-1"}
    assert "2 replicas on 1 host" in done.stdout
    status = json.loads(prefect.mopd("status", run, "--json").stdout)
    assert status["rounds"][0]["stages"]["generate"]["replicas"] == 2
    assert status["rounds"][0]["stages"]["train"]["replicas"] == 1


def test_an_evaluation_has_replicas_too(prefect: Prefect, tmp_path: Path) -> None:
    arguments = ("eval", "tiny:llama", "--tasks", "numbers:larger?size=4", "-k", "2", "--set", "prompts_per_shard=1")
    for name, place in (("one", ()), ("two", TWO)):
        done = prefect.mopd(*arguments, *FAKE_ENGINE, *place, "--out", tmp_path / name)
        assert done.returncode == 0, done.stdout + done.stderr
    assert prefect.mopd("digest", tmp_path / "two").stdout == prefect.mopd("digest", tmp_path / "one").stdout
    assert makers(tmp_path / "two", "evaluations") == {"engine-0", "engine-1"}


def test_other_contexts_and_answers_have_replicas_too(prefect: Prefect, tmp_path: Path) -> None:
    """A round that tries contexts answers and scores under each; then a command scores under one more."""
    auto = "condition.variant={kind: auto, candidates: [none, contrastive]}"
    for name, place in (("one", ()), ("two", TWO)):
        settings = (*FAKE, "--set", auto, "--set", "rounds=1", "--set", "evaluate.when=never", *place)
        done = prefect.mopd("run", TINY, "--run", tmp_path / name, *settings)
        assert done.returncode == 0, done.stdout + done.stderr
        more = ("--round", "0", "--name", "best", "--set", "condition.variant=positive", *place)
        done = prefect.mopd("score", tmp_path / name, *more)
        assert done.returncode == 0, done.stdout + done.stderr
    assert prefect.mopd("digest", tmp_path / "two").stdout == prefect.mopd("digest", tmp_path / "one").stdout
    assert makers(tmp_path / "two", "answers") == {"answerer-0", "answerer-1"}
    named = manifests(RunFolder.open(tmp_path / "two"), "scores", name="best")
    assert {manifest.info["replica"] for manifest in named} == {"scorer-0", "scorer-1"}
    assert {tuple(manifest.info["set"]) for manifest in named} == {("condition.variant=positive",)}


def test_a_run_goes_on_with_another_number_of_devices(prefect: Prefect, finished_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "grown"
    for settings in (("--set", "rounds=1"), TWO):
        done = prefect.mopd("run", TINY, "--run", run, *FAKE, *settings)
        assert done.returncode == 0, done.stdout + done.stderr
    assert prefect.mopd("digest", run).stdout == prefect.mopd("digest", finished_run).stdout


def test_one_replica_dies_while_the_other_goes_on(prefect: Prefect, tmp_path: Path) -> None:
    """With real passes: in 8 shards of one prompt a replica is killed, and the run ends as one that had no trouble."""
    trial = ("rounds=1", "evaluate.when=never", "prompts_per_shard=1", "generate.num_prompts=8")
    settings = [part for override in trial for part in ("--set", override)]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = prefect.mopd("run", TINY, "--run", whole, *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    with prefect.start_mopd("run", TINY, "--run", killed, *settings, *TWO) as process:
        wait_for(lambda: (killed / "run.json").exists() and makers(killed, "rollouts"), 120)
        holder_of(process.pid, "engine-1.log").kill()
        output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert max(one["run_count"] for one in prefect.task_runs(killed)) <= 2
    assert prefect.mopd("digest", killed).stdout == prefect.mopd("digest", whole).stdout


def test_more_devices_than_there_are_is_one_line_and_nothing_written(prefect: Prefect, tmp_path: Path) -> None:
    run = tmp_path / "refused"
    arguments = ("run", TINY, "--run", run, "--set", "generate.engine=vllm", "--set")
    done = prefect.mopd(*arguments, "generate.engine_arguments={tensor_parallel_size: 99}")
    assert done.returncode == 2
    assert "tensor_parallel_size: 99 devices a replica, and this host has" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not run.exists()


def test_a_stage_holds_a_slot_a_device(prefect: Prefect, tmp_path: Path) -> None:
    """The server's limit counts devices; one that is lower than what a stage takes would let it wait for ever."""
    run, limit = tmp_path / "limited", ("prefect", "--no-prompt", "gcl")
    settings = (*FAKE, *TWO, "--set", "rounds=1", "--set", "evaluate.when=never")
    assert prefect.command(*limit, "create", "mopd-device", "--limit", "1").returncode == 0
    try:
        done = prefect.mopd("run", TINY, "--run", run, *settings)
        assert done.returncode == 2
        assert "mopd-device: this stage takes 2 devices, and the server's limit is lower; `prefect gcl" in done.stderr
        assert prefect.command(*limit, "update", "mopd-device", "--limit", "2").returncode == 0
        done = prefect.mopd("run", TINY, "--run", run, *settings)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        prefect.command(*limit, "delete", "mopd-device")


def makers(run: Path, table: str) -> set[str]:
    """The replicas that made a table's shards by now."""
    return {manifest.info["replica"] for manifest in manifests(RunFolder.open(run), table, name=None)}


def holder_of(pid: int, log: str) -> psutil.Process:
    """The worker of a run that writes into a log."""
    found: list[Any] = []

    def look() -> bool:
        for child in psutil.Process(pid).children(recursive=True):
            if Path(f"/proc/{child.pid}/fd/1").readlink().name == log:
                found.append(child)
        return bool(found)

    wait_for(look)
    return found[0]
