"""Where the time went: every moment once, and the same spans as Perfetto reads them."""

from __future__ import annotations

import json
from pathlib import Path

from flows.report.profile import OUTSIDE, PROFILE_FILE, Cost, trace_events, wall_costs, write_profile
from flows.runtime.profile import Process
from mopd.timeline import Kind, Span
from storage.runs import RunFolder

RUN, ENGINE = Process("host", 1, "mopd run"), Process("host", 2, "engine-0")


def span(name: str, kind: Kind, start: float, seconds: float) -> Span:
    return Span(name, kind, start, seconds, "MainThread")


def test_each_moment_is_put_down_to_the_deepest_that_goes_on() -> None:
    spans = [
        span("generate", "stage", 0.0, 10.0),
        span("load", "load", 1.0, 3.0),
        span("generate", "job", 4.0, 5.0),
        span("sample", "device", 5.0, 2.0),
        span("sample", "device", 6.0, 2.0),  # beside the other one: a moment of two counts once
        span("commit", "files", 8.0, 1.0),
        span("score", "stage", 12.0, 1.0),
    ]
    assert wall_costs(spans) == [
        Cost("load", 3.0, 1),
        Cost("sample", 3.0, 2),
        Cost("generate: around its shards", 2.0, 1),
        Cost(OUTSIDE, 2.0, 0),
        Cost("generate: else", 1.0, 1),
        Cost("commit", 1.0, 1),
        Cost("score: around its shards", 1.0, 1),
    ]


def test_nothing_took_no_time() -> None:
    assert wall_costs([]) == [] and trace_events([])["traceEvents"] == []


def test_a_timeline_has_processes_and_threads_by_name_and_microseconds() -> None:
    spans = [(RUN, [span("generate", "stage", 100.0, 2.0)]), (ENGINE, [span("sample", "device", 100.5, 0.25)])]
    *names, stage, device = trace_events(spans)["traceEvents"]
    assert [(event["name"], event["pid"], event["args"]["name"]) for event in names] == [
        ("process_name", 1, "mopd run on host"),
        ("process_name", 2, "engine-0 on host"),
        ("thread_name", 1, "MainThread"),
        ("thread_name", 2, "MainThread"),
    ]
    assert stage == {"name": "generate", "cat": "stage", "ph": "X", "pid": 1, "tid": 1, "ts": 0.0, "dur": 2e6}
    assert (device["pid"], device["tid"], device["ts"], device["dur"]) == (2, 2, 5e5, 2.5e5)


def test_the_table_has_ten_lines_and_the_rest(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {"settings": {}})
    lengths = [12.0 - number for number in range(12)]
    parts = [span(f"part {n:02}", "files", sum(lengths[:n]), length) for n, length in enumerate(lengths)]
    spans = [(RUN, parts)]
    text = write_profile(run, spans)
    lines = text.splitlines()
    assert lines[0] == "where 78.0 s went"
    assert lines[3].split() == ["part", "00", "12.0", "15.4", "%", "1"]
    assert [line.split() for line in lines[12:14]] == [
        ["part", "09", "3.0", "3.8", "%", "1"],
        ["2", "more", "3.0", "3.8", "%", "2"],
    ]
    assert lines[-1] == f"timeline: {run.address}/{PROFILE_FILE} (open it in Perfetto)"
    assert len(json.loads((tmp_path / "run" / PROFILE_FILE).read_text())["traceEvents"]) == 14
