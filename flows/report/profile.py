"""Where the time of a run went: a timeline that Perfetto opens, and a table of what cost most.

RUN/profile.json     spans of the run's process and its workers, in the Trace Event Format
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, get_args

from flows.report.table import Column, Row, Table
from flows.runtime.profile import Process
from mopd.timeline import Kind, Span
from storage.runs import RunFolder

PROFILE_FILE = "profile.json"
MOST_COSTS = 10
DEPTHS = {kind: depth for depth, kind in enumerate(get_args(Kind))}
OUTSIDE = "outside of all stages"
Spans = Sequence[tuple[Process, list[Span]]]


class Cost(NamedTuple):
    """What a part of the wall time was spent on."""

    name: str
    seconds: float
    num: int
    """Spans of it."""


def write_profile(folder: RunFolder, spans: Spans) -> str:
    """Leave the timeline with the run; returns the table, and where the timeline lies."""
    folder.store.replace(PROFILE_FILE, json.dumps(trace_events(spans)).encode())
    return f"{costs_table(spans).terminal()}\n\ntimeline: {folder.address}/{PROFILE_FILE} (open it in Perfetto)"


def trace_events(spans: Spans) -> dict[str, Any]:
    """The spans as "complete" events, in microseconds since the first; a process and its threads by their names."""
    begin = min((span.start for _, part in spans for span in part), default=0.0)
    numbers: dict[Process, int] = {}
    threads: dict[tuple[Process, str], int] = {}
    events: list[dict[str, Any]] = []
    for process, part in spans:
        pid = numbers.setdefault(process, len(numbers) + 1)
        for span in part:
            tid = threads.setdefault((process, span.thread), len(threads) + 1)
            times = {"ts": (span.start - begin) * 1e6, "dur": span.seconds * 1e6}
            events.append({"name": span.name, "cat": span.kind, "ph": "X", "pid": pid, "tid": tid, **times})
    names = [_named("process_name", f"{one.name} on {one.host}", pid) for one, pid in numbers.items()]
    names += [_named("thread_name", thread, numbers[one], tid) for (one, thread), tid in threads.items()]
    return {"traceEvents": [*names, *events], "displayTimeUnit": "ms"}


def _named(what: str, name: str, pid: int, tid: int = 0) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}


def costs_table(spans: Spans) -> Table:
    """The largest costs, of all time between the first span and the last."""
    costs = wall_costs(span for _, part in spans for span in part)
    whole = sum(cost.seconds for cost in costs) or 1.0
    shown, rest = costs[:MOST_COSTS], costs[MOST_COSTS:]
    if rest:
        shown = [*shown, Cost(f"{len(rest)} more", sum(cost.seconds for cost in rest), sum(cost.num for cost in rest))]
    rows: list[Row] = [
        {"what": cost.name, "seconds": cost.seconds, "share": 100 * cost.seconds / whole, "times": cost.num}
        for cost in shown
    ]
    columns = [
        Column("what"),
        Column("seconds", form=".1f"),
        Column("share", form=".1f", unit=" %"),
        Column("times", form=","),
    ]
    return Table(columns, rows, f"where {whole:.1f} s went")


def wall_costs(spans: Iterable[Span]) -> list[Cost]:
    """The wall time, each moment of it put down to the deepest kind of span that was open then, the last one begun;
    largest first, their sum the time between the first begin and the last end."""
    kept = sorted(spans, key=lambda span: span.start)
    edges = sorted(edge for number, span in enumerate(kept) for edge in _edges(span, number))
    seconds: dict[str, float] = defaultdict(float)
    counts = Counter(_label(span) for span in kept)
    open_spans: set[int] = set()
    last = edges[0][0] if edges else 0.0
    for moment, begins, number in edges:
        deepest = max(open_spans, key=lambda n: (DEPTHS[kept[n].kind], n), default=None)
        if moment > last:
            seconds[OUTSIDE if deepest is None else _label(kept[deepest])] += moment - last
        last = moment
        (open_spans.add if begins else open_spans.discard)(number)
    largest = sorted(seconds.items(), key=lambda item: -item[1])
    return [Cost(name, took, counts[name]) for name, took in largest]


def _edges(span: Span, number: int) -> tuple[tuple[float, bool, int], tuple[float, bool, int]]:
    """Its begin and its end: when, whether it begins, and its number."""
    return (span.start, True, number), (span.start + span.seconds, False, number)


def _label(span: Span) -> str:
    """A stage, or a shard's job, counts here for what is in it and nothing deeper."""
    rest = {"stage": "around its shards", "job": "else"}.get(span.kind)
    return f"{span.name}: {rest}" if rest else span.name
