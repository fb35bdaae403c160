"""`mopd eval` as a user calls it: killed and continued, a run's policies, what is refused."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from storage.runs import RunFolder
from storage.shards import manifests
from storage.sql.catalog import query
from tests.e2e.harness import FAKE_ENGINE, Prefect, is_alive, wait_for

FEW = ("--tasks", "numbers:larger?size=8", "-k", "2", "--set", "generate.max_tokens=32")
SHARDS = ("--set", "prompts_per_shard=1", *FAKE_ENGINE)


def shards(out: Path, name: str) -> int:
    """Shards of a model that are committed."""
    return len(manifests(RunFolder.open(out), "evaluations", name=name)) if (out / "run.json").exists() else 0


@pytest.mark.timeout(600)
def test_killed_in_the_middle_it_continues_and_ends_as_if_nothing_had_happened(
    prefect: Prefect, finished_run: Path, tmp_path: Path
) -> None:
    models = ("tiny:llama", finished_run)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = prefect.mopd("eval", *models, *FEW, *SHARDS, "--out", whole)
    assert done.returncode == 0, done.stdout + done.stderr
    with prefect.start_mopd("eval", *models, *FEW, *SHARDS, "--out", killed) as process:
        wait_for(lambda: shards(killed, "llama") >= 2, 120)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not any(is_alive(child) for child in family))
    assert shards(killed, "finished@2") < 8
    kept = {path: path.stat().st_mtime_ns for path in killed.rglob("shard-*.json")}

    done = prefect.mopd("eval", *models, *FEW, *SHARDS, "--out", killed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert "RUNNING" not in {one["state_type"] for one in [*prefect.flow_runs(killed), *prefect.task_runs(killed)]}
    assert prefect.mopd("digest", killed).stdout == prefect.mopd("digest", whole).stdout
    assert (killed / "results.csv").read_text().count("\n") == 3
    again = prefect.mopd("eval", *models, *FEW, *SHARDS, "--out", killed)
    assert "finished already, nothing to do" in again.stdout
    assert again.stdout.split("\n\n")[1:-1] == done.stdout.split("\n\n")[1:-1]


def test_policies_of_a_run_have_the_numbers_of_its_own_evaluation(
    prefect: Prefect, finished_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = prefect.mopd("eval", f"{finished_run}@0", finished_run, "-k", "4", "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    with (out / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    evaluations = json.loads(prefect.mopd("status", finished_run, "--json").stdout)["evaluations"]
    assert [row["policy_version"] for row in rows] == [str(one["policy"]) for one in evaluations]
    for row, own in zip(rows, evaluations, strict=True):
        assert [float(row[name]) for name in ("mean", "pass", "maj")] == pytest.approx(
            [own["mean_at_k"], own["pass_at_k"], own["maj_at_k"]], abs=1e-12
        )
        assert [float(row["mean_low"]), float(row["mean_high"])] == pytest.approx(own["mean_interval"], abs=1e-12)
    said = "SELECT policy_version, prompt_id, sample, seed, text, success FROM {} ORDER BY ALL"
    ours_, theirs = query(RunFolder.open(out), said.format("evaluations")).rows, RunFolder.open(finished_run)
    assert ours_ == query(theirs, said.format("evaluations")).rows


def test_what_can_not_be_evaluated_is_one_line_and_nothing_is_written(prefect: Prefect, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for arguments, message in (
        (["nowhere", *FEW], "nowhere: no such model or run"),
        (
            ["tiny:llama", *FEW, *FAKE_ENGINE, "--set", "generate.max_prompt_tokens=3"],
            "more than generate.max_prompt_tokens",
        ),
    ):
        done = prefect.mopd("eval", *arguments, "--out", out)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert message in done.stderr
        assert not out.exists()
