"""What `mopd status` says of a run's guards: what was breached, and whether that holds the run."""

from __future__ import annotations

from typing import Any

from flows.folder.guards import Row, breach_line, breaches, holding_breach, standing_version
from flows.plan.guards import needed_guards
from flows.plan.run import RunPlan
from storage.runs import RunFolder

SHOWN = 10
"""Breaches that people are told of, the latest; all are rows of `guards`."""


def guards_status(folder: RunFolder, plan: RunPlan) -> dict[str, Any]:
    """Breaches in the order of the policies, and the one that the run is stopped by; None where it may go on."""
    rows = [breaches(folder, needed_guards(plan, folder, version)) for version in range(len(plan.guards))]
    holding = holding_breach(folder, plan, standing_version(folder, plan))
    return {
        "stopped": _shown(holding) if holding else None,
        "breaches": [_shown(row) for breached in rows for row in breached],
    }


def guards_text(status: dict[str, Any]) -> str:
    """A line a breach; "" without any."""
    lines = [f"policy {row['policy']}: {breach_line(row)}" for row in status["breaches"]]
    left_out = len(lines) - SHOWN
    more = [f"and {left_out} before these"] if left_out > 0 else []
    return "\n".join([*lines[-SHOWN:], *more])


def _shown(row: Row) -> Row:
    return {"policy": row["round"], **{name: row[name] for name in ("guard", "action", "why")}}
