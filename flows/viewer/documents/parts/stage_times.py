"""Where the time of a run went: seconds and tokens by stage and round, as `mopd status` has them."""

from __future__ import annotations

from collections.abc import Iterator

from flows.report.status.state import STAGE_NAMES
from flows.report.table import Column, Table
from flows.report.vega import PALETTE, SCHEMA
from flows.runtime.console import clock
from flows.viewer.documents.parts.curve import FLEXIBLE
from flows.viewer.documents.viewed import Json, ViewedRun

EVALUATE = "evaluate"
ORDER = (*STAGE_NAMES.values(), EVALUATE)
COLUMNS = [
    Column("round"),
    Column("policy", "policy evaluated", optional=True),
    Column("stage"),
    Column("seconds", "time", form=clock),
    Column("tokens", optional=True),
    Column("tokens_per_second", "tokens/s", ",.0f", optional=True),
    Column("shards_done", "shards"),
    Column("replicas", optional=True),
    Column("hosts", optional=True),
]


def stage_times(run: ViewedRun) -> Json:
    """As the document of a curve."""
    rows = [row for row in _rows(run.status) if row["shards_done"]] if run.status else []
    return {
        "name": "time",
        "title": "Time by stage",
        "about": "What the jobs of each stage took together; of an evaluation by the policy that was asked.",
        "figure": _specification(rows) if any(row["seconds"] for row in rows) else None,
        "table": Table(COLUMNS, rows).document() if rows else None,
        "missing": "No stage has noted its time." if run.status else "Nobody noted it.",
    }


def stage_seconds(status: Json) -> dict[str, float]:
    """Of all rounds and evaluations, what the jobs of each stage took."""
    seconds = dict.fromkeys(ORDER, 0.0)
    for row in _rows(status):
        seconds[row["stage"]] += row["seconds"]
    return seconds


def _rows(status: Json) -> Iterator[Json]:
    """One a stage of each round, and one an evaluation."""
    for entry in status["rounds"]:
        yield from ({"round": entry["round"], "stage": name, **stage} for name, stage in entry["stages"].items())
    yield from ({"round": None, "stage": EVALUATE, **entry} for entry in status["evaluations"])


def _whose(row: Json) -> str:
    return f"policy {row['policy']}" if row["round"] is None else f"round {row['round']}"


def _specification(rows: list[Json]) -> Json:
    """A bar a round, stacked by stage in the order of the work."""
    there = {row["stage"] for row in rows}
    stages = [stage for stage in ORDER if stage in there]
    bars = [
        {
            "place": row["policy"] if row["round"] is None else row["round"],
            **{name: row[name] for name in ("stage", "seconds")},
            "order": stages.index(row["stage"]),
            "tip": f"{row['stage']}, {_whose(row)}: {clock(row['seconds'])}",
        }
        for row in rows
    ]
    colors = {"domain": stages, "range": [PALETTE[ORDER.index(stage) % len(PALETTE)] for stage in stages]}
    legend = {"orient": "bottom", "title": None, "columns": 4}
    rounds = {"type": "ordinal", "title": "round, or policy that was evaluated", "axis": {"labelAngle": 0}}
    return FLEXIBLE | {
        "$schema": SCHEMA,
        "data": {"values": bars},
        "mark": {"type": "bar"},
        "encoding": {
            "x": {"field": "place", **rounds},
            "y": {"field": "seconds", "type": "quantitative", "title": "seconds", "axis": {"tickCount": 6}},
            "color": {"field": "stage", "type": "nominal", "scale": colors, "legend": legend},
            "order": {"field": "order", "type": "quantitative"},
            "tooltip": {"field": "tip", "type": "nominal"},
        },
    }
