"""A round asks further prompts until it has its useful groups, and trains on those; a kill changes nothing of it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil

from flows.plan.run import RunPlan
from flows.report.status.state import run_status
from mopd.groups import useful_groups
from storage.runs import RunFolder
from storage.shards import manifests, read_rows
from storage.sql.catalog import query
from tests.e2e.harness import FAKE, TINY, Prefect, is_alive, wait_for

SMALL = ("rounds=1", "evaluate.when=never", "prompts_per_shard=1", "train.updates_per_round=1")
PROMPTS, SAMPLES = 4, 2


def arguments(run: Path, *settings: str) -> tuple[str | Path, ...]:
    return ("run", TINY, "--run", run, *FAKE, *(part for one in (*SMALL, *settings) for part in ("--set", one)))


def test_a_run_killed_while_it_samples_trains_on_the_first_useful_groups(prefect: Prefect, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = arguments(run, "generate.groups={kind: mixed, max_oversample: 3}", f"generate.num_samples={SAMPLES}")
    with prefect.start_mopd(*command) as process:
        wait_for(lambda: (run / "run.json").exists() and manifests(RunFolder.open(run), "verdicts", 0), 120)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not any(is_alive(child) for child in family))
    done = prefect.mopd(*command)
    assert done.returncode == 0, done.stdout + done.stderr

    folder = RunFolder.open(run)
    verdicts = [read_rows(folder, one) for one in manifests(folder, "verdicts", 0)]
    mixed = [useful_groups(rows, "mixed") for rows in verdicts]
    assert PROMPTS < len(verdicts) == len(manifests(folder, "rollouts", 0)) <= 3 * PROMPTS
    assert sum(map(len, mixed[:-1])) == PROMPTS - 1  # the last shard was needed, and none after it
    assert len(mixed[-1]) == 1
    for table in ("contexts", "scores"):
        rows = [row for one in manifests(folder, table, 0) for row in read_rows(folder, one, ["prompt_id"])]
        assert [row["prompt_id"] for row in rows] == [name for group in mixed for name in group for _ in range(SAMPLES)]
    assert f"4 of 4 groups with both outcomes, {len(verdicts)} asked" in done.stdout
    assert manifests(folder, "policies", 0)[0].info["groups"] == PROMPTS
    assert RunPlan.of(folder).missing(folder) == []


def test_a_round_without_useful_groups_learns_nothing_and_says_so(prefect: Prefect, tmp_path: Path) -> None:
    run = tmp_path / "run"
    groups = "generate.groups={kind: any_success, max_oversample: 1.5}"
    done = prefect.mopd(*arguments(run, groups, "verify.success_threshold=2.0"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 of 4 groups with a success, 6 asked: generate.groups.max_oversample allows no more, " in done.stdout
    assert "the round learns nothing" in done.stdout
    folder = RunFolder.open(run)
    status = run_status(folder)
    assert status["finished"]
    assert (status["rounds"][0]["steps"], status["rounds"][0]["loss"]) == (1, None)
    assert status["rounds"][0]["selection"]["short"]
    assert query(folder, "SELECT count(*), count(variant), count(teacher) FROM episodes").rows == [(24, 0, 0)]
    assert manifests(folder, "policies", 0)[0].info["groups"] == 0
