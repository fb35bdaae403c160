"""Where the time of a run went: seconds and tokens by stage and round.

`updates` are the same job's as the policy.
"""

from __future__ import annotations

from flows.plan.stage import STAGES
from flows.report.table import Column, Table
from flows.report.vega import PALETTE, SCHEMA
from flows.runtime.console import clock
from flows.viewer.documents.parts.curve import FLEXIBLE
from flows.viewer.documents.viewed import Json, ViewedRun

_STAGES = """
SELECT
    round, stage, sum(seconds) AS seconds, sum(tokens)::BIGINT AS tokens, sum(rows)::BIGINT AS rows,
    sum(shards_done)::BIGINT AS shards, sum(attempts)::BIGINT AS attempts, max(replicas) AS replicas,
    list_sort(list_distinct(flatten(list(hosts)))) AS hosts
FROM stages WHERE shards_done > 0 AND stage IS NOT NULL AND table_name <> 'updates' GROUP BY round, stage
ORDER BY round, min(first_created)
"""
COLUMNS = [
    Column("round"),
    Column("stage"),
    Column("seconds", "time", form=clock),
    Column("tokens", optional=True),
    Column("rate", "tokens/s", ",.0f", optional=True),
    Column("rows"),
    Column("shards"),
    Column("failed", "failed attempts", optional=True),
    Column("where"),
]


def stage_times(run: ViewedRun) -> Json:
    """As the document of a curve."""
    rows = [_row(row) for row in run.ask(_STAGES)]
    timed = [row for row in rows if row["seconds"]]
    return {
        "name": "time",
        "title": "Time by stage",
        "about": "What the jobs of each stage took, one after the other, and the tokens that they made or read; of "
        "evaluations by the policy that was asked, of shards under other contexts with those of the run.",
        "figure": _specification(timed) if timed else None,
        "table": Table(COLUMNS, rows).document() if rows else None,
        "missing": "" if timed else "No stage has noted its time.",
    }


def _row(row: Json) -> Json:
    seconds, tokens, attempts = row["seconds"], row["tokens"], row["attempts"]
    rate = tokens / seconds if tokens and seconds else None
    failed = max(int(attempts) - int(row["shards"]), 0) if attempts else 0
    hosts = ", ".join(row["hosts"] or ())
    return {**row, "rate": rate, "failed": failed, "where": hosts or None}


def _specification(rows: list[Json]) -> Json:
    """A bar a round, stacked by stage in the order of the work."""
    there = {row["stage"] for row in rows}
    stages = [name for name in dict.fromkeys(stage.name for stage in STAGES.values()) if name in there]
    bars = [
        {
            **{name: row[name] for name in ("round", "stage", "seconds")},
            "order": stages.index(row["stage"]),
            "tip": f"{row['stage']}, round {row['round']}: {clock(row['seconds'])}",
        }
        for row in rows
    ]
    colors = {"domain": stages, "range": [PALETTE[index % len(PALETTE)] for index in range(len(stages))]}
    legend = {"orient": "bottom", "title": None, "columns": 5}
    rounds = {"type": "ordinal", "title": "round, or policy that was evaluated", "axis": {"labelAngle": 0}}
    return FLEXIBLE | {
        "$schema": SCHEMA,
        "data": {"values": bars},
        "mark": {"type": "bar"},
        "encoding": {
            "x": {"field": "round", **rounds},
            "y": {"field": "seconds", "type": "quantitative", "title": "seconds", "axis": {"tickCount": 6}},
            "color": {"field": "stage", "type": "nominal", "scale": colors, "legend": legend},
            "order": {"field": "order", "type": "quantitative"},
            "tooltip": {"field": "tip", "type": "nominal"},
        },
    }
