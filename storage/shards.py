"""Committing shards and policy folders; `storage.reading` reads them. FAULTS.md in one sentence: the manifest is last.

Killed at any point, a commit leaves either nothing that a manifest names, or everything.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.arrow import to_table
from storage.encodings import dictionary_leaves, split_leaves
from storage.errors import StorageError
from storage.garbage import collect_garbage, remove_trainer_state
from storage.integrity import BadFile, verify_run
from storage.keys import shard_key
from storage.lookup import find_manifest, find_problem, list_current, manifest_names, manifests, scan
from storage.manifests import POLICIES, Manifest, is_removable, shard_place
from storage.policies import policy_name
from storage.reading import read_rows
from storage.runs import RunFolder
from storage.schemas import Row, column_types
from storage.stores.files import fsync_path, fsync_tree, naming, new_folder, sha256_file
from storage.stores.hashes import sha256_of_each

__all__ = [
    "BadFile",
    "Manifest",
    "collect_garbage",
    "commit_again",
    "commit_folder",
    "commit_shard",
    "find_manifest",
    "manifests",
    "read_rows",
    "refuse_committed",
    "remove_trainer_state",
    "shard_key",
    "verify_run",
]

ROW_GROUP_ROWS, ROW_GROUP_BYTES = 256, 4 << 20
"""At most so many rows, of about so many bytes, are written, and read, at a time."""
TIMING = "seconds"
"""A column that differs whenever the same content is made again."""


def commit_shard(
    run: RunFolder,
    table: str,
    *,
    round: int,
    shard: int,
    key: str,
    rows: Sequence[Row],
    parents: list[str],
    info: dict[str, Any],
    name: str = "",
) -> Manifest:
    """Publish rows as one immutable shard; of several commits under one key the first one's manifest is returned.

    One that was made from other parents gives way. `name`: of what is no table of the run's own, see NAME_COLUMNS.
    Raises StorageError for rows that don't fit the schema, OSError naming the file for a full disk or missing rights;
    either way nothing of the shard remains.
    """
    content = to_table(table, rows)
    _check_round(table, round, content)
    with run.store.scratch(f"{table}-{round:04d}-{shard:05d}") as temporary:
        _write_parquet(content, temporary)
        sha256 = sha256_file(temporary)
        manifest = Manifest(
            table=table,
            round=round,
            shard=shard,
            key=key,
            file=f"{table}/round={round:04d}/shard-{shard:05d}-{sha256[:12]}.parquet",
            rows=content.num_rows,
            bytes=temporary.stat().st_size,
            sha256=sha256,
            schema=column_types(content.schema),
            parents=list(parents),
            info=info,
            versions=_read_versions(),
            created=_now(),
            untimed=_hash_untimed(content),
            name=name,
        )
        return _publish(run, manifest, temporary)


def commit_again(
    run: RunFolder, manifest: Manifest, *, key: str, parents: list[str], info: dict[str, Any], name: str = ""
) -> Manifest:
    """Publish the data of a committed shard under one more key, and maybe another name: nothing is copied."""
    return _publish(run, replace(manifest, key=key, name=name, parents=list(parents), info=info, created=_now()))


def commit_folder(
    run: RunFolder,
    *,
    round: int,
    key: str,
    parents: list[str],
    info: dict[str, Any],
    write: Callable[[Path], None],
) -> Manifest:
    """Publish the folder that `write` fills as the policy of `round`; as `commit_shard` otherwise.

    Files and folders at its top whose name begins with `trainer` count as trainer state: they may be removed later.
    Raises StorageError when another policy of this round is already committed: policies are never overwritten.
    """
    target = policy_name(run, round)
    with run.store.scratch(f"{POLICIES}-{round:04d}") as temporary:
        with new_folder(temporary), naming(run.path / target):
            write(temporary)
        with ThreadPoolExecutor(1) as disk:
            written = disk.submit(fsync_tree, temporary)
            files = _describe_files(temporary)
            written.result()
        weights = {name: entry["sha256"] for name, entry in files.items() if not is_removable(name)}
        manifest = Manifest(
            table=POLICIES,
            round=round,
            shard=0,
            key=key,
            file=target,
            rows=0,
            bytes=sum(entry["bytes"] for entry in files.values()),
            sha256=hashlib.sha256(repr(sorted(weights.items())).encode()).hexdigest(),
            schema={},
            parents=list(parents),
            info=info,
            versions=_read_versions(),
            created=_now(),
            files=files,
        )
        return _publish(run, manifest, temporary)


def _publish(run: RunFolder, manifest: Manifest, data: Path | None = None) -> Manifest:
    """Put new data under its final name, then commit the manifest; the winner's manifest if another one came first.

    `data`: where it lies; None for what is there already.
    """
    name = manifest.name_in(run)
    if manifest.table != POLICIES:
        manifest = replace(manifest, created=_after_others(run, manifest))

    def settle(there: bytes | None) -> bool:
        stays = there is not None and _is_same_work(run, manifest, there)
        if manifest.table == POLICIES and not stays:
            refuse_committed(run, manifest.round)
            for damaged in set(list_current(run, manifest_names(run, POLICIES, manifest.round))) - {name}:
                run.store.remove(damaged)
        return stays

    placed = None if data is None else (data, manifest.file)
    return Manifest.parse(run.store.publish(name, manifest.to_json().encode(), settle=settle, data=placed))


def _is_same_work(run: RunFolder, manifest: Manifest, there: bytes) -> bool:
    """Whether the manifest that is there, whole, says of the same parents what this one says."""
    try:
        other = Manifest.parse(there)
    except (ValueError, TypeError):
        return False
    return (other.key, other.parents) == (manifest.key, manifest.parents) and not find_problem(run, other)


def refuse_committed(run: RunFolder, round: int) -> None:
    """Raise StorageError when a policy of this round is committed: for callers that are about to train another."""
    committed, _ = scan(run, POLICIES, round)
    if committed:
        raise StorageError(
            f"{run.address}/{committed[0].file} holds a policy trained from other inputs or by another version of "
            "mopd: it is never overwritten, start a new run folder"
        )


def _write_parquet(table: pa.Table, path: Path) -> None:
    """Write with page checksums, fsync, open again and check: what is renamed later is known to be readable."""
    with naming(path):
        pq.write_table(
            table,
            path,
            compression="zstd",
            use_dictionary=dictionary_leaves(table.schema),
            column_encoding=split_leaves(table.schema),
            write_page_checksum=True,
            row_group_size=_choose_group_rows(table),
            store_schema=True,
        )
        fsync_path(path)
        with pq.ParquetFile(path) as file:
            is_whole = file.metadata.num_rows == table.num_rows and file.schema_arrow.equals(table.schema)
    if not is_whole:
        raise OSError(f"{path} was written, but reads back differently: check the disk")


def _choose_group_rows(table: pa.Table) -> int:
    """Rows of a row group."""
    bytes_per_row = table.nbytes // max(table.num_rows, 1)
    return max(1, min(ROW_GROUP_ROWS, ROW_GROUP_BYTES // max(bytes_per_row, 1)))


def _hash_untimed(table: pa.Table) -> str:
    """sha256 of the rows without timings; "" where a table has none."""
    if TIMING not in table.column_names:
        return ""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.drop_columns([TIMING]).schema) as stream:
        stream.write_table(table.drop_columns([TIMING]).combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()


def _check_round(table: str, round: int, content: pa.Table) -> None:
    wrong = set(content["round"].unique().to_pylist()) - {round}
    if wrong:
        raise StorageError(f"{table}: rows of rounds {sorted(wrong)} in a shard of round {round}")


def _describe_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Bytes and sha256 of each file below `folder`, by relative path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256}
        for path, sha256 in zip(paths, sha256_of_each(paths), strict=True)
    }


def _read_versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "pyarrow": pa.__version__}
    try:
        versions["mopd"] = version("mopd")
    except PackageNotFoundError:
        versions["mopd"] = "not installed"
    return versions


def _now() -> str:
    return _as_text(datetime.now(UTC))


def _as_text(time: datetime) -> str:
    return time.isoformat(timespec="microseconds")


def _after_others(run: RunFolder, manifest: Manifest) -> str:
    """When a manifest is made, for whoever asks which of a shard is the newest: the clock may have been set back."""
    place = shard_place(manifest.table, manifest.round, manifest.shard)
    names = [name for name in run.store.list_beginning(place) if name.endswith(".json")]
    there = [other for name in names if (other := Manifest.read_whole(run.store, name)) is not None]
    newest = max((other.created for other in there), default="")
    if newest < manifest.created:
        return manifest.created
    return _as_text(datetime.fromisoformat(newest) + timedelta(microseconds=1))
