"""Promises: only rounds that got other shards are asked about again, and what is damaged is told of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.viewer.documents import round_answers
from flows.viewer.documents.round_answers import RoundQuery
from flows.viewer.documents.viewed import ViewedRun
from storage.runs import RunFolder
from storage.sql.catalog import Catalog
from tests.storage.storage_samples import commit, make_rows

COUNTS = RoundQuery(
    "counts", "SELECT round, count(run || text) AS num FROM rollouts WHERE {where} GROUP BY round", ("rollouts",)
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder.create(tmp_path / "run", {"settings": {}})
    for round in (0, 1, 2):
        add(folder, round, 0)
    return folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The conditions of the queries that were asked."""
    asked: list[str] = []
    ask = Catalog.ask

    def note(self: Catalog, sql: str, *arguments: Any, **named: Any) -> Any:
        asked.append(sql.partition("WHERE ")[2].partition(" GROUP")[0])
        return ask(self, sql, *arguments, **named)

    monkeypatch.setattr(Catalog, "ask", note)
    return asked


def add(folder: RunFolder, round: int, shard: int) -> Path:
    rows = make_rows("rollouts", folder.run_id, round=round, prompts=(f"p{shard}",))
    return folder.path / commit(folder, "rollouts", rows, round=round, shard=shard).file


def numbers(run: ViewedRun, *rounds: int) -> dict[int, int]:
    return {row["round"]: row["num"] for row in run.ask_rounds(COUNTS, rounds or None).to_pylist()}


def test_all_rounds_are_asked_about_by_one_query_and_then_no_more(folder: RunFolder, asked: list[str]) -> None:
    run = ViewedRun(folder, "run")
    assert numbers(run) == {0: 2, 1: 2, 2: 2} and numbers(run, 1, 7) == {1: 2}
    assert asked == ["true"]


def test_a_later_moment_asks_about_the_rounds_that_changed(folder: RunFolder, asked: list[str]) -> None:
    run = ViewedRun(folder, "run")
    numbers(run)
    add(folder, 2, 1)
    add(folder, 3, 0)
    assert numbers(run.later(folder)) == {0: 2, 1: 2, 2: 4, 3: 2}
    assert asked == ["true", "round IN (2, 3)"]


def test_some_rounds_alone_are_read(folder: RunFolder, asked: list[str]) -> None:
    run = ViewedRun(folder, "run")
    assert numbers(run, 2, 0) == {0: 2, 2: 2}
    assert numbers(run) == {0: 2, 1: 2, 2: 2}
    assert asked == ["round IN (0, 2)", "round IN (1)"]


def test_no_rounds_give_the_columns(folder: RunFolder) -> None:
    table = ViewedRun(folder, "run").ask_rounds(COUNTS, [])
    assert (table.num_rows, table.column_names) == (0, ["round", "num"])


def test_a_damaged_shard_is_told_of_at_each_moment(folder: RunFolder) -> None:
    file = add(folder, 2, 1)
    content = bytearray(file.read_bytes())
    content[8] ^= 4
    file.write_bytes(content)
    run = ViewedRun(folder, "run")
    later = run.later(folder)
    for moment in (run, later):
        assert numbers(moment) == {0: 2, 1: 2, 2: 2}
        assert len(moment.problems) == 1 and file.name in moment.problems[0]


def test_what_nobody_asked_for_longest_goes_first(
    folder: RunFolder, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(round_answers, "MOST_BYTES", 2 * ViewedRun(folder, "run").ask_rounds(COUNTS, [0]).nbytes)
    run = ViewedRun(folder, "run")
    for round in (0, 1, 0, 2, 0, 1):
        assert numbers(run, round) == {round: 2}
    assert asked[1:] == ["round IN (0)", "round IN (1)", "round IN (2)", "round IN (1)"]
