"""Spans are kept where somebody asked for them, and are nothing otherwise."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mopd import timeline
from mopd.timeline import Span, record, span, take_spans


@pytest.fixture(autouse=True)
def nobody_asks() -> Iterator[None]:
    yield
    timeline._spans = None


@span("doubled", "job")
def double(number: int) -> int:
    return 2 * number


def test_without_anybody_who_asks_nothing_is_kept() -> None:
    with span("load", "load"):
        assert double(3) == 6
    assert take_spans() == []


def test_spans_are_kept_as_they_end_and_taken_once() -> None:
    first = Span("start", "start", 1.0, 2.0, "MainThread")
    record(first)
    with span("load", "load"):
        assert double(3) == 6
    begun, doubled, loaded = take_spans()
    assert begun is first
    assert (doubled.name, doubled.kind, loaded.name, loaded.kind) == ("doubled", "job", "load", "load")
    assert loaded.start <= doubled.start and loaded.seconds >= doubled.seconds > 0
    assert loaded.thread == threading.current_thread().name
    assert take_spans() == []


def test_what_fails_took_its_time_too() -> None:
    record()
    with pytest.raises(ValueError, match="no"), span("load", "load"):
        raise ValueError("no")
    assert [kept.name for kept in take_spans()] == ["load"]
