"""Promises: rows come back as they went in; what doesn't fit is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from storage.arrow import to_table
from storage.errors import StorageError
from storage.runs import RunFolder
from storage.schemas import SCHEMAS
from storage.shards import read_rows
from storage.stores.files import LOCKS
from tests.storage.storage_samples import Rows, commit, make_rows


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_table_round_trips(run: RunFolder, table: str) -> None:
    rows = make_rows(table, run.run_id)
    back = read_rows(run, commit(run, table, rows))
    assert len(back) == len(rows)
    for read, written in zip(back, rows, strict=True):
        for name, value in written.items():
            np.testing.assert_equal(read[name], np.float32(value) if name == "temperature" else value)


def test_a_table_without_rows_round_trips(run: RunFolder) -> None:
    manifest = commit(run, "scores", [])
    assert (manifest.rows, read_rows(run, manifest)) == (0, [])


def score_rows(*matrices: Any) -> Rows:
    (row, *_) = make_rows("scores", "r")
    return [{**row, "sample": i, "support_teacher_logprobs": matrix} for i, matrix in enumerate(matrices)]


def test_matrices_round_trip_as_writable_arrays_of_the_schemas_type(run: RunFolder) -> None:
    matrices = [np.random.default_rng(0).normal(size=(t, 4)) for t in (5, 0, 1)]
    back = read_rows(run, commit(run, "scores", score_rows(*matrices)), ["support_teacher_logprobs"])
    found = [row["support_teacher_logprobs"] for row in back]
    assert [array.shape for array in found] == [(5, 4), (0, 0), (1, 4)]
    assert all(array.dtype == np.float32 and array.flags.writeable for array in found)
    np.testing.assert_array_equal(found[0], matrices[0].astype(np.float32))
    np.testing.assert_array_equal(found[2], matrices[2].astype(np.float32))


def test_lists_of_lists_may_be_ragged_and_need_no_numpy(run: RunFolder) -> None:
    manifest = commit(run, "scores", score_rows([[1.0], [2.0, 3.0]], [[4.0, 5.0]]))
    ragged, matrix = (row["support_teacher_logprobs"] for row in read_rows(run, manifest))
    assert [list(vector) for vector in ragged] == [[1.0], [2.0, 3.0]]
    assert matrix.shape == (1, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surprise": 1}, r"unknown columns \['surprise'\]"),
        ({"token_ids": None}, "rollouts.token_ids, row 1: null"),
        ({"token_ids": [2**40]}, "rollouts.token_ids: not list"),
        ({"token_ids": [1.5]}, "rollouts.token_ids: not list"),
        ({"token_ids": np.zeros((2, 2), np.int32)}, "2 dimensions"),
        ({"token_ids": "abc"}, "rollouts.token_ids: not list"),
        ({"seed": 0.5}, "rollouts.seed: not int64"),
        ({"text": 3}, "rollouts.text: not string"),
        ({"sample": 0}, "two rows have the same key .*'sample': 0"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_name(change: dict[str, Any], message: str) -> None:
    rows = make_rows("rollouts", "r", prompts=("a",))
    rows[1] |= change
    with pytest.raises(StorageError, match=message):
        to_table("rollouts", rows)


def test_a_missing_column_is_named() -> None:
    rows = make_rows("verdicts", "r")
    del rows[0]["reward"]
    with pytest.raises(StorageError, match=r"verdicts, row 0: missing columns \['reward'\]"):
        to_table("verdicts", rows)


def test_a_refused_shard_leaves_nothing(run: RunFolder) -> None:
    rows = make_rows("rollouts", run.run_id, round=1)
    with pytest.raises(StorageError, match=r"rows of rounds \[1\] in a shard of round 0"):
        commit(run, "rollouts", rows, round=0)
    assert not (run.path / "rollouts").exists()
    assert [path for path in (run.path / "_tmp").iterdir() if path.name not in LOCKS] == []
