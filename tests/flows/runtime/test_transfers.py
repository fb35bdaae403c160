"""Lines about what is loaded: at its beginning, now and then, at its end."""

from __future__ import annotations

from typing import Any

import pytest

from flows.runtime.console import Transfers


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test sets."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def report(done: int, **changes: Any) -> dict[str, Any]:
    return {"transfer": "acme/tiny@0123", "done": done, "of": 4_000_000_000, "begun": 0, **changes}


def test_what_how_far_how_fast_how_long_still(clock: list[float]) -> None:
    lines: list[str] = []
    transfers = Transfers(lines.append)
    for seconds, done in ((0, 0), (1, 50_000_000), (10, 1_000_000_000), (12, 1_100_000_000), (40, 4_000_000_000)):
        clock[0] = 100.0 + seconds
        transfers.report(report(done))
    assert lines == [
        "acme/tiny@0123: 4.0 GB to load",
        "acme/tiny@0123: 1.0 GB of 4.0 GB, 100.0 MB/s, about 30 s left",
        "acme/tiny@0123: 4.0 GB of 4.0 GB, 100.0 MB/s, 40 s",
    ]


def test_bytes_of_an_earlier_start_make_it_no_faster(clock: list[float]) -> None:
    lines: list[str] = []
    transfers = Transfers(lines.append)
    transfers.report(report(0))
    clock[0] = 110.0
    transfers.report(report(3_000_000_000, begun=2_000_000_000))
    assert lines[1] == "acme/tiny@0123: 3.0 GB of 4.0 GB, 100.0 MB/s, about 10 s left"
