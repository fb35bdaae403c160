"""Lines of progress: how far within a shard, and that a stage goes on which says nothing."""

from __future__ import annotations

import pytest

from flows.runtime import console
from flows.runtime.console import Console, Meter


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
