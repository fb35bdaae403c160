"""Promises of a catalog that is kept: a fresh one's answers, from several threads, and an end to each question."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from storage.errors import StorageError
from storage.manifests import Manifest, manifest_name
from storage.runs import RunFolder
from storage.sql.catalog import Catalog, Stop, query
from storage.sql.database import SPILL_FOLDER, Database, _limits
from tests.small_files import REFUSED, files_of_at_most
from tests.storage.storage_samples import commit, fill, make_rows

COUNTED = "SELECT prompt_id, count(text) FROM rollouts GROUP BY prompt_id ORDER BY prompt_id"
ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range % 7 = b.range % 3"


def damage(run: RunFolder, shard: Manifest) -> None:
    """Turn a bit of its file."""
    content = bytearray((run.path / shard.file).read_bytes())
    content[8] ^= 4
    (run.path / shard.file).write_bytes(content)


def test_a_table_stays_as_it_was_first_opened(run: RunFolder) -> None:
    fill(run)
    kept = Catalog([run])
    assert kept.ask(COUNTED).rows == [("a", 2), ("b", 2)]
    commit(run, "rollouts", make_rows("rollouts", run.run_id, prompts=("c",)), shard=1)
    assert kept.ask(COUNTED).rows == [("a", 2), ("b", 2)]
    assert Catalog([run]).ask(COUNTED).rows == [("a", 2), ("b", 2), ("c", 2)]


def test_several_threads_get_the_answers_of_one(run: RunFolder) -> None:
    fill(run)
    kept, asked = Catalog([run]), "SELECT prompt_id, sample, text, prompt FROM episodes ORDER BY ALL"
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: kept.ask(asked).rows, range(8)))
    assert answers == [query(run, asked).rows] * 8


def test_files_that_went_since_are_noticed(run: RunFolder) -> None:
    fill(run)
    gone = commit(run, "rollouts", make_rows("rollouts", run.run_id, prompts=("c",)), shard=1)
    kept = Catalog([run])
    assert len(kept.ask(COUNTED).rows) == 3
    run.store.remove(manifest_name(run, gone.table, gone.round, gone.shard, gone.key))
    run.store.remove(gone.file)
    assert kept.ask(COUNTED).rows == [("a", 2), ("b", 2)]


def test_a_shard_that_is_damaged_later_is_left_out(run: RunFolder) -> None:
    fill(run)
    damaged = commit(run, "rollouts", make_rows("rollouts", run.run_id, prompts=("c",)), shard=1)
    kept, counted = Catalog([run]), "SELECT count(DISTINCT run || prompt_id) FROM rollouts"
    assert (kept.ask(counted).rows, kept.ask(counted).excluded) == ([(3,)], [])
    damage(run, damaged)
    for _ in range(2):
        result = kept.ask(counted)
        assert (result.rows, len(result.excluded)) == ([(2,)], 1)


def test_an_error_of_the_statement_is_none_of_the_shards(run: RunFolder) -> None:
    """Else every shard of the table would be checked for it."""
    fill(run)
    kept = Catalog([run])
    with pytest.raises(StorageError, match=r"SQL: .*mine"):
        kept.ask("SELECT error('mine') FROM rollouts")
    assert kept.ask(COUNTED).excluded == []


def test_no_more_rows_than_asked_for(run: RunFolder) -> None:
    some, all_of_them = (Catalog([run]).ask("FROM range(10)", most_rows=most) for most in (9, 10))
    assert (len(some.rows), some.is_cut, len(all_of_them.rows), all_of_them.is_cut) == (9, True, 10, False)


def test_a_query_is_stopped_from_another_thread(run: RunFolder) -> None:
    kept, stop = Catalog([run]), Stop()
    timer = threading.Timer(0.3, stop)
    timer.start()
    with pytest.raises(StorageError, match="stopped before its end"):
        kept.ask(ENDLESS, stop=stop)
    with pytest.raises(StorageError, match="stopped before its end"):
        kept.ask("SELECT 1", stop=stop)
    assert kept.ask("SELECT 1").rows == [(1,)]


def test_a_query_that_has_ended_can_be_stopped(run: RunFolder) -> None:
    stop = Stop()
    Catalog([run]).ask("SELECT 1", stop=stop)
    stop()


def test_a_question_reads_tables_that_are_given_to_it_alone(run: RunFolder) -> None:
    fill(run)
    catalog = Catalog([run])
    counts = catalog.ask(COUNTED, as_table=True).table
    assert counts is not None
    joined = "SELECT prompt_id, num FROM counts JOIN (SELECT DISTINCT prompt_id FROM rollouts) USING (prompt_id)"
    given = {"counts": counts.rename_columns(["prompt_id", "num"])}
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda num: catalog.ask(joined, given=given).rows, range(4)))
    assert [sorted(rows) for rows in answers] == [[("a", 2), ("b", 2)]] * 4
    with pytest.raises(StorageError, match=r"SQL: .*counts does not exist"):
        catalog.ask(joined)


def test_an_answer_as_a_table_has_bound_values_and_lines_about_damaged_shards(run: RunFolder) -> None:
    fill(run)
    damage(run, commit(run, "rollouts", make_rows("rollouts", run.run_id, prompts=("c",)), shard=1))
    counted = "SELECT count(run || text) AS num FROM rollouts WHERE sample >= $first"
    result = Catalog([run]).ask(counted, {"first": 1}, as_table=True)
    assert result.table is not None
    assert (result.table.to_pylist(), result.columns, len(result.excluded)) == ([{"num": 2}], ["num"], 1)


def test_a_round_is_described_by_its_shards_that_can_be_read(run: RunFolder) -> None:
    for round in (0, 2):
        commit(run, "rollouts", make_rows("rollouts", run.run_id, round=round), round=round)
    first = Catalog([run]).describe_rounds("rollouts")
    assert sorted(first) == [0, 2] and Catalog([run]).describe_rounds("rollouts") == first
    damaged = commit(run, "rollouts", make_rows("rollouts", run.run_id, round=2, prompts=("c",)), round=2, shard=1)
    catalog = Catalog([run])
    second = catalog.describe_rounds("rollouts")
    assert (second[0] == first[0], second[2] == first[2]) == (True, False)
    damage(run, damaged)
    catalog.ask("SELECT count(run || text) FROM rollouts")
    assert catalog.describe_rounds("rollouts") == first  # what is left out is none of its shards
    assert catalog.describe_rounds("scores") == {}


@pytest.mark.parametrize("sql", ["CREATE TABLE mine AS FROM range(10)", "DROP VIEW groups"])
def test_a_statement_that_is_explained_writes_nothing_either(run: RunFolder, sql: str) -> None:
    """DuckDB runs what it is to analyze, and a database is one for all questions."""
    fill(run)
    catalog = Catalog([run])
    with pytest.raises(StorageError, match="read-only"):
        catalog.ask(f"EXPLAIN ANALYZE {sql}")
    assert catalog.ask("SELECT table_name FROM duckdb_tables()").rows == []
    assert catalog.ask("EXPLAIN ANALYZE FROM groups").rows


def test_questions_that_come_first_together_share_a_database(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would else open one of its own, and read the tables for itself."""
    fill(run)
    together, opened = threading.Barrier(2), []
    open_database = Database.open

    def open_slowly(*arguments: Any) -> Database:
        with suppress(threading.BrokenBarrierError):
            together.wait(0.5)
        opened.append(open_database(*arguments))
        return opened[-1]

    monkeypatch.setattr(Database, "open", open_slowly)
    catalog = Catalog([run])
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: catalog.ask(COUNTED), range(2)))
    assert len(opened) == 1


def test_a_question_takes_no_more_memory_than_it_may(run: RunFolder) -> None:
    """Of the temporary folder a few times as much: the run beside it writes too."""
    catalog = Catalog([run], memory_gigabytes=0.05)
    settings = "SELECT name, value FROM duckdb_settings() WHERE name IN ('memory_limit', 'max_temp_directory_size')"
    assert dict(catalog.ask(settings).rows) == {"memory_limit": "47.6 MiB", "max_temp_directory_size": "190.7 MiB"}
    with pytest.raises(StorageError, match=r"^SQL: the query needs more memory than it may take \(0.05 GB\)"):
        catalog.ask("SELECT list(range || repeat('x', 100)) FROM range(10000000)")
    assert catalog.ask("SELECT 1").rows == [(1,)]


SORTED = "SELECT max(r) FROM (SELECT range AS r, hash(range) AS h FROM range(3000000) ORDER BY h)"


def test_a_temporary_folder_that_is_full_is_named(run: RunFolder) -> None:
    line = f"^SQL: {SPILL_FOLDER} can't take what the query needs beyond memory \\({REFUSED}\\): make room there, set "
    with files_of_at_most(100_000), pytest.raises(StorageError, match=line) as caught:
        Catalog([run], memory_gigabytes=0.03).ask(SORTED)
    assert "\n" not in str(caught.value)


def test_a_temporary_folder_with_too_little_room_is_named(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB bounds itself by what is free there."""
    bounded = _limits(0.03)
    monkeypatch.setattr("storage.sql.database._limits", lambda _: [bounded[0], "SET max_temp_directory_size = '1 MB'"])
    with pytest.raises(StorageError, match=r"\(No space left on device\): make room there") as caught:
        Catalog([run]).ask(SORTED)
    assert "\n" not in str(caught.value)
