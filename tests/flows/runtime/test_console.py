"""Lines of progress: how far within a shard, and that a stage goes on which says nothing."""

from __future__ import annotations

import pytest

from flows.runtime import console
from flows.runtime.console import Console, Meter, makers_text


class Lines(Console):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_an_update_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "QUIET_SECONDS", 0.0)
    lines = Lines()
    meter = Meter(lines, where="round 0", stage="train", total=1)
    meter.report({})
    meter.report({"done": 0.25, "of": 1, "text": "5,019 of 20,077 tokens"})
    assert lines.lines[0].startswith("round 0    train      0/1 shards, 0.0 s so far")
    assert ", 5,019 of 20,077 tokens, " in lines.lines[1] and lines.lines[1].endswith(" left")


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_a_stage_that_says_nothing_is_told_of_ever_more_rarely_and_its_rest_runs_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, lines = Clock(), Lines()
    monkeypatch.setattr(console, "time", clock)
    meter = Meter(lines, where="round 0", stage="score", total=1)
    meter.report({"done": 1, "of": 4})
    for second in range(1, 200):
        clock.now = float(second)
        meter.report({"done": 2, "of": 4} if second == 100 else {})
    times = [line.split(", ")[1] for line in lines.lines]
    assert times == [
        "5.0 s so far",
        "15 s so far",
        "35 s so far",
        "1:15 min so far",
        "2:15 min so far",
        "3:15 min so far",
    ]
    assert lines.lines[4].endswith("about 1:05 min left") and lines.lines[5].endswith("about 5.0 s left")


def test_replicas_and_hosts_are_counted_where_there_are_several() -> None:
    made = [{"host": "a", "replica": "engine-0"}, {"host": "a", "replica": "engine-1"}, {"seconds": 1.0}]
    assert makers_text(made) == "2 replicas on 1 host"
    assert makers_text([*made, {"host": "b", "replica": "engine-2"}]) == "3 replicas on 2 hosts"
    assert makers_text(made[:1]) == makers_text([]) == ""


def test_parts_of_shards_that_are_made_beside_each_other_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, lines = Clock(), Lines()
    monkeypatch.setattr(console, "time", clock)
    meter = Meter(lines, where="round 0", stage="score", total=2)
    clock.now = 10.0
    meter.report({"done": 1, "of": 4}, "first")
    meter.report({"done": 3, "of": 4}, "second")
    assert meter.line().endswith("10 s so far, about 10 s left")
