"""Promises: the index changes no answer, whatever has become of it or of what it was made from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from storage import index
from storage.errors import StorageError
from storage.garbage import collect_garbage
from storage.index import ShardRows
from storage.lineage import create_fork
from storage.lookup import find_manifest, looking_once, scan
from storage.manifests import Manifest
from storage.reading import read_rows
from storage.runs import RunFolder
from storage.sql import datasets, tables
from storage.sql.catalog import QueryResult, query
from storage.sql.script import write_catalog
from storage.sql.tables import index_round, read_small_rows
from storage.stores.local import LocalStore
from storage.stores.objects import ObjectStore
from tests.storage.storage_samples import commit, fill, key_of, make_rows

SMALL = "SELECT round, prompt_id, sample, num_tokens FROM rollouts ORDER BY ALL"
LARGE = "SELECT text, num_tokens FROM rollouts WHERE prompt_id IN ('a', 'c') ORDER BY ALL"
JOINED = "SELECT round, prompt_id, text, reward, num_tokens FROM episodes ORDER BY ALL"
QUERIES = (
    *(SMALL, LARGE, JOINED),
    "SELECT count(*), min(run) FROM rollouts",
    "SELECT * FROM rollouts WHERE prompt_id = 'c' AND sample > 0",
    "SELECT text FROM rollouts WHERE num_tokens > 2 AND prompt_id = 'b'",
    "SELECT sample FROM rollouts WHERE text = '15.' ORDER BY ALL",
    "SELECT sum(num_tokens) FROM rollouts WHERE num_tokens = len(token_ids)",
    "SELECT condition, count(*) FROM contexts GROUP BY ALL ORDER BY ALL",
    "SELECT messages FROM contexts WHERE condition = 'other' AND prompt_id = 'a'",
    "SELECT e.reward FROM episodes AS e JOIN verdicts AS v USING (round, prompt_id, sample) ORDER BY ALL",
    "SELECT count(*) FROM episodes WHERE variant IS NULL",
    "SELECT * FROM episodes ORDER BY round, prompt_id, sample LIMIT 3",
    "SUMMARIZE episodes",
)


@pytest.fixture(autouse=True)
def two_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds of two shards have an index here."""
    for module in (index, tables):
        monkeypatch.setattr(module, "MANY", 2)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Two rounds of three shards."""
    return fill_run(RunFolder.create(tmp_path_factory.mktemp("made") / "run", {"settings": {}}))


@pytest.fixture
def run(made: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of it, without an index."""
    return RunFolder.open(shutil.copytree(made.path, tmp_path / "run"))


@pytest.fixture
def indexed(run: RunFolder) -> RunFolder:
    """The same with an index of both rounds."""
    for round in (0, 1):
        index_round(run, round)
    return run


def fill_run(run: RunFolder, reward: float = 1.0) -> RunFolder:
    for round in (0, 1):
        for shard, prompt in enumerate("abc"):
            place = {"round": round, "prompts": (prompt,)}
            for table in ("prompts", "rollouts", "contexts"):
                commit(run, table, make_rows(table, run.run_id, **place), round=round, shard=shard)
            verdicts = [{**row, "reward": reward} for row in make_rows("verdicts", run.run_id, **place)]
            commit(run, "verdicts", verdicts, round=round, shard=shard)
        commit(run, "contexts", make_rows("contexts", run.run_id, round=round), round=round, name="other")
    return run


def answer_directly(run: RunFolder, sql: str, monkeypatch: pytest.MonkeyPatch) -> QueryResult:
    """The answer from the shards alone."""
    with monkeypatch.context() as patched:
        for module in (index, tables):
            patched.setattr(module, "MANY", 10**9)
        return query(run, sql)


def forbid_shards(monkeypatch: pytest.MonkeyPatch) -> list[ShardRows]:
    """From now on, the shards that are opened."""
    opened: list[ShardRows] = []
    make = tables._dataset

    def record(run: RunFolder, table: str, shards: list[ShardRows]) -> object:
        opened.extend(shards)
        return make(run, table, shards)

    monkeypatch.setattr(tables, "_dataset", record)
    return opened


@pytest.mark.parametrize("sql", QUERIES)
def test_the_index_changes_no_answer(indexed: RunFolder, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    direct = answer_directly(indexed, sql, monkeypatch)
    assert direct.rows
    assert query(indexed, sql) == direct


def test_the_first_question_leaves_an_index_of_the_tables_it_read(run: RunFolder) -> None:
    query(run, SMALL)
    folder = run.path / "index"
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("round*")) == [
        *("rollouts/round=0000", "rollouts/round=0001"),
    ]


def test_small_columns_are_read_from_the_index_alone(indexed: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = forbid_shards(monkeypatch)
    assert len(query(indexed, SMALL).rows) == 12
    assert opened == []


def test_large_columns_are_read_from_the_shards_that_have_the_rows(
    indexed: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = forbid_shards(monkeypatch)
    assert query(indexed, "SELECT DISTINCT text FROM rollouts WHERE prompt_id = 'b'").rows == [("15.",)]
    assert [(shard.file.split("-")[1], shard.rows) for shard in opened] == [("00001", 2)] * 2


def test_a_query_opens_the_tables_that_it_needs(indexed: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    open_rounds = tables.open_rounds

    def record(run: RunFolder, table: str, *rest: frozenset[str], by_names: bool) -> object:
        opened.append(table)
        return open_rounds(run, table, *rest, by_names=by_names)

    monkeypatch.setattr(datasets, "open_rounds", record)
    assert query(indexed, "SELECT DISTINCT reward FROM episodes").rows == [(1.0,)]
    assert sorted(opened) == ["rollouts", "verdicts"]
    query(indexed, "SHOW TABLES")
    assert len(opened) == 2


def test_few_shards_have_no_index(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {"settings": {}})
    fill(run)
    index_round(run, 0)
    assert len(query(run, SMALL).rows) == 4
    assert not (run.path / "index").exists()


def test_an_index_that_cannot_be_kept_is_done_without(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(store: LocalStore, name: str, content: bytes) -> None:
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr(LocalStore, "replace", refuse)
    assert len(query(run, SMALL).rows) == 12
    assert not (run.path / "index").exists()


def _flip(position: float) -> Callable[[Path, RunFolder], None]:
    def flip(path: Path, _: RunFolder) -> None:
        content = bytearray(path.read_bytes())
        content[int(position * (len(content) - 1))] ^= 1
        path.write_bytes(content)

    return flip


def _take_another_runs(path: Path, run: RunFolder) -> None:
    other = RunFolder.create(run.path.parent / "other" / run.path.name, run.document)
    fill_run(other, reward=-5.0)
    for round in (0, 1):
        index_round(other, round)
    shutil.copy(other.path / path.relative_to(run.path), path)


HARM: dict[str, Callable[[Path, RunFolder], object]] = {
    "deleted": lambda path, run: path.unlink(),
    "empty": lambda path, run: path.write_bytes(b""),
    "truncated": lambda path, run: os.truncate(path, path.stat().st_size - 9),
    "something else": lambda path, run: path.write_bytes(b"no index" * 100),
    "a folder": lambda path, run: (path.unlink(), path.mkdir()),
    "another round's": lambda path, run: shutil.copy(path.with_name("round=0001"), path),
    "another table's": lambda path, run: shutil.copy(path.parents[1] / "contexts" / path.name, path),
    "another run's": _take_another_runs,
    **{f"flipped at {part:.2f}": _flip(part) for part in (0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0)},
}


@pytest.mark.parametrize("harm", HARM)
def test_a_damaged_index_changes_no_answer(indexed: RunFolder, harm: str) -> None:
    before = [query(indexed, sql) for sql in (SMALL, LARGE, JOINED)]
    for table in ("rollouts", "verdicts"):
        HARM[harm](indexed.path / "index" / table / "round=0000", indexed)
    assert [query(indexed, sql) for sql in (SMALL, LARGE, JOINED)] == before
    assert scan(indexed, "rollouts")[1] == []


def _shard(run: RunFolder, table: str = "rollouts") -> Manifest:
    return next(manifest for manifest in scan(run, table)[0] if (manifest.round, manifest.shard) == (0, 2))


def _write_over(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def _replace(run: RunFolder) -> None:
    rows = [{**row, "text": "42", "token_ids": [4, 2]} for row in make_rows("rollouts", run.run_id, prompts=("c",))]
    commit(run, "rollouts", rows, shard=2, key=key_of("a later version"))


CHANGES: dict[str, Callable[[RunFolder], object]] = {
    "a shard made again": _replace,
    "a shard more": lambda run: commit(run, "rollouts", make_rows("rollouts", run.run_id, prompts=("d",)), shard=3),
    "a shard truncated": lambda run: os.truncate(run.path / _shard(run).file, 99),
    "a shard with a flipped bit": lambda run: _write_over(
        run.path / _shard(run).file, lambda content: content[:8] + bytes([content[8] ^ 4]) + content[9:]
    ),
    "a shard gone": lambda run: (run.path / _shard(run).file).unlink(),
    "a manifest gone": lambda run: next((run.path / "rollouts/round=0000").glob("shard-00002-*.json")).unlink(),
    "a manifest renamed": lambda run: (
        next((run.path / "rollouts/round=0000").glob("shard-00002-*.json")).rename(
            run.path / "rollouts/round=0000/shard-00002-kept.json"
        ),
        os.truncate(run.path / _shard(run, "verdicts").file, 99),
    ),
    "a manifest damaged": lambda run: next((run.path / "rollouts/round=0000").glob("shard-00002-*.json")).write_text(
        "{"
    ),
    "a manifest of another schema": lambda run: _write_over(
        next((run.path / "rollouts/round=0000").glob("shard-00002-*.json")),
        lambda content: content.replace(b'"seed": "int64', b'"seed": "int32'),
    ),
    "a round gone": lambda run: shutil.rmtree(run.path / "rollouts/round=0000"),
    "other verdicts": lambda run: os.truncate(run.path / _shard(run, "verdicts").file, 99),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_after_the_index_is_read_as_it_is_now(
    indexed: RunFolder, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [query(indexed, sql) for sql in (SMALL, LARGE, JOINED)]
    CHANGES[change](indexed)
    now = [answer_directly(indexed, sql, monkeypatch) for sql in (SMALL, LARGE, JOINED)]
    assert [query(indexed, sql) for sql in (SMALL, LARGE, JOINED)] == now
    assert now != before
    for round in (0, 1):
        index_round(indexed, round)
    assert [query(indexed, sql) for sql in (SMALL, LARGE, JOINED)] == now


def test_a_round_with_a_damaged_shard_gets_no_index(run: RunFolder) -> None:
    os.truncate(run.path / _shard(run).file, 99)
    for _ in range(2):
        result = query(run, SMALL)
        assert (len(result.rows), len(result.excluded)) == (10, 1)
    assert [path.name for path in (run.path / "index" / "rollouts").iterdir()] == ["round=0001"]


def test_a_shard_that_comes_while_an_index_is_made_is_no_error(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    find_current = tables.find_current

    def find_late(run: RunFolder, table: str, round: int, *rest: frozenset[str]) -> object:
        if round == 0:
            commit(run, table, make_rows(table, run.run_id, prompts=("d",)), shard=3)
        return find_current(run, table, round, *rest)

    before = query(run, SMALL)
    shutil.rmtree(run.path / "index")
    with monkeypatch.context() as patched:
        patched.setattr(tables, "find_current", find_late)
        index_round(run, 0)
    assert not (run.path / "index" / "rollouts" / "round=0000").exists()
    assert len(query(run, SMALL).rows) == len(before.rows) + 2


def test_a_fork_sees_what_becomes_of_its_parents_shards(indexed: RunFolder, tmp_path: Path) -> None:
    taken = [manifest for table in ("prompts", "rollouts", "verdicts") for manifest in scan(indexed, table)[0]]
    fork = create_fork(
        indexed, LocalStore(tmp_path / "fork"), {"run_id": "fork", "settings": {}, "format": 2}, {}, taken
    )
    for round in (0, 1):
        index_round(fork, round)
    assert query(fork, "SELECT DISTINCT run, round FROM rollouts ORDER BY ALL").rows == [("fork", 0), ("fork", 1)]
    os.truncate(indexed.path / _shard(indexed).file, 99)
    for sql, rows in ((SMALL, 10), (LARGE, 6)):
        result = query(fork, sql)
        assert (len(result.rows), len(result.excluded)) == (rows, 1)
    indexed.path.rename(tmp_path / "moved")
    with pytest.raises(
        StorageError, match=r"^[^\n]*which it was forked from, has moved or is gone: put it back[^\n]*$"
    ):
        query(RunFolder.open(fork.path), SMALL)


def test_damage_is_told_where_it_may_have_cost_a_row(indexed: RunFolder) -> None:
    os.truncate(indexed.path / _shard(indexed).file, 99)
    by_prompt = {prompt: query(indexed, f"SELECT text FROM rollouts WHERE prompt_id = '{prompt}'") for prompt in "bc"}
    assert [(len(result.rows), len(result.excluded)) for result in by_prompt.values()] == [(4, 0), (2, 1)]


def test_manifests_are_found_as_they_are(indexed: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    read = LocalStore.read

    def read_index_alone(store: LocalStore, name: str) -> bytes:
        assert name.startswith("index/")
        return read(store, name)

    old, _ = scan(indexed, "rollouts", 0)
    with looking_once(), monkeypatch.context() as patched:
        patched.setattr(LocalStore, "read", read_index_alone)
        assert [find_manifest(indexed, "rollouts", 0, one.shard, one.key) for one in old] == old
    commit(indexed, "rollouts", make_rows("rollouts", indexed.run_id, prompts=("d",)), shard=3)
    os.truncate(indexed.path / old[0].file, 9)
    with looking_once():
        found = [find_manifest(indexed, "rollouts", 0, one.shard, one.key) for one in old]
    assert found == [None, *old[1:]]
    assert [manifest.shard for manifest in scan(indexed, "rollouts", 0)[0]] == [1, 2, 3]


def test_small_columns_of_shards_are_the_rows_of_those_shards(
    indexed: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = ["prompt_id", "sample", "variant", "failure", "num_tokens"]
    shards = scan(indexed, "contexts", 0)[0]
    rows = [row for shard in shards for row in read_rows(indexed, shard, columns)]
    with monkeypatch.context() as patched:
        patched.setattr(tables, "read_rows", None)
        assert read_small_rows(indexed, shards[1:], columns) == rows[2:]
    os.truncate(indexed.path / shards[0].file, 99)
    assert read_small_rows(indexed, shards[1:], columns) == rows[2:]


def test_the_written_catalog_does_not_depend_on_the_index(indexed: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    write_catalog(indexed)
    written = (indexed.path / "catalog.sql").read_text()
    shutil.rmtree(indexed.path / "index")
    write_catalog(indexed)
    assert (indexed.path / "catalog.sql").read_text() == written


@pytest.fixture
def requests(remote: RunFolder, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of a bucket with two rounds of three shards and their index."""
    for round in (0, 1):
        for shard, prompt in enumerate("abc"):
            rows = make_rows("rollouts", remote.run_id, round=round, prompts=(prompt,))
            commit(remote, "rollouts", rows, round=round, shard=shard)
        index_round(remote, round)
    asked: list[str] = []
    for name in ("read", "stat", "list_files"):
        method = getattr(ObjectStore, name)
        monkeypatch.setattr(
            ObjectStore, name, lambda store, file, call=method: [asked.append(file), call(store, file)][1]
        )
    return asked


def test_garbage_beside_an_index_costs_no_request_a_shard(remote: RunFolder, requests: list[str]) -> None:
    lost = "rollouts/round=0000/shard-00001-0123456789ab.parquet"
    remote.store.replace(lost, b"lost the race")
    assert collect_garbage(remote) == [lost]
    assert [name for name in requests if name.startswith(("index/", "rollouts/"))] == [
        "rollouts/",
        *("rollouts/round=0000/", "index/rollouts/round=0000"),
        *("rollouts/round=0000/", "index/rollouts/round=0000"),  # after something was removed
        *("rollouts/round=0001/", "index/rollouts/round=0001"),
    ]


def test_in_a_bucket_a_round_is_one_request(remote: RunFolder, requests: list[str]) -> None:
    assert len(query(remote, SMALL).rows) == 12
    assert sorted(requests) == ["index/rollouts/round=0000", "index/rollouts/round=0001", "rollouts/"]
    requests.clear()
    assert len(scan(remote, "rollouts")[0]) == 6
    assert sorted(requests) == ["index/rollouts/round=0000", "index/rollouts/round=0001", "rollouts/"]
    remote.store.replace(_shard(remote).file, b"no Parquet")
    for sql, rows in ((SMALL, 10), (LARGE, 6)):
        result = query(remote, sql)
        assert (len(result.rows), len(result.excluded)) == (rows, 1)
