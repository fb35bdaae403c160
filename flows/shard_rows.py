"""Rows of shards as jobs read and commit them: under the settings that the shard is made by."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from flows.shard import Shard
from flows.stage_settings import open_at
from storage.errors import StorageError
from storage.runs import RunFolder
from storage.schemas import side_of
from storage.shards import Manifest, commit_shard, read_rows

Rows = list[dict[str, Any]]


def open_shard(run_path: Path, shard: Shard) -> RunFolder:
    """The run with the settings of the shard: in a fork, and on a side, they need not be those of run.json."""
    return open_at(run_path, shard.round, side_of(shard.table))


def read_shard(folder: RunFolder, shard: Shard, columns: Sequence[str] | None = None) -> Rows:
    """A shard's rows. Raises StorageError for one that is not there, or is damaged."""
    return read_rows(folder, manifest_of(folder, shard), list(columns) if columns else None)


def of_groups(rows: Rows, prompt_ids: Collection[str]) -> Rows:
    """The rows of some prompts."""
    return [row for row in rows if row["prompt_id"] in prompt_ids]


def manifest_of(folder: RunFolder, shard: Shard) -> Manifest:
    """The manifest of a shard that was made. Raises StorageError where it has gone."""
    manifest = shard.find(folder)
    if manifest is None:
        raise StorageError(f"{folder.path}: shard {shard.shard} of {shard.table}, round {shard.round}, has gone")
    return manifest


def commit(folder: RunFolder, shard: Shard, rows: Rows, began: float, info: dict[str, Any]) -> Manifest:
    """Publish a shard's rows, made since `began` (monotonic seconds)."""
    return commit_shard(
        folder,
        shard.table,
        round=shard.round,
        shard=shard.shard,
        key=shard.key,
        rows=rows,
        parents=shard.parents(folder),
        info={**info, "seconds": time.monotonic() - began},
    )
