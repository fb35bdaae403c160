"""What is told of a run where there is no screen: a line for each thing that is other than it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flows.report.last_errors import error_line
from flows.report.watch.bars import head_line, parts_of
from flows.report.watch.look import Look
from flows.report.watch.time_left import time_left
from flows.runtime.console import clock


def changes(before: Look | None, now: Look) -> Iterator[str]:
    """Lines, in the order of the run. The first look is told of by a line of its own, and by its errors."""
    if before is None:
        yield head_line(now)
    else:
        yield from _stages(before, now)
    known = [] if before is None else before.status["errors"]
    for error in reversed(now.status["errors"]):
        if error not in known:
            yield error_line(error)
    if before is not None and before.state != now.state:
        yield f"{now.status['run']}: {now.state.text}"


def _stages(before: Look, now: Look) -> Iterator[str]:
    earlier = dict(_entries(before.status))
    for (where, name), stage in _entries(now.status):
        known = earlier.get((where, name))
        if known is None or stage["shards_done"] != known["shards_done"]:
            yield _line(where, name, stage)
    done, was = (sum(entry["finished"] for entry in look.status["rounds"]) for look in (now, before))
    if done != was and not now.finished:
        seconds = time_left(now.status, parts_of(now))
        left = "" if seconds is None else f", about {clock(seconds)} left"
        yield f"{done}/{len(now.status['rounds'])} rounds{left}"


def _entries(status: dict[str, Any]) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """Each stage of a round and each evaluation."""
    for entry in status["rounds"]:
        for name, stage in entry["stages"].items():
            yield (f"round {entry['round']}", name), stage
    for entry in status["evaluations"]:
        yield (f"policy {entry['policy']}", "evaluate"), entry


def _line(where: str, name: str, stage: dict[str, Any]) -> str:
    rate = stage["tokens_per_second"]
    parts = [f"{stage['shards_done']}/{stage['shards']} shards", clock(stage["seconds"])]
    return f"{where:<10} {name:<10} " + ", ".join([*parts, *([f"{rate:,.0f} tokens/s"] if rate else [])])
