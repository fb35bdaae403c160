"""Killed at any place, a run continues at the shard that was lost, and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from flows.folder.progress_file import PROGRESS_FILE
from flows.plan.stage import STAGES
from storage.runs import RunFolder
from storage.shards import manifests
from tests.e2e.harness import FAKE, TINY, Prefect, committed, is_alive, leaders, unnamed_files, wait_for

pytestmark = pytest.mark.timeout(600)  # each starts a run, and some wait for a second one


def test_after_kill_9_the_run_continues_where_it_was_lost(prefect: Prefect, finished_run: Path, tmp_path: Path) -> None:
    """Killed in its first round, then in its second, when the teacher is an average of two policies."""
    run = tmp_path / "killed"
    kill_when_committed(prefect, run, "scores", 0)
    kill_when_committed(prefect, run, "rollouts", 1)
    kept = written(run)
    stale = [one["id"] for one in prefect.flow_runs(run) if one["state_type"] == "RUNNING"]
    assert stale
    assert not committed(run, "policies", 1)
    leave_behind(run)

    done = prefect.mopd("run", TINY, "--run", run, *FAKE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path: time for path, time in written(run).items() if path in kept} == kept
    states = {one["id"]: one["state_type"] for one in prefect.flow_runs(run)}
    assert {states[one] for one in stale} == {"CRASHED"}
    wait_for(lambda: "RUNNING" not in {one["state_type"] for one in prefect.task_runs(run)})
    assert prefect.mopd("digest", run).stdout == prefect.mopd("digest", finished_run).stdout
    assert trainer_state(run) == trainer_state(finished_run)
    assert unnamed_files(run) == set()


def kill_when_committed(prefect: Prefect, run: Path, table: str, round: int) -> None:
    """Start the run, or go on with it, and kill it with all that works for it."""
    with prefect.start_mopd("run", TINY, "--run", run, *FAKE) as process:
        wait_for(lambda: committed(run, table, round), 120)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not any(is_alive(child) for child in family))


def leave_behind(run: Path) -> None:
    """What a process that is killed at other moments leaves: a half of a policy, a shard without a manifest, and
    checkpoints of a policy that is there."""
    for folder in ("_tmp/policies-0001-0123.partial", f"checkpoints/{policy_key(run)}-0123456789ab/update-000001"):
        (run / folder).mkdir(parents=True)
        (run / folder / "model.safetensors").write_bytes(b"half")
    (run / "rollouts" / "round=0001" / "shard-00001-0123456789ab.parquet").write_bytes(b"nobody's")


def policy_key(run: Path) -> str:
    """Of the first round's policy."""
    (policy,) = manifests(RunFolder.open(run), "policies", 0)
    return policy.key


def written(run: Path) -> dict[Path, int]:
    """When what stays was written: the trainer state of an earlier round and the progress are removed in the end."""
    files = (path for path in run.rglob("*.json") if "trainer" not in path.parts and path.name != PROGRESS_FILE)
    return {path: path.stat().st_mtime_ns for path in files}


def trainer_state(run: Path) -> dict[str, bytes]:
    """The teacher's weights after the last round, and the optimizer's state beside them."""
    trainer = run / "policies" / "round=0001" / "trainer"
    found = {path.relative_to(trainer).as_posix(): path.read_bytes() for path in trainer.rglob("*") if path.is_file()}
    assert {"teacher/model.safetensors", "optimizer.safetensors"} <= found.keys()
    assert found["teacher/model.safetensors"] != (trainer.parent / "model.safetensors").read_bytes()
    return found


def test_sigterm_ends_workers_and_sets_the_state(prefect: Prefect, tmp_path: Path) -> None:
    run = tmp_path / "terminated"
    with prefect.start_mopd("run", TINY, "--run", run) as process:
        wait_for(lambda: committed(run, "rollouts", 0), 120)
        second = prefect.mopd("run", TINY, "--run", run)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGTERM)
        output, _ = process.communicate(timeout=240)
    assert second.returncode == 2
    assert f"is being run by process {process.pid}" in second.stderr
    assert process.returncode == 143
    assert "mopd: terminated; start the same command again to continue" in output
    wait_for(lambda: not any(is_alive(child) for child in family))
    assert {one["state_type"] for one in prefect.flow_runs(run)} <= {"CRASHED", "COMPLETED"}
    assert prefect.flow_runs(run)[-1]["state_type"] == "CRASHED"


def test_ctrl_c_is_exit_code_130(prefect: Prefect, tmp_path: Path) -> None:
    run = tmp_path / "interrupted"
    with prefect.start_mopd("run", TINY, "--run", run) as process:
        wait_for(lambda: committed(run, "prompts", 0), 120)
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=240)
    assert process.returncode == 130, output
    assert output.splitlines()[-1].startswith("mopd: interrupted"), output
    assert prefect.flow_runs(run)[-1]["state_type"] == "CRASHED"


def test_a_killed_worker_costs_its_shard_a_retry(prefect: Prefect, tmp_path: Path) -> None:
    run = tmp_path / "worker"
    settings = [f"{key}={value}" for key, value in WORKER_TRIAL.items()]
    with prefect.start_mopd(
        "run", TINY, "--run", run, *(part for one in settings for part in ("--set", one))
    ) as process:
        wait_for(lambda: committed(run, "rollouts", 0), 120)
        for worker in leaders(process.pid):
            worker.kill()
        output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert max(one["run_count"] for one in prefect.task_runs(run)) == 2
    status = json.loads(prefect.mopd("status", run, "--json").stdout)
    assert status["finished"]
    assert max(manifest.info["attempts"] for table in STAGES for manifest in manifests(RunFolder.open(run), table)) == 2
    assert {(error["attempt"], error["made"]) for error in status["errors"]} == {(1, True)}
    assert all("killed by SIGKILL; see " in error["error"] for error in status["errors"])


def test_who_watches_a_run_hears_of_its_end(prefect: Prefect, tmp_path: Path) -> None:
    run = tmp_path / "watched"
    with prefect.start_mopd("run", TINY, "--run", run, *FAKE) as process:
        wait_for(lambda: (run / "run.json").exists(), 120)
        with prefect.start_mopd("status", run, "--watch", "--every", "0.5") as watcher:
            wait_for(lambda: committed(run, "scores", 0) and (run / "progress.json").exists(), 120)
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = watcher.communicate(timeout=60)
    assert watcher.returncode == 1
    lines = output.splitlines()
    assert f"{run}: run by process {process.pid} on " in output and "round 0    verify     2/2 shards" in output
    assert lines[-1].startswith(f"mopd: {run}: not finished, and who ran it has gone (process {process.pid} on ")
    assert lines[-1].endswith(f"; mopd run {run} goes on with it")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_of_a_comparison_stays_behind(prefect: Prefect, tmp_path: Path, number: int) -> None:
    """Two runs at once; killed, the comparison can end nothing, and its runs see that it is gone.

    They have rounds enough for minutes: neither ends by itself before it is looked at. Each signal at each moment is
    tested with runs that do nothing, in test_compare_signals.py.
    """
    out = tmp_path / "compared"
    arguments = ("compare", TINY, "--vary", "train.objective=sdpo,grpo", "--seeds", "2", "--jobs", "2", "--out", out)
    with prefect.start_mopd(*arguments, *FAKE, "--set", f"rounds={MINUTES_OF_ROUNDS}") as process:
        wait_for(lambda: all(committed(out / "runs" / f"sdpo-seed{seed}", "prompts", 0) for seed in (0, 1)), 120)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, number)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), output
    assert len(family) > 2
    wait_for(lambda: not any(is_alive(child) for child in family), 20)
    assert not any(committed(out / "runs" / f"sdpo-seed{seed}", "policies", MINUTES_OF_ROUNDS - 1) for seed in (0, 1))


MINUTES_OF_ROUNDS = 50
WORKER_TRIAL = {"rounds": 1, "evaluate.when": "never", "prompts_per_shard": 1, "generate.max_tokens": 96}
