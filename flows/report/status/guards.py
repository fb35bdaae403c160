"""What `mopd status` says of a run's guards: what was breached, and whether that holds the run."""

from __future__ import annotations

from typing import Any

from flows.folder.guards import Row, breach_line, stopping_breach
from flows.plan.run import RunPlan
from storage.lookup import manifests
from storage.runs import RunFolder
from storage.shards import read_rows

SHOWN = 10
"""Breaches that people are told of, the latest; all are rows of `guards`."""


def guards_status(folder: RunFolder, plan: RunPlan, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Breaches in the order of the policies, and the one for which the run ended; None where it may go on.

    `rounds`: what is said of each round otherwise.
    """
    guards = manifests(folder, "guards")
    breached = [row for one in guards if one.info["breached"] for row in read_rows(folder, one) if row["breached"]]
    untrained = (entry["round"] for entry in rounds if not entry["stages"]["train"]["shards_done"])
    stopped = stopping_breach(folder, plan, next(untrained, len(rounds))) if breached else None
    return {"stopped": _shown(stopped) if stopped else None, "breaches": [_shown(row) for row in breached]}


def stopped_text(status: dict[str, Any]) -> str:
    """Which guard ended the run; "" where none did."""
    stopped = status["stopped"]
    return f"stopped by {stopped['guard']} at policy {stopped['policy']}" if stopped else ""


def guards_text(status: dict[str, Any]) -> str:
    """A line a breach; "" without any."""
    lines = [f"policy {row['policy']}: {breach_line(row)}" for row in status["breaches"]]
    left_out = len(lines) - SHOWN
    more = [f"{left_out} breaches before these"] if left_out > 0 else []
    return "\n".join([*more, *lines[-SHOWN:]])


def _shown(row: Row) -> Row:
    return {"policy": row["round"], **{name: row[name] for name in ("guard", "action", "why")}}
