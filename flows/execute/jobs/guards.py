"""The job of guards: what a policy's tables say of it, against the bounds of the settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flows.execute.work import Rows, Work, read_shard
from flows.plan.guards import SAMPLED, TRAINED
from mopd.evaluate import EvaluationSummary, summarize_evaluation
from mopd.measures.guards import sampled_rows, trained_rows

REPLY = ("prompt_id", "sample", "policy_version", "token_ids", "behavior_logprobs", "text")
JUDGED = ("prompt_id", "sample", "success")


def guard(_: None, work: Work) -> Rows:
    """Evaluations and updates of a policy, or rollouts, verdicts and contexts of its round -> guards."""
    asked: dict[str, Any] = {"run": work.folder.run_id, "policy": work.shard.round, "before": _before(work)}
    if work.shard.shard == TRAINED:
        return trained_rows(work.settings, evaluation=_evaluation(work), gradient_norms=_gradient_norms(work), **asked)
    return sampled_rows(
        work.settings,
        rollouts=_read(work, "rollouts", REPLY),
        verdicts=_read(work, "verdicts", JUDGED),
        contexts=_read(work, "contexts", ("truncated",)),
        **asked,
    )


def _before(work: Work) -> tuple[Rows, Rows]:
    """The rows of the policy before; none of the initial one."""
    shards = {
        shard.shard: shard
        for shard in work.shard.inputs
        if (shard.table, shard.round) == ("guards", work.shard.round - 1)
    }
    trained, sampled = (
        read_shard(work.folder, shards[number]) if number in shards else [] for number in (TRAINED, SAMPLED)
    )
    return trained, sampled


def _evaluation(work: Work) -> EvaluationSummary | None:
    rows = _read(work, "evaluations", JUDGED)
    return summarize_evaluation(rows, work.settings.evaluate, work.settings.seed) if rows else None


def _gradient_norms(work: Work) -> list[list[float | None]]:
    """Of each round up to the one that trained the policy."""
    updates = [shard for shard in work.shard.inputs if shard.table == "updates"]
    return [[row["grad_norm"] for row in read_shard(work.folder, shard, ("grad_norm",))] for shard in updates]


def _read(work: Work, table: str, columns: Sequence[str]) -> Rows:
    """The rows of all inputs of a table, in their order."""
    shards = [shard for shard in work.shard.inputs if shard.table == table]
    return [row for shard in shards for row in read_shard(work.folder, shard, columns)]
