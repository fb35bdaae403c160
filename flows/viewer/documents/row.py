"""A run as one row of the list of runs: how far it is, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence

from flows.report.status.guards import stopped_text
from flows.viewer.documents.parts.headline import evaluated_policies
from flows.viewer.documents.parts.state import state
from flows.viewer.documents.viewed import Json, ViewedRun

_PASS_RATES = "SELECT round, avg(success::INT) AS rate FROM verdicts GROUP BY round ORDER BY round"
"""Of rows without a plan; else `mopd status` has counted them."""
_WORDS = {"unfinished": "not finished"}
"""Of a state, where its kind is none."""


def run_row(run: ViewedRun) -> Json:
    """What the list of runs shows; of what can't be read it says nothing."""
    status, settings = run.status, run.last_settings
    rounds = status["rounds"] if status else []
    pass_rates = [entry["pass_rate"] for entry in rounds] if status else [row["rate"] for row in run.ask(_PASS_RATES)]
    return {
        "id": run.id,
        "model": settings.model.path if settings else None,
        "variant": settings.condition.variant.kind if settings else None,
        "created": run.folder.document.get("created"),
        **({"rounds": len(rounds), "rounds_done": sum(entry["finished"] for entry in rounds)} if status else {}),
        "state": _state_text(run),
        **_first_and_last("pass_rate", pass_rates),
        **_first_and_last("heldout", [entry["mean_at_k"] for entry in evaluated_policies(run)]),
    }


def _state_text(run: ViewedRun) -> str:
    """In a word or two."""
    kind = str(state(run)["kind"])
    stopped = stopped_text(run.status["guards"]) if run.status and kind == "stopped" else ""
    return stopped or _WORDS.get(kind, kind)


def _first_and_last(name: str, rates: Sequence[float | None]) -> dict[str, float | None]:
    """Of the rounds, or policies, that have the number; null where none has."""
    known = [rate for rate in rates if rate is not None]
    return {f"{name}_first": known[0] if known else None, f"{name}_last": known[-1] if known else None}
