"""Guards that warn and that end a run, as a user sees them: the tiny model under a learning rate that breaks it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from storage.digest import digest_tables
from storage.runs import RunFolder
from storage.sql.catalog import query
from tests.e2e.harness import TINY, Prefect, wait_for

SMALL = ("rounds=2", "generate.num_prompts=2", "train.updates_per_round=1", "evaluate.when=never")
COLLAPSE = ("train.learning_rate=1.0", "train.warmup_steps=0", "guards.success_groups=null", "guards.entropy=0.5")
"""After one such step few tokens are likely any more. No reply of random weights is right anyway."""


def sets(*overrides: str) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]


def actions(run: Path) -> list[tuple[int, str, str]]:
    rows = query(RunFolder.open(run), "SELECT round, guard, action FROM guards WHERE breached ORDER BY ALL").rows
    return [(int(round), str(guard), str(action)) for round, guard, action in rows]


@pytest.fixture(scope="module")
def warned(prefect: Prefect, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run that collapsed to its end, and what it said."""
    run = tmp_path_factory.mktemp("guards") / "warned"
    done = prefect.mopd("run", TINY, "--run", run, *sets(*SMALL, *COLLAPSE))
    assert done.returncode == 0, done.stdout + done.stderr
    return run, done.stdout


@pytest.mark.slow
def test_a_warning_is_said_where_it_comes_and_at_the_end(prefect: Prefect, warned: tuple[Path, str]) -> None:
    run, said = warned
    assert (1, "entropy", "warn") in actions(run)
    line = next(line for line in said.splitlines() if line.startswith("policy 1   guard"))
    assert "entropy (warn): " in said and "times" in line
    status = json.loads(prefect.mopd("status", run, "--json").stdout)
    assert status["finished"] and status["guards"]["stopped"] is None
    assert (1, "entropy") in [(row["policy"], row["guard"]) for row in status["guards"]["breaches"]]
    assert "policy 1: entropy (warn): " in prefect.mopd("status", run).stdout


@pytest.mark.slow
def test_a_stop_ends_the_run_until_its_settings_let_it_go_on(
    prefect: Prefect, warned: tuple[Path, str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    stop = "guards.on_breach_of.entropy=stop"
    stopped = prefect.mopd("run", TINY, "--run", run, *sets(*SMALL, *COLLAPSE, stop))
    assert stopped.returncode == 3, stopped.stdout + stopped.stderr
    (line,) = stopped.stderr.splitlines()
    assert f"mopd: {run}: stopped at policy 1 by entropy: " in line and "of policy 0: at least 0.5 times" in line
    assert f"mopd run {run} --set guards.on_breach_of.entropy=warn goes on all the same" in line
    assert not (run / "scores" / "round=0001").exists()  # nothing was paid for after it
    flow = next(one for one in prefect.flow_runs(run) if one["name"] == "run-run")
    assert flow["state_type"] == "FAILED" and "stopped at policy 1 by entropy" in flow["state"]["message"]
    assert "not finished, stopped by entropy at policy 1" in prefect.mopd("status", run).stdout

    num_flows = len(prefect.flow_runs(run))
    again = prefect.mopd("run", run)
    assert (again.returncode, again.stderr) == (3, stopped.stderr)
    assert len(prefect.flow_runs(run)) == num_flows  # said before anything is started

    on = prefect.mopd("run", run, *sets("guards.on_breach_of.entropy=warn"))
    assert on.returncode == 0, on.stdout + on.stderr
    first, other = (digest_tables(RunFolder.open(path)) for path in (warned[0], run))
    assert {name for name in first if first[name] != other[name]} == set()


BACK = ("guards.on_breach_of.entropy=rollback", "guards.rollback.learning_rate_factor=0.001")


@pytest.mark.slow
def test_a_run_that_collapsed_goes_on_from_its_best_policy_also_where_it_is_killed(
    prefect: Prefect, tmp_path: Path
) -> None:
    """Killed where the guard has answered, it goes back at the next start; it is the run that had that rate at once."""
    run, plain = tmp_path / "run", tmp_path / "plain"
    command = ("run", TINY, "--run", run, *sets(*SMALL, *COLLAPSE, *BACK))
    process = prefect.start_mopd(*command)
    wait_for(lambda: list(run.glob("guards/round=0001/shard-00001-*.json")) or process.poll() is not None, 240)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = prefect.mopd(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    (redone,) = json.loads((run / "run.json").read_text())["redone"]
    assert (redone["round"], redone["set"]) == (0, ["train.learning_rate=0.001"])
    assert redone["why"].startswith("rolled back: policy 1: entropy: ")
    assert redone["why"] in prefect.mopd("status", run).stdout
    once = prefect.mopd("run", TINY, "--run", plain, *sets(*SMALL, *COLLAPSE, *BACK, "train.learning_rate=0.001"))
    assert once.returncode == 0, once.stdout + once.stderr
    first, other = (digest_tables(RunFolder.open(path)) for path in (plain, run))
    assert {name for name in first if first[name] != other[name]} == set()


def test_a_gate_ends_a_round_before_a_device_is_taken(prefect: Prefect, tmp_path: Path) -> None:
    run = tmp_path / "run"
    gate = ("generate.engine=fake", "guards.success_groups=3", "guards.on_breach=stop")
    done = prefect.mopd("run", TINY, "--run", run, *sets(*SMALL, *gate))
    assert done.returncode == 3, done.stdout + done.stderr
    assert "stopped at policy 0 by success_groups: 2 groups with a success: at least 3" in done.stderr
    assert (run / "contexts" / "round=0000").exists() and not (run / "scores").exists()
    (guards,) = (run / "guards").rglob("shard-00001-*.parquet")
    assert guards.name in (run / "catalog.sql").read_text()  # so that DuckDB can be asked why
    artifacts = prefect.post("artifacts/filter", {"artifacts": {"key": {"like_": "mopd-guard"}}})
    assert any("2 groups with a success" in one["data"] for one in artifacts)
