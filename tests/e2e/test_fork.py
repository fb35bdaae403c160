"""Forks and sides with the fake engine: what is shared is made once, and changes nothing of what comes of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest

from flows.cli import main
from flows.folder.replay.fork import fork_run
from storage.runs import RunFolder
from storage.shards import manifests, verify_run
from storage.sql.catalog import query
from tests.e2e.harness import Prefect, is_alive, wait_for

TABLES = ("prompts", "rollouts", "verdicts", "contexts", "scores")
GUARDS = {"guard-r0000-s0000", "guard-r0000-s0001", "guard-r0001-s0000"}
"""Without evaluations each policy is held to other figures."""
MADE = {"train-r0000-s0000", "record-r0000-s0000", *GUARDS}
LATER = ("--set", "rounds=2", "--set", "evaluate.when=first_and_last")

pytestmark = pytest.mark.timeout(600)  # the first test waits for the whole chain of forks


@pytest.fixture(scope="module")
def parent(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished run, to be forked."""
    return shutil.copytree(finished_run, tmp_path_factory.mktemp("forks") / "parent")


@pytest.fixture(scope="module")
def fork(prefect: Prefect, parent: Path) -> Path:
    """The finished run's settings again, by way of other ones: its rollouts of round 0, then round 1 in another fork.

    That one is killed once, and run to its end.
    """
    folder = parent.parent
    fork_run(parent, 0, ["train.learning_rate=0.5"], folder / "other")
    fork_run(folder / "other", 0, ["train.learning_rate=1e-3", "rounds=1", "evaluate.when=never"], folder / "first")
    done = prefect.mopd("run", folder / "first")
    assert done.returncode == 0, done.stdout + done.stderr
    new = folder / "fork"
    assert main(["fork", str(folder / "first"), "--round", "1", *LATER, str(new)]) == 0
    with prefect.start_mopd("run", new) as process:
        wait_for(lambda: own(new, "rollouts"), 120)
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not any(is_alive(child) for child in children))
    done = prefect.mopd("run", new)
    assert done.returncode == 0, done.stdout + done.stderr
    return new


def own(run: Path, table: str) -> list[int]:
    """Rounds of the shards that a run has made itself."""
    return [one.round for one in manifests(RunFolder.open(run), table) if not one.home]


def steps(prefect: Prefect, run: Path) -> set[str]:
    """Names of the steps for shards that Prefect has by now: it hears of them a little later than they are done."""
    return {one["name"] for one in prefect.task_runs(run) if one["name"].count("-") == 2}


def test_a_fork_makes_only_what_it_has_to(prefect: Prefect, fork: Path) -> None:
    first = fork.parent / "first"
    assert {table: own(first, table) for table in TABLES} == {table: [] for table in TABLES}
    wait_for(lambda: steps(prefect, first) == MADE, 20)
    assert {table: own(fork, table) for table in TABLES[1:]} == {table: [1, 1] for table in TABLES[1:]}
    assert (own(first, "policies"), own(fork, "policies")) == ([0], [1])


def test_the_same_settings_end_in_the_same_content(prefect: Prefect, fork: Path, finished_run: Path) -> None:
    assert prefect.mopd("digest", fork).stdout == prefect.mopd("digest", finished_run).stdout
    assert verify_run(RunFolder.open(fork)) == []
    assert query(RunFolder.open(fork), "SELECT DISTINCT run FROM episodes").rows == [("fork",)]


def test_every_command_reads_a_fork(prefect: Prefect, fork: Path, tmp_path: Path) -> None:
    status = json.loads(prefect.mopd("status", fork, "--json").stdout)
    assert status["finished"]
    assert (Path(status["lineage"]["path"]).name, status["lineage"]["round"]) == ("first", 1)
    prompt = query(RunFolder.open(fork), "SELECT prompt_id FROM rollouts WHERE round = 0 LIMIT 1").rows[0][0]
    shown = prefect.mopd("show", fork, "--round", "0", "--prompt", prompt, "--sample", "1")
    assert "what the teacher was shown" in shown.stdout, shown.stderr
    done = prefect.mopd("export", fork, "--round", "0", tmp_path / "policy")
    assert done.returncode == 0, done.stderr
    weights = (tmp_path / "policy" / "model.safetensors").read_bytes()
    assert weights == (fork.parent / "first" / "policies" / "round=0000" / "model.safetensors").read_bytes()


def test_other_contexts_are_scored_on_the_side_and_taken_over(prefect: Prefect, parent: Path, tmp_path: Path) -> None:
    positive = "condition.variant=positive"
    before = prefect.mopd("digest", parent).stdout
    done = prefect.mopd("score", parent, "--round", "0", "--name", "best", "--set", positive)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "16 rows in contexts, 16 rows in scores" in done.stdout
    wait_for(lambda: steps(prefect, parent) >= {"score-r0000-s0001", "condition-r0000-s0000"}, 20)
    assert prefect.mopd("digest", parent).stdout == before
    folder = RunFolder.open(parent)
    joined = "FROM scores JOIN contexts USING (condition, run, round, prompt_id, sample) GROUP BY ALL"
    rows = query(folder, f"SELECT condition, variant, count(*) {joined} HAVING condition = 'best'").rows
    assert rows == [("best", "positive", 16)]
    fork = fork_run(parent, 0, [positive], tmp_path / "fork")
    for table in ("contexts", "scores"):
        ours = [one.key for one in manifests(fork, table)]
        assert ours and ours == [one.key for one in manifests(folder, table, name="best")]
    again = prefect.mopd("condition", parent, "--round", "0", "--name", "best", "--variant", "positive")
    assert (again.returncode, "16 rows in contexts" in again.stdout) == (0, True)
