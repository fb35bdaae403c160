"""Failed attempts stay as small files: counted by key, read newest first, and never in the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from storage.failures import Failure, count_failures, last_failures, note_failure
from storage.runs import RunFolder

FAILURE = Failure(
    stage="score",
    table="scores",
    round=1,
    shard=2,
    key="a" * 64,
    attempt=1,
    error="WorkerDied: scorer-0: killed",
    replica="scorer-0",
    log="/run/logs/scorer-0.log",
    host="here",
    created="2026-11-29T08:00:00+00:00",
)


def make_run(path: Path) -> RunFolder:
    return RunFolder.create(path / "run", {"settings": {}})


def test_failures_are_counted_by_key_and_the_newest_come_first(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert (last_failures(run, 9), count_failures(run)) == ([], {})
    second = replace(FAILURE, attempt=2)
    other = replace(FAILURE, key="b" * 64, replica=None, log=None)
    for failure in (FAILURE, second, other):
        note_failure(run, failure)
    assert sorted(last_failures(run, 9), key=lambda one: (one.key, one.attempt)) == [FAILURE, second, other]
    assert len(last_failures(run, 2)) == 2
    assert count_failures(run) == {"a" * 12: 2, "b" * 12: 1}


def test_one_that_is_damaged_is_left_out(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    note_failure(run, FAILURE)
    run.store.replace("failures/scores/round=0001/shard-00002-aaaaaaaaaaaa-1.json", b'{"stage": "sc')
    run.store.replace("failures/scores/notes.txt", b"somebody's")
    assert last_failures(run, 9) == [FAILURE]
    assert count_failures(run) == {"a" * 12: 2}


def test_one_that_can_not_be_kept_is_no_error(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (run.path / "failures").write_text("in the way")
    note_failure(run, FAILURE)
    assert last_failures(run, 9) == []
