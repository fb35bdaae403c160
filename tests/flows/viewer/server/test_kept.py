"""Promises of a document that takes long: nobody waits for a newer one, it comes, and what goes wrong is told."""

from __future__ import annotations

import threading

import pytest

from flows.viewer.documents.viewed import Json, ViewedRun
from flows.viewer.server import kept
from flows.viewer.server.kept import KeptDocument
from storage.errors import StorageError
from storage.runs import RunFolder


@pytest.fixture
def viewed(run: RunFolder) -> ViewedRun:
    return ViewedRun(run, "run")


def test_the_first_one_is_waited_for_and_kept(viewed: ViewedRun) -> None:
    made: list[int] = []
    document = KeptDocument(lambda run: made.append(1) or {"made": len(made)})
    assert [document.ask(viewed, 0) for _ in range(3)] == [({"made": 1}, 0)] * 3
    assert document.ask(viewed, 1) == ({"made": 2}, 1)


def test_while_a_newer_one_is_made_the_last_one_is_the_answer(
    viewed: ViewedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "PATIENCE_SECONDS", 0.01)
    go_on, made = threading.Event(), []

    def make(run: ViewedRun) -> Json:
        assert not made or go_on.wait(60)
        made.append(run)
        return {"made": len(made)}

    document = KeptDocument(make)
    document.ask(viewed, 0)
    assert document.ask(viewed, 1) == ({"made": 1}, 0)
    assert document.ask(viewed, 2) == ({"made": 1}, 0)  # nothing else is begun meanwhile
    go_on.set()
    assert document.begin(viewed, 1).result(60) == ({"made": 2}, 1)
    assert len(made) == 2


def test_where_a_newer_one_fails_the_last_one_is_the_answer_and_why_is_told(viewed: ViewedRun) -> None:
    def make(run: ViewedRun) -> Json:
        if run is not viewed:
            raise StorageError("the store is away")
        return {}

    document, later = KeptDocument(make), ViewedRun(viewed.folder, "run")
    document.ask(viewed, 0)
    assert document.ask(later, 1) == ({}, 0)
    assert later.problems == ["what is shown is of an earlier moment: the store is away"]


def test_who_asks_late_gets_the_newer_one(viewed: ViewedRun) -> None:
    made: list[int] = []
    document = KeptDocument(lambda run: made.append(1) or {"made": len(made)})
    assert [document.ask(viewed, moment) for moment in (2, 1, 2)] == [({"made": 1}, 2)] * 3


def test_what_goes_wrong_is_told_and_tried_again(viewed: ViewedRun) -> None:
    tries: list[int] = []

    def make(run: ViewedRun) -> Json:
        tries.append(1)
        if len(tries) == 1:
            raise StorageError("the store is away")
        return {}

    document = KeptDocument(make)
    with pytest.raises(StorageError, match="the store is away"):
        document.ask(viewed, 0)
    assert document.ask(viewed, 0) == ({}, 0)
