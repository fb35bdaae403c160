"""Promises: several runs are one table each, told apart by `run`; a condition on that opens the run alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from storage.errors import with_mending
from storage.runs import RunFolder
from storage.sql import datasets
from storage.sql.catalog import query_runs
from storage.sql.database import told_apart
from storage.sql.tables import open_rounds
from storage.sql.views import VIEWS
from tests.storage.conftest import SETTINGS
from tests.storage.storage_samples import commit, fill, make_rows


@pytest.fixture
def runs(tmp_path: Path) -> list[RunFolder]:
    """Two runs of the same prompts; the second has two rounds."""
    one, two = (RunFolder.create(tmp_path / name, {"settings": SETTINGS}) for name in ("one", "two"))
    for run, round in ((one, 0), (two, 0), (two, 1)):
        fill(run, round)
    return [one, two]


def test_rows_of_all_are_joined_within_their_run(runs: list[RunFolder]) -> None:
    counted = "SELECT run, count(*), count(reward), count(prompt) FROM episodes GROUP BY run ORDER BY run"
    assert query_runs(runs, counted).rows == [("one", 4, 4, 4), ("two", 8, 8, 8)]
    for view in VIEWS:
        asked = f"SELECT run, count(*) FROM {view.name} GROUP BY run ORDER BY run"
        alone = [row for run in runs for row in query_runs([run], asked).rows]
        assert query_runs(runs, asked).rows == alone


def test_a_condition_on_the_run_opens_that_one_alone(runs: list[RunFolder], monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def record(run: RunFolder, table: str, *rest: Any, **options: Any) -> Any:
        opened.append((run.name, table))
        return open_rounds(run, table, *rest, **options)

    monkeypatch.setattr(datasets, "open_rounds", record)
    assert query_runs(runs, "SELECT count(*), avg(reward) FROM episodes WHERE run = 'one'").rows == [(4, 1.0)]
    assert sorted(opened) == [("one", "rollouts"), ("one", "verdicts")]
    assert query_runs(runs, "SELECT count(*) FROM groups WHERE run IN ('none', 'nil')").rows == [(0,)]
    assert len(opened) == 2


def test_a_shard_that_is_left_out_is_told_with_its_run(runs: list[RunFolder]) -> None:
    manifest = commit(runs[1], "rollouts", make_rows("rollouts", "two", prompts=("c",)), shard=1)
    os.truncate(runs[1].path / manifest.file, 5)
    result = query_runs(runs, "SELECT count(*) FROM rollouts")
    assert result.rows == [(12,)]
    problem = f"{manifest.file} has 5 bytes instead of {manifest.bytes}"
    assert result.excluded == [f"two: {with_mending(runs[1].address, problem)}"]


def test_damage_within_one_run_leaves_the_others_whole(runs: list[RunFolder]) -> None:
    file = next((runs[0].path / "rollouts/round=0000").glob("*.parquet"))
    content = bytearray(file.read_bytes())
    content[pq.read_metadata(file).row_group(0).column(2).data_page_offset + 4] ^= 4
    file.write_bytes(content)
    result = query_runs(runs, "SELECT run, count(DISTINCT prompt_id) FROM rollouts GROUP BY run")
    assert result.rows == [("two", 2)]
    assert len(result.excluded) == 1 and result.excluded[0].startswith("one: ")


@pytest.mark.parametrize(
    ("places", "names"),
    [
        (["a/x", "a/y"], ["x", "y"]),
        (["a/x=x", "a/copy=x", "a/y"], ["x", "copy", "y"]),
        (["a/x=x", "b/x=x"], ["PATH/a/x", "PATH/b/x"]),
        (["a/y=x", "b/x=x", "b/y"], ["PATH/a/y", "x", "PATH/b/y"]),
    ],
)
def test_runs_of_one_name_are_called_by_where_they_lie(tmp_path: Path, places: list[str], names: list[str]) -> None:
    runs = []
    for place in places:
        path, _, run_id = place.partition("=")
        runs.append(RunFolder.create(tmp_path / path, {"settings": SETTINGS, **({"run_id": run_id} if run_id else {})}))
    assert [run.run_id for run in told_apart(runs)] == [name.replace("PATH", str(tmp_path)) for name in names]


def test_more_tables_than_there_are_threads_to_read_are_read(runs: list[RunFolder]) -> None:
    """Each waits for its rows: none may take the place that another one's files are read by."""
    tables = ("prompts", "rollouts", "verdicts", "contexts", "scores", "answers")
    sides = (f"(SELECT run, round, min(prompt_id) AS {table} FROM {table} GROUP BY ALL)" for table in tables)
    joined = " FULL JOIN ".join(f"{side} USING (run, round)" if number else side for number, side in enumerate(sides))
    assert query_runs(runs, f"SELECT count(*) FROM {joined}").rows == [(3,)]


def test_a_run_that_is_named_twice_counts_once(runs: list[RunFolder], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs[0].path.parent)
    again = RunFolder.open(Path("one"))
    assert query_runs([*runs, again], "SELECT run, count(*) FROM prompts GROUP BY run ORDER BY run").rows == [
        ("one", 2),
        ("two", 4),
    ]
    assert [run.run_id for run in told_apart([*runs, again])] == ["one", "two"]
