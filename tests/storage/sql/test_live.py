"""Promises: beside a run that goes on, a query gives an answer or one line, whatever comes or goes while it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from storage.errors import StorageError, with_mending
from storage.manifests import Manifest, manifest_name
from storage.runs import RunFolder
from storage.sql import datasets, facts
from storage.sql.catalog import query
from storage.sql.tables import read_shards
from tests.storage.storage_samples import commit, make_rows

COUNTED = "SELECT prompt_id, count(text) FROM rollouts GROUP BY prompt_id ORDER BY prompt_id"


def commit_prompt(run: RunFolder, shard: int) -> Manifest:
    """A shard of one prompt, which has its number for a name."""
    return commit(run, "rollouts", make_rows("rollouts", run.run_id, prompts=(str(shard),)), shard=shard)


def remove(run: RunFolder, manifest: Manifest) -> None:
    """What garbage collection does to a shard that was superseded."""
    run.store.remove(manifest_name(run, manifest.table, manifest.round, manifest.shard, manifest.key))
    run.store.remove(manifest.file)


@pytest.fixture
def before_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterator[Any]], None]:
    """Takes what is to happen, a step of it before each time that shards are read, after it is known which."""

    def install(steps: Iterator[Any]) -> None:
        def read(*args: Any, **options: Any) -> Iterator[Any]:
            next(steps, None)
            yield from read_shards(*args, **options)

        monkeypatch.setattr(datasets, "read_shards", read)

    return install


def test_a_shard_that_comes_is_there_next_time(run: RunFolder, before_reading: Callable[[Iterator[Any]], None]) -> None:
    commit_prompt(run, 0)
    before_reading(commit_prompt(run, shard) for shard in (1,))
    assert query(run, COUNTED).rows == [("0", 2)]
    assert query(run, COUNTED).rows == [("0", 2), ("1", 2)]


def test_a_shard_that_goes_is_left_out(run: RunFolder, before_reading: Callable[[Iterator[Any]], None]) -> None:
    manifests = [commit_prompt(run, shard) for shard in (0, 1)]
    before_reading(remove(run, manifest) for manifest in manifests[:1])
    result = query(run, COUNTED)
    assert (result.rows, result.excluded) == ([("1", 2)], [])


def test_a_file_that_goes_alone_is_told_of(run: RunFolder, before_reading: Callable[[Iterator[Any]], None]) -> None:
    manifests = [commit_prompt(run, shard) for shard in (0, 1)]
    before_reading(run.store.remove(manifest.file) for manifest in manifests[:1])
    result = query(run, COUNTED)
    assert (result.rows, result.excluded) == (
        [("1", 2)],
        [with_mending(run.address, f"{manifests[0].file} is missing")],
    )


def test_where_files_go_on_going_it_is_one_line(
    run: RunFolder, before_reading: Callable[[Iterator[Any]], None]
) -> None:
    manifests = [commit_prompt(run, shard) for shard in range(3)]
    before_reading(remove(run, manifest) for manifest in manifests)
    with pytest.raises(StorageError, match=r"files came or went while they were read.*: ask again") as caught:
        query(run, COUNTED)
    assert "Traceback" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_manifest_that_goes_before_it_is_read_has_no_row(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    gone, _ = (commit_prompt(run, shard) for shard in (0, 1))
    listed = facts.round_of

    def list_then_remove(name: str) -> int | None:
        remove(run, gone)
        return listed(name)

    monkeypatch.setattr(facts, "round_of", list_then_remove)
    assert query(run, "SELECT shard, rows FROM shards").rows == [(1, 2)]
    (run.path / "rollouts/round=0000").joinpath("shard-00007-0123456789ab.json").write_text("{half")
    assert query(run, "SELECT shards_done FROM stages").rows == [(1,)]
