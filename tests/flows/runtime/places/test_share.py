"""A process keeps to its share of a host."""

from __future__ import annotations

import os

import pytest

from flows.runtime.places.share import limit_threads


@pytest.mark.parametrize(
    ("before", "most", "after"), [("", 2, "2"), ("1", 2, "1"), ("8", 2, "2"), ("4,2", 2, "2"), ("many", 3, "3")]
)
def test_threads_are_at_most_what_there_is(before: str, most: int, after: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", before)
    limit_threads(most)
    assert os.environ["OMP_NUM_THREADS"] == after
