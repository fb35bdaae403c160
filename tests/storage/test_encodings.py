"""Promises: numbers of a token are laid out byte by byte, and any reader of Parquet reads them."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from storage.encodings import dictionary_leaves, split_leaves
from storage.runs import RunFolder
from storage.schemas import SCHEMAS
from tests.storage.storage_samples import Rows, commit, make_rows

T, K = 300, 100
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_column_has_one_encoding(run: RunFolder, table: str) -> None:
    manifest = commit(run, table, make_rows(table, run.run_id))
    group = pq.ParquetFile(run.path / manifest.file).metadata.row_group(0)
    encodings = {group.column(n).path_in_schema: group.column(n).encodings for n in range(group.num_columns)}
    split, listed = split_leaves(SCHEMAS[table]), dictionary_leaves(SCHEMAS[table])
    assert encodings.keys() == {*split, *listed}
    assert all(("BYTE_STREAM_SPLIT" in names) == (path in split) for path, names in encodings.items())


def wide_rows(run: RunFolder) -> Rows:
    """One rollout of ids and log-probabilities of half precision."""
    ids_TK = np.stack([RNG.permutation(50_000)[:K] for _ in range(T)])
    logps_TK = np.sort(-RNG.exponential(3, (T, K)).astype(np.float16).astype(np.float32))
    (row, *_) = make_rows("scores", run.run_id)
    return [row | {"support_ids": ids_TK, "support_teacher_logprobs": logps_TK}]


def test_bytes_that_rounding_left_at_zero_cost_nothing(run: RunFolder) -> None:
    manifest = commit(run, "scores", wide_rows(run))
    group = pq.ParquetFile(run.path / manifest.file).metadata.row_group(0)
    sizes = {
        group.column(n).path_in_schema.split(".")[0]: group.column(n).total_compressed_size
        for n in range(group.num_columns)
    }
    assert sizes["support_teacher_logprobs"] < 2 * T * K
    assert sizes["support_ids"] < 2.05 * T * K


def test_another_reader_reads_the_same_numbers(run: RunFolder) -> None:
    rows = wide_rows(run)
    path = run.path / commit(run, "scores", rows).file
    query = "SELECT support_ids, support_teacher_logprobs, token_ids FROM read_parquet(?)"
    ids, logps, tokens = duckdb.execute(query, [str(path)]).fetchall()[0]
    assert ids == rows[0]["support_ids"].tolist()
    assert logps == rows[0]["support_teacher_logprobs"].tolist()
    assert tokens == list(rows[0]["token_ids"])
