"""The steps of one rollout's way through a round: task, prompt, rollout, verdict, context, score, updates, policy."""

from __future__ import annotations

from difflib import get_close_matches
from itertools import accumulate
from typing import Any

from flows.plan.run import RunPlan
from flows.plan.shard import Shard
from flows.report.artifacts import find_manifests, total
from flows.report.trace.facts import (
    SCORED,
    Rollout,
    context_facts,
    task_facts,
    update_facts,
    verdict_facts,
)
from flows.report.trace.shards import describe_shard, mark_made_again
from flows.runtime.shell import shell_command
from mopd.errors import InputError
from storage.lookup import looking_once
from storage.reading import read_rows
from storage.runs import RunFolder
from storage.sql.tables import read_small_rows

Json = dict[str, Any]
SAMPLED = ("policy_version", "seed", "temperature", "finish_reason", "num_tokens")
NEXT_STEPS = {
    "rollouts": "not sampled yet",
    "verdicts": "not judged yet",
    "contexts": "no context yet",
    "scores": "not scored yet",
    "updates": "not trained on yet",
    "policies": "not trained yet",
    "evaluations": "not evaluated",
}
"""What is said of a step that the run has not come to."""
LEFT_OUT = "left out: its group is none of those that the round trains on (generate.groups)"


def trace(folder: RunFolder, round: int, prompt_id: str, sample: int, *, with_settings: bool = False) -> Json:
    """The lineage of one rollout. Raises InputError where the run has no such one."""
    with looking_once():
        rollout = _find(folder, round, prompt_id, sample)
        steps = [_table_step(rollout, name, with_settings) for name in ("prompts", "rollouts", "verdicts")]
        steps += [_table_step(rollout, name, with_settings) for name in ("contexts", "scores")]
        steps += [_updates_step(rollout, with_settings), _policy_step(rollout, with_settings)]
        steps += _evaluation_steps(rollout, with_settings)
        mark_made_again(steps)
        task = {"step": "task", "shard": None, "note": None, "facts": task_facts(rollout)}
        run = {"run": folder.address, "run_id": folder.run_id, "round": round, "prompt_id": prompt_id, "sample": sample}
        return {**run, "steps": [task, *steps]}


def _find(folder: RunFolder, round: int, prompt_id: str, sample: int) -> Rollout:
    plan = RunPlan.of(folder)
    if not 0 <= round < len(plan.rounds):
        last = len(plan.rounds) - 1
        raise InputError(f"--round {round}: {folder.address} has rounds 0 to {last}")
    place = _find_place(folder, plan, round, prompt_id)
    rollout = Rollout(folder, plan, plan.rounds[round], round, prompt_id, sample, place)
    samples = sorted(row["sample"] for row in rollout.group("rollouts", ("sample",)))
    if not samples:
        return rollout  # drawn, not sampled yet
    if sample not in samples:
        raise InputError(f"--sample {sample}: the group has samples {samples[0]} to {samples[-1]}")
    return rollout


def _find_place(folder: RunFolder, plan: RunPlan, round: int, prompt_id: str) -> int:
    """The shard that has the prompt, among those of its round."""
    shards = [shard for shard in plan.rounds[round].prompts if shard.committed(folder) is not None]
    manifests = find_manifests(folder, shards)
    if not manifests:
        raise InputError(f"--round {round}: the run has not come so far; {shell_command('status', folder.address)}")
    ids = [row["prompt_id"] for row in read_small_rows(folder, manifests, ["prompt_id"])]
    if prompt_id not in ids:
        near = get_close_matches(prompt_id, ids, cutoff=0.5)
        meant = f"did you mean {', '.join(near)}? " if near else ""
        query = f"SELECT prompt_id FROM prompts WHERE round = {round} AND split = 'train'"
        raise InputError(
            f"--prompt {prompt_id}: not in round {round}; {meant}{shell_command('sql', folder.address, query)} lists "
            "its prompts"
        )
    ends = accumulate(manifest.rows for manifest in manifests)
    number = next(number for number, end in enumerate(ends) if ids.index(prompt_id) < end)
    return plan.rounds[round].prompts.index(shards[number])


def _table_step(rollout: Rollout, table: str, with_settings: bool) -> Json:
    """A step that the rollout has a row in."""
    shard: Shard = getattr(rollout.part, table)[rollout.place]
    described = describe_shard(rollout.folder, shard, _model_of(rollout, table), with_settings=with_settings)
    facts = _READ[table](rollout)
    missing = "created" not in described
    note = NEXT_STEPS.get(table) if missing else LEFT_OUT if facts is None else None
    return {"step": _NAMES[table], "shard": described, "note": note, "facts": facts or {}}


def _updates_step(rollout: Rollout, with_settings: bool) -> Json:
    shard = rollout.part.updates
    described = describe_shard(rollout.folder, shard, with_settings=with_settings)
    manifest = shard.committed(rollout.folder)
    note = NEXT_STEPS["updates"] if manifest is None else _why_no_update(rollout)
    facts = [] if manifest is None or note else update_facts(rollout, read_rows(rollout.folder, manifest))
    return {"step": "updates", "shard": described, "note": note, "facts": {"updates": facts}}


def _why_no_update(rollout: Rollout) -> str | None:
    """Why none of a round that was trained is told of; None where the rollout's can be."""
    needed = rollout.part.needed(rollout.folder)
    for table in ("rollouts", "verdicts", "scores"):
        if any(shard.committed(rollout.folder) is None for shard in getattr(needed, table)):
            return f"not known: {table} of the round are missing, which decide it"
    return None if rollout.row("scores", ("sample",)) else "in none: it was not scored"


def _policy_step(rollout: Rollout, with_settings: bool) -> Json:
    model = _policy(rollout, rollout.round)
    described = describe_shard(rollout.folder, rollout.part.policy, model, with_settings=with_settings)
    manifest = rollout.part.policy.committed(rollout.folder)
    facts = {"version": rollout.round + 1, "steps": manifest.info.get("steps")} if manifest else {}
    return {"step": "policy", "shard": described, "note": None if manifest else NEXT_STEPS["policies"], "facts": facts}


def _evaluation_steps(rollout: Rollout, with_settings: bool) -> list[Json]:
    """That of the policy which it trained, where somebody asked for that; its first shard stands for all."""
    version = rollout.round + 1
    part = rollout.plan.shown_evaluations(rollout.folder).get(version)
    if part is None:
        return []
    model = _policy(rollout, version)
    described = describe_shard(rollout.folder, part.evaluations[0], model, with_settings=with_settings)
    made = find_manifests(rollout.folder, part.evaluations)
    judged = sum(manifest.rows for manifest in made) - int(total(made, "nulls"))
    facts = {
        "policy": version,
        "shards": f"{len(made)}/{len(part.evaluations)}",
        "pass_rate": total(made, "successes") / judged if judged else None,
        "nulls": int(total(made, "nulls")),
    }
    return [
        {"step": "evaluation", "shard": described, "note": None if made else NEXT_STEPS["evaluations"], "facts": facts}
    ]


def _model_of(rollout: Rollout, table: str) -> Json | None:
    """The policy that a step's shard was made with."""
    if table not in ("rollouts", "scores"):
        return None
    teacher = rollout.plan.at(rollout.round).teacher_digest
    model = _policy(rollout, rollout.round)
    return {**model, "teacher_digest": teacher} if table == "scores" and teacher else model


def _policy(rollout: Rollout, version: int) -> Json:
    """A policy by its version and digest: of the initial model's files, or of its weights as committed."""
    if version == 0:
        return {"version": 0, "digest": rollout.plan.model_digest}
    manifest = rollout.plan.rounds[version - 1].policy.committed(rollout.folder)
    return {"version": version, "digest": manifest.sha256 if manifest else None}


_NAMES = {"prompts": "prompt", "rollouts": "rollout", "verdicts": "verdict", "contexts": "context", "scores": "score"}
_READ: dict[str, Any] = {
    "prompts": lambda rollout: {},
    "rollouts": lambda rollout: rollout.row("rollouts", SAMPLED),
    "verdicts": verdict_facts,
    "contexts": context_facts,
    "scores": lambda rollout: rollout.row("scores", SCORED),
}
