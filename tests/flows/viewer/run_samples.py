"""Runs with a plan, and made-up rows: what `mopd status` can be asked of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.plan.guards import needed_guards
from storage.runs import RunFolder
from tests.flows.plan.test_plan import commit, run_of

EVALUATED = {"evaluate.num_samples": 2, "evaluate.when": "every_round", "prompts_per_shard": 6}


def make_run(path: Path, successes: tuple[bool, ...] = (False, True, True), **changes: Any) -> RunFolder:
    """A run of two rounds, of two prompts and rollouts each; `successes`: of the evaluation of each policy."""
    folder, plan = run_of(path, EVALUATED | {name.replace("__", "."): value for name, value in changes.items()})
    for part in plan.rounds:
        for shard in part.all():
            commit(folder, shard)
    for (version, evaluation), success in zip(plan.evaluations.items(), successes):
        for shard in evaluation.all():
            held_out = {"split": "heldout"} if shard.table == "prompts" else {"success": success}
            commit(folder, shard, **held_out)
        for shard in needed_guards(plan, folder, version):
            commit(folder, shard)
    return folder
