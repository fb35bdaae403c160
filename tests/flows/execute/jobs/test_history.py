"""Contexts with peers of earlier rounds: what their shards are made from, and what is read of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.execute.jobs.rounds import read_earlier
from flows.execute.work import Work
from flows.plan.run import RunPlan
from flows.runtime.messages import silent
from storage.runs import RunFolder
from storage.shards import read_rows
from tests.flows.plan.test_plan import commit, plan_of, run_of

HISTORY = {"condition.history_rounds": 1}


def test_contexts_follow_from_the_earlier_rounds_that_they_may_show() -> None:
    plan = plan_of({"condition.history_rounds": 2, "rounds": 4})
    for number, rounds in enumerate([set(), {0}, {0, 1}, {1, 2}]):
        shard = plan.rounds[number].contexts[1]
        assert {one.round for one in shard.history} == rounds
        assert {one.table for one in shard.history} <= {"verdicts", "rollouts"}
        assert set(shard.history) <= set(shard.read)
        assert (shard.input("rollouts").round, shard.input("verdicts").round) == (number, number)
    assert plan_of().rounds[2].contexts[1].history == ()


@pytest.fixture
def judged(tmp_path: Path) -> tuple[RunFolder, RunPlan]:
    """Two rounds of the same two prompts: all succeed in round 0; in round 1, only those of prompt b."""
    folder, plan = run_of(tmp_path / "run", HISTORY)
    for part in plan.rounds:
        for shard in [*part.prompts, *part.rollouts, *part.verdicts]:
            commit(folder, shard)
    return folder, plan


def test_only_prompts_without_a_success_read_their_history(judged: tuple[RunFolder, RunPlan]) -> None:
    folder, plan = judged
    shard = plan.rounds[1].contexts[0]
    manifest = shard.input("verdicts").find(folder)
    assert manifest is not None
    verdicts = [{**row, "success": row["prompt_id"] == "b"} for row in read_rows(folder, manifest)]
    for rows in read_earlier(Work(folder, shard, silent), verdicts):
        assert [(row["round"], row["prompt_id"], row["sample"]) for row in rows] == [(0, "a", 0), (0, "a", 1)]
    assert read_earlier(Work(folder, shard, silent), [{**row, "success": True} for row in verdicts]) == ([], [])


def test_an_earlier_verdict_judged_otherwise_makes_contexts_again(judged: tuple[RunFolder, RunPlan]) -> None:
    folder, plan = judged
    shard = plan.rounds[1].contexts[0]
    commit(folder, shard)
    assert shard.find(folder) is not None
    old = plan.rounds[0].verdicts[0]
    manifest = old.committed(folder)
    assert manifest is not None
    (folder.path / manifest.file).unlink()
    commit(folder, old, reward=0.25)
    assert shard.find(folder) is None
