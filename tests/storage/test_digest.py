"""Promises: a digest depends on content alone, and on all of it."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from storage.digest import digest_tables
from storage.errors import StorageError
from storage.manifests import TABLES
from storage.runs import RunFolder
from storage.shards import commit_folder, remove_trainer_state
from tests.storage.storage_samples import commit, fill, key_of, make_rows, write_weights


def make_run(folder: Path, **changes: Any) -> RunFolder:
    """Verdicts with some columns changed, and a policy."""
    run = RunFolder.create(folder, {"settings": {}})
    weights = partial(write_weights, weights=changes.pop("weights", b"weights"))
    commit(run, "verdicts", [{**row, **changes} for row in make_rows("verdicts", run.run_id)])
    commit_folder(run, round=0, key=key_of(0), parents=[], info={}, write=weights)
    return run


def test_every_table_has_a_digest(run: RunFolder) -> None:
    empty = digest_tables(run)
    fill(run)
    full = digest_tables(run)
    assert tuple(full) == TABLES
    assert [table for table in TABLES if full[table] == empty[table]] == ["policies"]


def test_timings_run_ids_and_trainer_state_do_not_count(tmp_path: Path) -> None:
    one, other = make_run(tmp_path / "one", seconds=1.0), make_run(tmp_path / "other", seconds=2.0)
    remove_trainer_state(other, 0)
    assert one.run_id != other.run_id
    assert digest_tables(one) == digest_tables(other)


def test_the_division_into_shards_does_not_count(tmp_path: Path) -> None:
    one, other = (RunFolder.create(tmp_path / name, {"settings": {}}) for name in ("one", "other"))
    commit(one, "scores", make_rows("scores", "one", prompts=("a", "b")))
    for shard, prompt in enumerate(("b", "a")):
        commit(other, "scores", make_rows("scores", "other", prompts=(prompt,)), shard=shard)
    assert digest_tables(one) == digest_tables(other)


def test_evaluations_beside_each_other_count_and_other_contexts_do_not(run: RunFolder) -> None:
    commit(run, "contexts", make_rows("contexts", run.run_id), name="positive")
    assert tuple(digest_tables(run)) == TABLES
    commit(run, "evaluations", make_rows("evaluations", run.run_id), name="base")
    commit(run, "evaluations", make_rows("evaluations", run.run_id, prompts=("a",)), name="tuned")
    digests = digest_tables(run)
    assert set(digests) == {*TABLES, "evaluations of base", "evaluations of tuned"}
    assert len({digests[f"evaluations{of}"] for of in ("", " of base", " of tuned")}) == 3


@pytest.mark.parametrize("change", [{"reward": 0.5}, {"reward": None}, {"prediction": ""}, {"weights": b"others!"}])
def test_content_counts(tmp_path: Path, change: dict[str, Any]) -> None:
    one, other = digest_tables(make_run(tmp_path / "one")), digest_tables(make_run(tmp_path / "other", **change))
    different = [table for table in TABLES if one[table] != other[table]]
    assert different == (["policies"] if "weights" in change else ["verdicts"])


def test_a_damaged_run_has_no_digest(run: RunFolder) -> None:
    manifest = commit(run, "updates", make_rows("updates", run.run_id))
    os.truncate(run.path / manifest.file, 10)
    with pytest.raises(StorageError, match="can't be digested: updates/round=0000"):
        digest_tables(run)
