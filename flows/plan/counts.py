"""What a shard's manifest says about its rows, so that progress, artifacts and status need not read Parquet."""

from __future__ import annotations

from typing import Any

from mopd.groups import useful_groups
from mopd.measures.rejudged import has_flipped
from mopd.settings.guards import ACTIONS

Rows = list[dict[str, Any]]
Info = dict[str, Any]
JUDGES = "judges"
"""Of verdicts: the verifiers that gave them, each with its version (`mopd.verifiers.versions`)."""


def count_rollouts(rows: Rows) -> Info:
    """Sampled and prompt tokens; rollouts cut at the longest response."""
    return {
        "tokens": sum(len(row["token_ids"]) for row in rows),
        "prompt_tokens": sum(len(row["prompt_token_ids"]) for row in rows),
        "cut": sum(row["finish_reason"] == "length" for row in rows),
    }


def count_verdicts(rows: Rows) -> Info:
    """Successes; nulls (the verifier crashed); groups, those with a success, and those with both outcomes."""
    useful = {kind: len(useful_groups(rows, kind)) for kind in ("any_success", "mixed")}
    return {**_successes(rows), "groups": len(useful_groups(rows, "all")), **useful}


def count_contexts(rows: Rows) -> Info:
    """Tokens of the contexts; rollouts whose context has peer sections; contexts that were cut for the budget."""
    return {
        "tokens": sum(int(row["num_tokens"]) for row in rows),
        "with_sections": sum(bool(row["has_sections"]) for row in rows),
        "cut": sum(bool(row["truncated"]) for row in rows),
        **count_groups(rows),
    }


def count_scores(rows: Rows) -> Info:
    """Scored tokens; rollouts that carry a distillation loss."""
    return {
        "tokens": sum(len(row["token_ids"]) for row in rows),
        "distilled": sum(bool(row["distill"]) for row in rows),
    }


def count_judged(rows: Rows) -> Info:
    """Sampled tokens, successes, nulls."""
    return {"tokens": sum(len(row["token_ids"]) for row in rows), **_successes(rows)}


def count_groups(rows: Rows) -> Info:
    """Prompts."""
    return {"groups": len({row["prompt_id"] for row in rows})}


def count_choices(rows: Rows) -> Info:
    """Which candidate was chosen, and why."""
    row = chosen(rows)
    return {"chosen": row["candidate"], "why": row["why"]}


def chosen(choices: Rows) -> dict[str, Any]:
    """The row of `choices` of the candidate that was chosen."""
    return next(row for row in choices if row["chosen"])


def count_guards(rows: Rows) -> Info:
    """Breaches, and the strongest of what they lead to; None without any."""
    actions = [row["action"] for row in rows if row["breached"]]
    return {"breached": len(actions), "action": max(actions, key=ACTIONS.index, default=None)}


def count_rejudged(rows: Rows) -> Info:
    """Verdicts that flipped, prompts."""
    return {"flipped": sum(has_flipped(row) for row in rows), **count_groups(rows)}


def count_updates(rows: Rows) -> Info:
    """Optimizer steps."""
    return {"steps": len(rows)}


def _successes(rows: Rows) -> Info:
    return {
        "successes": sum(row["success"] is True for row in rows),
        "nulls": sum(row["success"] is None for row in rows),
    }
