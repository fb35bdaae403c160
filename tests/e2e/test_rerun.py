"""A round is redone in the run itself: killed, gone on with, brought back; only what is downstream is made again."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest

from flows.folder.replay.fork import fork_run
from storage.lookup import manifests
from storage.runs import RunFolder
from storage.shards import verify_run
from tests.e2e.harness import FAKE, TINY, Prefect, is_alive, wait_for

FROZEN = "train.teacher=frozen"
REDO = ("--round", "1", "--from", "score", "--set", FROZEN)

pytestmark = pytest.mark.timeout(600)  # whole runs


@pytest.fixture(scope="module")
def first(prefect: Prefect, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that keeps the trainer state that its second round begins with."""
    run = tmp_path_factory.mktemp("redone") / "first"
    done = prefect.mopd("run", TINY, "--run", run, *FAKE, "--set", "train.keep_trainer_states=2")
    assert done.returncode == 0, done.stdout + done.stderr
    return run


@pytest.fixture(scope="module")
def forked(prefect: Prefect, first: Path) -> str:
    """The digest of its fork with the other settings."""
    fork = fork_run(first, 1, [FROZEN], first.parent / "fork")
    done = prefect.mopd("run", fork.address)
    assert done.returncode == 0, done.stdout + done.stderr
    return prefect.mopd("digest", fork.address).stdout


def stamps(run: Path) -> dict[Path, int]:
    """When the data of what a rerun from scoring keeps was written."""
    tables = ("prompts", "rollouts", "verdicts", "contexts")
    return {path.relative_to(run): path.stat().st_mtime_ns for name in tables for path in (run / name).rglob("*.*")}


def test_a_stage_is_redone_and_taken_back(prefect: Prefect, first: Path, forked: str, tmp_path: Path) -> None:
    run = shutil.copytree(first, tmp_path / "run")
    before, kept = prefect.mopd("digest", run).stdout, stamps(run)
    done = prefect.mopd("rerun", run, *REDO)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{run}: redone from score of round 1; rounds before 1 stay as they are" in done.stdout
    assert prefect.mopd("digest", run).stdout == forked
    assert {path: time for path, time in stamps(run).items() if path in kept} == kept == stamps(run)
    status = json.loads(prefect.mopd("status", run, "--json").stdout)
    assert ([entry["set"] for entry in status["redone"]], status["finished"]) == ([[FROZEN]], True)
    assert verify_run(RunFolder.open(run)) == []
    runs = len(prefect.flow_runs(run))
    done = prefect.mopd("rerun", run, "--undo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert prefect.mopd("digest", run).stdout == before
    assert len(prefect.flow_runs(run)) == runs
    again = prefect.mopd("rerun", run, *REDO)
    assert (again.returncode, prefect.mopd("digest", run).stdout) == (0, forked)


def test_a_rerun_that_was_killed_goes_on(prefect: Prefect, first: Path, forked: str, tmp_path: Path) -> None:
    run = shutil.copytree(first, tmp_path / "run")
    before = prefect.mopd("digest", run).stdout

    def has_begun() -> bool:
        folder = RunFolder.open(run)
        return bool(folder.superseded) and len(manifests(folder, "scores", 1)) > 0

    with prefect.start_mopd("rerun", run, *REDO) as process:
        wait_for(has_begun, 120)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not any(is_alive(child) for child in family))
    done = prefect.mopd("run", run)
    assert done.returncode == 0, done.stdout + done.stderr
    assert prefect.mopd("digest", run).stdout == forked
    assert "RUNNING" not in {one["state_type"] for one in prefect.flow_runs(run)}
    assert prefect.mopd("rerun", run, "--undo").returncode == 0
    assert prefect.mopd("digest", run).stdout == before
