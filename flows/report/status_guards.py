"""What `mopd status` says of a run's guards: what was breached, and whether that ended the run."""

from __future__ import annotations

from typing import Any

from flows.folder.guards import breach_line, breaches, read_guards, standing_version, stops
from flows.plan.run import RunPlan
from storage.runs import RunFolder

SHOWN = 10
"""Breaches that people are told of, the latest; all are rows of `guards`."""


def guards_status(folder: RunFolder, plan: RunPlan) -> dict[str, Any]:
    """Breaches in the order of the policies, and the one that the run is stopped by; None where it may go on."""
    rows = [breaches(read_guards(folder, plan.guards_needed(folder, version))) for version in range(len(plan.guards))]
    stopping = [row for row in rows[standing_version(folder, plan)] if stops(row)]
    return {
        "stopped": _shown(stopping[0]) if stopping else None,
        "breaches": [_shown(row) for breached in rows for row in breached],
    }


def guards_text(status: dict[str, Any]) -> str:
    """A line a breach; "" without any."""
    lines = [f"policy {row['policy']}: {breach_line(row)}" for row in status["breaches"]]
    left_out = len(lines) - SHOWN
    more = [f"and {left_out} before these"] if left_out > 0 else []
    return "\n".join([*lines[-SHOWN:], *more])


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {"policy": row["round"], **{name: row[name] for name in ("guard", "action", "why")}}
