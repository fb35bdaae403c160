"""Are the bytes still those that were committed? `storage.fit` asks whether the rows fit together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import StorageError
from storage.index import INDEX, IndexFile
from storage.lookup import list_current, manifest_names, scan
from storage.manifests import POLICIES, TABLES, Manifest, is_removable, round_of
from storage.runs import RunFolder
from storage.schemas import SCHEMAS, column_types
from storage.stores.base import Store

Progress = Callable[[int], None]
"""Told how many bytes were read since it was told last."""


@dataclass(frozen=True)
class BadFile:
    """A file of a run that isn't what was committed, or does not fit to the others."""

    file: str
    """Its path in the run folder; of a file that was taken over from an ancestor, the whole path."""
    reason: str
    aside: str = field(default="", compare=False)
    """What has to be set aside so that it is made again: the manifest that names the file, or itself. "" where that
    does not help."""

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


@dataclass(frozen=True)
class TableCount:
    """What the manifests of a table say, superseded ones and those of earlier versions too."""

    table: str
    shards: int
    rows: int
    bytes: int


def count_table(run: RunFolder, table: str) -> TableCount:
    """Shards, rows and bytes of a table, as far as manifests can be read."""
    total: Counter[str] = Counter()
    for name in manifest_names(run, table):
        manifest = Manifest.read_whole(run.store, name)
        if manifest is not None:
            total.update(shards=1, rows=manifest.rows, bytes=sum(size for _, size, *_ in manifest.list_files()))
    return TableCount(table, total["shards"], total["rows"], total["bytes"])


def verify_run(run: RunFolder, progress: Progress = lambda bytes: None) -> list[BadFile]:
    """Read every committed file and compare its sha256 with the manifest; the bad ones, none of a sound run.

    Trainer state that was removed on purpose isn't missed; where it is still there it must be right.
    """
    return [bad for table in TABLES for bad in verify_table(run, table, progress)]


def verify_table(run: RunFolder, table: str, progress: Progress = lambda bytes: None) -> Iterator[BadFile]:
    """`verify_run` of one table."""
    for name in manifest_names(run, table):
        yield from _verify_manifest(run, name, progress)


def _verify_manifest(run: RunFolder, name: str, progress: Progress) -> list[BadFile]:
    """What is wrong with a manifest and its files; looked at again where it was replaced, or removed, meanwhile."""
    content = _read_or_none(run.store, name)
    while content is not None:
        bad = _compare_files(run, name, content, progress)
        before, content = content, _read_or_none(run.store, name)
        if content == before:
            return bad
    return []


def _read_or_none(store: Store, name: str) -> bytes | None:
    try:
        return store.read(name)
    except FileNotFoundError:
        return None


def _compare_files(run: RunFolder, name: str, content: bytes, progress: Progress) -> list[BadFile]:
    try:
        manifest = Manifest.parse(content)
    except (ValueError, TypeError) as error:
        return [BadFile(name, f"damaged manifest ({error})", name)]
    try:
        home = run.home(manifest.home)
    except StorageError as error:  # an ancestor that is gone
        return [BadFile(name, str(error))]
    bad = []
    for file, size, sha256, removable in manifest.list_files():
        reason = _compare(home, file, size, sha256, removable) or _compare_footer(home, manifest)
        progress(size)
        if reason:
            shown = f"{home.address}/{file}" if manifest.home else file
            bad.append(BadFile(shown, reason, "" if manifest.home else name))
    return bad


def _compare(home: Store, file: str, size: int, sha256: str, removable: bool) -> str:
    try:
        actual = home.sha256(file)
    except FileNotFoundError:
        return "" if removable else "missing"
    if actual == sha256:
        return ""
    entry = home.stat(file)
    if entry is not None and entry.bytes != size:
        return f"has {entry.bytes} bytes instead of {size}"
    return f"sha256 is {actual[:12]}…, committed was {sha256[:12]}…"


def _compare_footer(home: Store, manifest: Manifest) -> str:
    """What the file says of itself beside what its manifest says, where that was written over."""
    if manifest.table == POLICIES or manifest.schema != column_types(SCHEMAS[manifest.table]):
        return ""  # of another version of mopd
    system, path = home.arrow(manifest.file)
    try:
        with pq.ParquetFile(path, filesystem=system) as file:
            rows, schema = file.metadata.num_rows, file.schema_arrow
    except FileNotFoundError:
        return "missing"
    except pa.ArrowException:
        return "is no Parquet file that can be read"
    if rows != manifest.rows:
        return f"has {rows} rows, its manifest says {manifest.rows}"
    return "" if schema.equals(SCHEMAS[manifest.table]) else "has another schema than its manifest says"


def find_missing_trainer_state(run: RunFolder) -> list[BadFile]:
    """The newest policy where its trainer state isn't whole beside it: the next round begins with it."""
    names = list_current(run, manifest_names(run, POLICIES))
    newest = max(names, key=lambda name: round_of(name) or 0, default="")
    policy = next((one for one in scan(run, POLICIES)[0] if one.round == round_of(newest)), None)
    if policy is None:  # none, or a damaged one: that is found elsewhere
        return []
    there = run.home(policy.home).list_files(f"{policy.file}/")
    state = sorted(f"{policy.file}/{name}" for name in policy.files if is_removable(name))
    missing = [file for file in state if file not in there]
    reason = "missing beside the newest policy: no further round can be trained"
    return [BadFile(missing[0], reason, "" if policy.home else newest)] if missing else []


def find_bad_indexes(run: RunFolder) -> list[BadFile]:
    """Files of the index that can't be read. They are hints: without them, what they are of is read where it lies."""
    bad = []
    for name in run.store.list_files(f"{INDEX}/"):
        try:
            IndexFile(run.store.read(name))
        except FileNotFoundError:
            continue
        except StorageError:  # the store, not the file
            raise
        except (ValueError, KeyError, TypeError, pa.ArrowException) as error:
            bad.append(BadFile(name, f"damaged index ({error})", name))
    return bad
