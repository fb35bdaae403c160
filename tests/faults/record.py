"""The faults of a suite, counted: a table for the terminal, and a file with the machine and the date."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.report.text import text_table

PROPERTY = "fault"
"""Under which a test leaves the result of a trial."""


def count_faults(results: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a fault. `completed` are the trials that ended as if nothing had happened."""
    by_fault = defaultdict(list)
    for result in results:
        by_fault[result["fault"]].append(result)
    return [_count(fault, trials) for fault, trials in sorted(by_fault.items())]


def _count(fault: str, trials: list[dict[str, Any]]) -> dict[str, Any]:
    hits = Counter(hit for trial in trials for hit in trial["hits"])
    return {
        "fault": fault,
        "runs": len(trials),
        "completed": sum(trial["completed"] for trial in trials),
        "faults": hits.total(),
        "hit": dict(hits.most_common()),
        "shards in flight": max(trial["in_flight"] for trial in trials),
        "seconds": round(sum(trial["seconds"] for trial in trials)),
    }


def faults_table(rows: list[dict[str, Any]]) -> str:
    """As text."""
    return text_table(
        [{**row, "hit": " ".join(f"{stage}:{hits}" for stage, hits in row["hit"].items())} for row in rows]
    )


def write_record(path: Path, rows: list[dict[str, Any]], *, seed: str, seconds: float) -> None:
    """One run of the suite."""
    said = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": platform.platform(),
        "cores": len(os.sched_getaffinity(0)),
        "seed": seed,
        "seconds": round(seconds),
        "faults": sum(row["faults"] for row in rows),
        "results": rows,
    }
    path.write_text(json.dumps(said, indent=1) + "\n")
