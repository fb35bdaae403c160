"""A run as one row of the list of runs: how far it is, and what came of it."""

from __future__ import annotations

from typing import Any

from flows.plan.conditions import settings_of
from flows.viewer.documents.viewed import Json, ViewedRun
from storage.lookup import scan
from storage.manifests import POLICIES

_PASS_RATES = "SELECT round, avg(success::INT) AS rate FROM verdicts GROUP BY round ORDER BY round"
_HELDOUT = """
SELECT round, avg(rate) AS rate
FROM (SELECT round, avg(success::INT) AS rate FROM evaluations GROUP BY round, prompt_id)
GROUP BY round ORDER BY round
"""
"""The mean over prompts of their share of successes: mean@k, as `mopd status` has it."""
_STOPPED = "SELECT guard FROM guards WHERE breached AND action = 'stop' ORDER BY round DESC LIMIT 1"


def run_row(run: ViewedRun, *, is_held: bool) -> Json:
    """What the list of runs shows; `is_held`: whether a process is at work on it."""
    settings = settings_of(run.folder)
    rounds_done = len({policy.round for policy in scan(run.folder, POLICIES)[0]})
    return {
        "id": run.id,
        "address": run.folder.address,
        "config": run.folder.document.get("config"),
        "model": settings.model.path,
        "variant": settings.condition.variant.kind,
        "created": run.folder.document.get("created"),
        "rounds": settings.rounds,
        "rounds_done": rounds_done,
        "state": _state(run, is_held, is_finished=rounds_done >= settings.rounds),
        **_first_and_last("pass_rate", run.ask(_PASS_RATES)),
        **_first_and_last("heldout", run.ask(_HELDOUT)),
    }


def _state(run: ViewedRun, is_held: bool, is_finished: bool) -> str:
    if is_held:
        return "running"
    if is_finished:
        return "finished"
    stopped = run.ask(_STOPPED)
    return f"ended by its guard {stopped[0]['guard']}" if stopped else "not finished"


def _first_and_last(name: str, rows: list[Json]) -> dict[str, Any]:
    """Of the rounds, or policies, that have the number; null where none has."""
    rates = [row["rate"] for row in rows if row["rate"] is not None]
    return {f"{name}_first": rates[0] if rates else None, f"{name}_last": rates[-1] if rates else None}
