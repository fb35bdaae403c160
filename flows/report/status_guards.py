"""What `mopd status` says of a run's guards: what was breached, and whether that holds the run."""

from __future__ import annotations

from typing import Any

from flows.folder.guards import Row, breach_line, sort_breaches
from storage.lookup import manifests
from storage.runs import RunFolder
from storage.shards import read_rows

SHOWN = 10
"""Breaches that people are told of, the latest; all are rows of `guards`."""


def guards_status(folder: RunFolder, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Breaches in the order of the policies, and the one for which the run doesn't go on; None where it may.

    `rounds`: what is said of each round otherwise.
    """
    guards = manifests(folder, "guards")
    breached = [row for one in guards if one.info["breached"] for row in read_rows(folder, one) if row["breached"]]
    newest = max((one.round for one in guards), default=0)
    stands = not any(entry["stages"]["train"]["shards_done"] for entry in rounds[newest:])  # else it has gone on
    holding = [row for row in breached if stands and row["round"] == newest and row["action"] != "warn"]
    return {
        "stopped": _shown(sort_breaches(holding)[0]) if holding else None,
        "breaches": [_shown(row) for row in breached],
    }


def guards_text(status: dict[str, Any]) -> str:
    """A line a breach; "" without any."""
    lines = [f"policy {row['policy']}: {breach_line(row)}" for row in status["breaches"]]
    left_out = len(lines) - SHOWN
    more = [f"{left_out} breaches before these"] if left_out > 0 else []
    return "\n".join([*more, *lines[-SHOWN:]])


def _shown(row: Row) -> Row:
    return {"policy": row["round"], **{name: row[name] for name in ("guard", "action", "why")}}
