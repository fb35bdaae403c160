"""What the rows of a round say of one rollout, step by step. Only the columns that are told of are read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from flows.plan.run import RunPlan
from flows.plan.shard import RoundPlan, Shard
from mopd.objectives.carried import loss_weight, why_no_loss
from mopd.trainer.updates import split_updates
from storage.runs import RunFolder
from storage.schemas import Row
from storage.sql.tables import read_columns

Json = dict[str, Any]
JUDGED = ("reward", "success", "kind", "error", "seconds")
SCORED = ("teacher", "teacher_version", "policy_version", "mean_teacher_logprob", "advantage", "distill")
SHOWN = ("variant", "num_tokens", "has_sections", "truncated", "dropped", "no_section_reason", "peers")
STEPS = ("step", "objective", "loss", "grad_norm", "learning_rate", "tokens", "skipped")


@dataclass(frozen=True)
class Rollout:
    """The rollout that is traced; `place`: its shard among those of its round."""

    folder: RunFolder
    plan: RunPlan
    part: RoundPlan
    round: int
    prompt_id: str
    sample: int
    place: int

    def row(self, table: str, columns: tuple[str, ...]) -> Row | None:
        """Its row of a table; None where that is not made, or leaves the rollout out."""
        shard: Shard = getattr(self.part, table)[self.place]
        where = {"prompt_id": self.prompt_id, "sample": self.sample}
        return next(iter(self._read([shard], columns, where)), None)

    def group(self, table: str, columns: tuple[str, ...]) -> list[Row]:
        """The rows of its whole group."""
        return self._read([getattr(self.part, table)[self.place]], columns, {"prompt_id": self.prompt_id})

    def read_all(self, table: str, columns: tuple[str, ...]) -> list[Row]:
        """The rows of the whole round, in the order of the shards."""
        return self._read(getattr(self.part, table), columns, {})

    def _read(self, shards: list[Shard], columns: tuple[str, ...], where: Json) -> list[Row]:
        manifests = [manifest for shard in shards if (manifest := shard.committed(self.folder)) is not None]
        return read_columns(self.folder, manifests, columns, where)


def task_facts(rollout: Rollout) -> Json:
    """The task, and where it is from as far as that is known."""
    columns = ("dataset", "split", "verifier", "metadata")
    row = next(iter(rollout.group("prompts", columns)), None) or dict.fromkeys(columns)
    metadata = json.loads(row.pop("metadata") or "{}")
    origin = {name: metadata[name] for name in ("source", "file", "row", "index", "line") if name in metadata}
    plan = rollout.plan.at(rollout.round)
    tasks = plan.settings.tasks
    source = tasks.train if tasks.kind == "file" else f"generated: {', '.join(tasks.questions)}"
    return {"prompt_id": rollout.prompt_id, **row, "source": source, **origin, "tasks_digest": plan.tasks_digest}


def verdict_facts(rollout: Rollout) -> Json | None:
    """The verdict, and whose it is."""
    row = rollout.row("verdicts", JUDGED)
    prompt = next(iter(rollout.group("prompts", ("verifier",))), None)
    judge_of = rollout.part.verdicts[rollout.place].settings.verify.judge_of
    return row and {"verifier": prompt and judge_of(prompt["verifier"]), **row}


def context_facts(rollout: Rollout) -> Json | None:
    """What its teacher was shown, and whose teachers were shown it."""
    rows = {row.pop("sample"): row for row in rollout.group("contexts", ("sample", *SHOWN))}
    if rollout.sample not in rows:
        return None
    row = rows[rollout.sample]
    return {**row, "shown_to": [*_shown_to(rollout, rollout.round, rows), *_shown_later(rollout)]}


def _shown_to(rollout: Rollout, round: int, contexts: dict[int, Row]) -> list[Json]:
    """The rollouts of the group, in a round, in whose context this one is, and as what."""
    return [
        {"round": round, "sample": sample, "role": peer["role"]}
        for sample, row in sorted(contexts.items())
        for peer in row["peers"]
        if (peer["round"], peer["prompt_id"], peer["sample"]) == (rollout.round, rollout.prompt_id, rollout.sample)
    ]


def _shown_later(rollout: Rollout) -> list[Json]:
    """The same in later rounds, which may show successes of earlier ones."""
    shown = []
    for number in range(rollout.round + 1, len(rollout.plan.rounds)):
        if number - rollout.round > rollout.plan.at(number).settings.condition.history_rounds:
            continue
        shards = rollout.plan.rounds[number].contexts
        made = [manifest for shard in shards if (manifest := shard.committed(rollout.folder)) is not None]
        rows = read_columns(rollout.folder, made, ("sample", "peers"), {"prompt_id": rollout.prompt_id})
        shown += _shown_to(rollout, number, {row["sample"]: row for row in rows})
    return shown


def update_facts(rollout: Rollout, updates: list[Row]) -> list[Json]:
    """The updates that its tokens entered, each with the weight that they had there, or why they had none.

    `updates`: the round's rows. Which rollouts each takes follows from the settings and the round's scores.
    """
    train = rollout.part.policy.settings.train
    rows = _training_rows(rollout)
    own = next(row for row in rows if (row["prompt_id"], row["sample"]) == (rollout.prompt_id, rollout.sample))
    group = [row for row in rows if row["prompt_id"] == rollout.prompt_id]
    facts = []
    for number, part in enumerate(split_updates(rows, rollout.part.policy.settings, round=rollout.round)):
        if any(row is own for row in part):
            made = updates[number] if number < len(updates) else {}
            why = why_no_loss(own, group, train) or _why_skipped(made)
            weight = 0.0 if why else loss_weight(own, part, train)
            facts.append({"number": number, **{name: made.get(name) for name in STEPS}, "weight": weight, "why": why})
    return facts


def _why_skipped(update: Row) -> str | None:
    return f"the update took no step: {update['skipped']}" if update.get("skipped") else None


def _training_rows(rollout: Rollout) -> list[Row]:
    """What decides who trains on what: a row for each scored rollout of the round, in the trainer's order."""
    keys = ("prompt_id", "sample")
    rows = rollout.read_all("scores", (*keys, "advantage", "distill"))
    beside: dict[tuple[str, int], Row] = {}
    for table, columns in (("rollouts", ("num_tokens", "finish_reason")), ("verdicts", ("reward", "success"))):
        for row in rollout.read_all(table, (*keys, *columns)):
            beside.setdefault((row["prompt_id"], row["sample"]), {}).update(row)
    return [row | beside[row["prompt_id"], row["sample"]] for row in rows]
