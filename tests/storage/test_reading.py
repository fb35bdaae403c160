"""Reading shards a part at a time: arrays where tokens are, views of what Arrow read, one row group in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from storage import shards
from storage.errors import StorageError
from storage.manifests import Manifest
from storage.reading import Lists, ShardFile, read_rows
from storage.runs import RunFolder
from tests.storage.storage_samples import columns_of, commit, make_rows

LENGTHS = (3, 0, 2, 4)


def score_rows(width: int = 5) -> list[dict[str, Any]]:
    """One prompt's rows of unlike length, with numbers that tell place and column apart."""
    rows = []
    for sample, length in enumerate(LENGTHS):
        matrix_tk = (100 * sample + np.arange(length * width, dtype=np.float32)).reshape(length, width)
        rows.append(
            {"run": "run", "round": 0, "prompt_id": "a", "sample": sample, **columns_of("scores")}
            | {"token_ids": np.arange(length, dtype=np.int32) + 10 * sample, "support_teacher_logprobs": matrix_tk}
            | {"support_ids": matrix_tk.astype(np.int32)}
        )
    return rows


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {"settings": {}})


@pytest.fixture
def manifest(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """A shard of two row groups."""
    monkeypatch.setattr(shards, "ROW_GROUP_ROWS", 2)
    return commit(run, "scores", score_rows())


def test_a_part_holds_flat_values_and_offsets_that_nobody_copied(run: RunFolder, manifest: Manifest) -> None:
    names = ("token_ids", "support_ids", "reference_logprobs", "prompt_id")
    (first, one), (second, other) = ShardFile(run, manifest).parts(names)
    assert (first, second) == (0, 2)
    assert one["prompt_id"] == other["prompt_id"] == ["a", "a"]
    tokens, ids, reference = (one[name] for name in names[:3])
    assert isinstance(tokens, Lists) and isinstance(ids, Lists) and isinstance(reference, Lists)
    assert (tokens.values.tolist(), tokens.offsets.tolist()) == ([0, 1, 2], [0, 3, 3])
    assert (ids.values.shape, ids.values.dtype) == ((3, 5), np.int32)
    assert not tokens.values.flags.owndata and not ids.values.flags.owndata and not ids.values.flags.writeable
    assert [reference.row(index) for index in range(len(reference))] == [None, None]
    expected = [row["support_ids"] for row in score_rows()]
    assert [lists.row(n).tolist() for lists in (ids, other["support_ids"]) for n in (0, 1)] == [
        matrix.tolist() for matrix in expected
    ]


def test_only_row_groups_with_a_wanted_row_are_read(run: RunFolder, manifest: Manifest) -> None:
    file = ShardFile(run, manifest)
    assert [first for first, _ in file.parts(("sample",), rows=[3])] == [2]
    assert [first for first, _ in file.parts(("sample",), rows=[])] == []


def test_rows_of_many_tokens_stand_in_small_row_groups(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "ROW_GROUP_BYTES", 1000)
    small, large = (commit(run, "scores", score_rows(width), round=0, shard=width) for width in (1, 100))
    counts = [pq.ParquetFile(run.path / manifest.file).num_row_groups for manifest in (small, large)]
    assert counts[0] < counts[1] == len(LENGTHS)


def test_lists_of_unlike_length_within_a_row_are_no_matrix(run: RunFolder) -> None:
    ragged = score_rows()
    ragged[0]["support_ids"] = [np.arange(2), np.arange(3)]
    file = ShardFile(run, commit(run, "scores", ragged))
    with pytest.raises(StorageError, match="support_ids has lists of unlike lengths"):
        list(file.parts(("support_ids",)))


def test_a_damaged_shard_or_an_unknown_column_is_refused(run: RunFolder, manifest: Manifest) -> None:
    with pytest.raises(StorageError, match=r"scores has no columns \['reward'\]: choose from"):
        list(ShardFile(run, manifest).parts(("reward",)))
    (run.path / manifest.file).write_bytes(b"PAR1")
    with pytest.raises(StorageError, match="damaged or missing"):
        ShardFile(run, manifest)


def test_rows_can_be_asked_for_by_value(run: RunFolder) -> None:
    manifest = commit(run, "verdicts", make_rows("verdicts", run.run_id, samples=3))
    rows = read_rows(run, manifest, ["sample", "reward"], where={"prompt_id": "b", "sample": 2})
    assert rows == [{"sample": 2, "reward": 1.0}]
    assert read_rows(run, manifest, ["sample"], where={"prompt_id": "nobody"}) == []
