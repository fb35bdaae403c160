"""How long a run still takes, by what its own rounds and evaluations took."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from statistics import median
from typing import Any

Entry = dict[str, Any]
"""Of `rounds` or `evaluations` in the state of a run."""


def time_left(status: dict[str, Any], parts: dict[tuple[int, str], float]) -> float | None:
    """Seconds; None before a round is finished. `parts`: of shards at work, what is done, by round and stage.

    A round is taken to last as long as the median of those that are finished, from the first shard's beginning to the
    last one's end: models are loaded within it. One that is at work lasts the share of it that is left, its stages
    weighed by what their shards took in finished rounds.
    """
    rounds, evaluations = status["rounds"], status["evaluations"]
    finished = [entry for entry in rounds if entry["finished"] and _seconds(entry)]
    if not finished:
        return None
    a_round, an_evaluation = _usual(finished), _usual(entry for entry in evaluations if entry["finished"])
    costs = _costs(finished)
    left = sum(a_round * (1 - _share(entry, costs, parts)) for entry in rounds if not entry["finished"])
    return left + sum(an_evaluation for entry in evaluations if not entry["finished"])


def _usual(entries: Iterable[Entry]) -> float:
    return median([_seconds(entry) for entry in entries] or [0.0])


def _seconds(entry: Entry) -> float:
    """From its beginning to its end, by the clock."""
    if entry["began"] is None:
        return 0.0
    return (datetime.fromisoformat(entry["ended"]) - datetime.fromisoformat(entry["began"])).total_seconds()


def _costs(finished: list[Entry]) -> dict[str, float]:
    """Seconds that a shard of each stage takes."""
    costs = {}
    for name in finished[0]["stages"]:
        stages = [entry["stages"][name] for entry in finished]
        costs[name] = sum(stage["seconds"] for stage in stages) / max(sum(stage["shards_done"] for stage in stages), 1)
    return costs


def _share(entry: Entry, costs: dict[str, float], parts: dict[tuple[int, str], float]) -> float:
    """How much of a round is done, from 0 to 1."""
    total = sum(costs[name] * stage["shards"] for name, stage in entry["stages"].items())
    done = sum(
        costs[name] * (stage["shards_done"] + parts.get((entry["round"], name), 0.0))
        for name, stage in entry["stages"].items()
    )
    return min(done / total, 1.0) if total else 0.0
