"""What other verdicts change: rollouts judged again, beside the verdicts that there were, the contexts and advantages.

A verdict *flipped* where its success is another one, null counted as one of three. Nothing of this needs a model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mopd.groups import KINDS, group_advantages, group_kinds

Rows = list[dict[str, Any]]
Key = tuple[str, int]
"""Prompt and sample."""

VERDICT_COLUMNS = ("run", "round", "prompt_id", "sample", "reward", "success", "prediction", "error")
CONTEXT_COLUMNS = ("prompt_id", "sample", "peers", "context_digest")
KEPT = ("reward", "success", "prediction", "error")
"""What is told of both verdicts."""


class Judged(NamedTuple):
    """The rollouts of a shard under one set of verdicts."""

    verdicts: Rows
    contexts: Rows | None
    """None where they are not compared."""
    judge_of: Callable[[str], str]
    """What judges a prompt, by the verifier that the prompt names."""


def rejudged_rows(prompts: Rows, before: Judged, after: Judged, *, normalize_std: bool) -> Rows:
    """Rows of `rejudged`, one a rollout, in the order of the verdicts there were; `after` has the same rollouts."""
    asked = {prompt["prompt_id"]: prompt for prompt in prompts}
    again = {_key(row): row for row in after.verdicts}
    verdicts = {"before": before.verdicts, "after": [again[_key(row)] for row in before.verdicts]}
    advantages = {when: group_advantages(rows, normalize_std=normalize_std) for when, rows in verdicts.items()}
    kinds = {when: group_kinds(rows) for when, rows in verdicts.items()}
    judges = {"before": before.judge_of, "after": after.judge_of}
    contexts = _compare_contexts(before.contexts, after.contexts)
    rows = []
    for index, first in enumerate(before.verdicts):
        prompt = asked[first["prompt_id"]]
        row = {name: first[name] for name in ("run", "round", "prompt_id", "sample")} | {"dataset": prompt["dataset"]}
        for when in ("before", "after"):
            row |= {f"{name}_{when}": verdicts[when][index][name] for name in KEPT}
            row[f"judge_{when}"] = judges[when](prompt["verifier"])
            row[f"group_{when}"] = kinds[when][first["prompt_id"]]
            row[f"advantage_{when}"] = advantages[when][index]
        rows.append(row | (contexts(_key(first)) if contexts else {"context_changed": None, "roles_changed": []}))
    return rows


def _compare_contexts(before: Rows | None, after: Rows | None) -> Callable[[Key], dict[str, Any]] | None:
    """By rollout: whether its context is another one, and the roles in which it is shown other peers; one that has a
    context under one of the two alone is shown another one."""
    if before is None or after is None:
        return None
    old, new = ({_key(row): row for row in rows} for rows in (before, after))

    def compare(key: Key) -> dict[str, Any]:
        digests = [rows[key]["context_digest"] if key in rows else None for rows in (old, new)]
        first, second = (_peers_by_role(rows.get(key)) for rows in (old, new))
        roles = sorted(role for role in {*first, *second} if first.get(role) != second.get(role))
        return {"context_changed": digests[0] != digests[1], "roles_changed": roles}

    return compare


def _peers_by_role(context: Mapping[str, Any] | None) -> dict[str, list[tuple[Any, ...]]]:
    """Whom a context shows, in its order."""
    shown: dict[str, list[tuple[Any, ...]]] = {}
    for peer in context["peers"] if context else ():
        shown.setdefault(peer["role"], []).append((peer["round"], peer["prompt_id"], peer["sample"]))
    return shown


def _key(row: Mapping[str, Any]) -> Key:
    return row["prompt_id"], int(row["sample"])


def has_flipped(row: Mapping[str, Any]) -> bool:
    """Whether a row of `rejudged` is of a verdict that flipped."""
    return bool(row["success_before"] != row["success_after"])


def summarize_rejudged(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts of rows of `rejudged`: rollouts, flips in each direction, groups by kind, contexts, advantages.

    `contexts` is None where none were compared; `advantage_change` is the mean |change| of those that changed, None
    where none did. One that is there under one of the two alone has changed, and is in no mean.
    """
    flips = Counter((row["success_before"], row["success_after"]) for row in rows if has_flipped(row))
    groups = {(row["round"], row["prompt_id"]): (row["group_before"], row["group_after"]) for row in rows}
    compared = [row for row in rows if row["context_changed"] is not None]
    moved = [pair for row in rows if (pair := (row["advantage_before"], row["advantage_after"]))[0] != pair[1]]
    changes = [abs(after - before) for before, after in moved if before is not None and after is not None]
    return {
        "judged": len(rows),
        "flipped": flips.total(),
        "to_success": flips[False, True],
        "to_failure": flips[True, False],
        "to_null": flips[False, None] + flips[True, None],
        "from_null": flips[None, False] + flips[None, True],
        "rewards_changed": sum(row["reward_before"] != row["reward_after"] for row in rows),
        "groups": len(groups),
        "groups_changed": sum(before != after for before, after in groups.values()),
        **{f"groups_{kind}": _count_pair(groups.values(), kind) for kind in KINDS.values()},
        "contexts": len(compared) or None,
        "contexts_changed": sum(row["context_changed"] for row in compared) if compared else None,
        "roles_changed": dict(sorted(Counter(role for row in compared for role in row["roles_changed"]).items())),
        "advantages_changed": len(moved),
        "advantage_change": sum(changes) / len(changes) if changes else None,
    }


def _count_pair(pairs: Iterable[tuple[Any, Any]], value: Any) -> list[int]:
    """How often a value is the first of a pair, and how often the second."""
    return [sum(found == value for found in side) for side in zip(*pairs)] or [0, 0]
