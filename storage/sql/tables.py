"""The rounds of a table as SQL sees them: their shards, their index where it says what is there now, their rows.

Whatever reads many shards may make the index of their round: `make_index`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate, groupby
from operator import and_
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from storage.errors import DAMAGED, StorageError, damaged_error
from storage.index import MANY, IndexFile, ShardRows, describe, encode_index, fingerprint, index_name, read_index
from storage.logger import LOGGER
from storage.lookup import data_name, list_current, list_renamed, problem_line, scan
from storage.manifests import Manifest
from storage.reading import read_rows
from storage.runs import RunFolder
from storage.schemas import LENGTHS, LONG, NAME_COLUMNS, SCHEMAS, Row, column_types
from storage.stores.base import Store

if TYPE_CHECKING:
    import pyarrow.dataset as ds

_READERS = 16
"""Files of the index that are read at once: a bucket answers each of them slowly."""


@dataclass(frozen=True)
class Round:
    """A round of a table: its index where that fits what is there now, else its shards that can be read."""

    number: int
    index: IndexFile | None = None
    current: tuple[ShardRows, ...] = ()

    @property
    def shards(self) -> Sequence[ShardRows]:
        """All of them, in the order of the index's rows."""
        return self.current if self.index is None else self.index.shards

    @property
    def wants_index(self) -> bool:
        """Whether it has many shards, and none."""
        return self.index is None and len(self.current) >= MANY


def view_schema(table: str) -> pa.Schema:
    """The columns of a table in SQL: those of its files, lengths of lists, and what its manifests say."""
    added = [pa.field(length, pa.int64()) for length in LENGTHS.get(table, ())]
    added += [pa.field(NAME_COLUMNS[table], pa.string(), nullable=False)] if table in NAME_COLUMNS else []
    return pa.schema([*SCHEMAS[table], *added])


def small_columns(table: str) -> list[str]:
    """The columns that an index has: numbers, flags and names."""
    return [field.name for field in view_schema(table) if not pa.types.is_nested(field.type) and field.name not in LONG]


def open_rounds(
    run: RunFolder, table: str, bad_files: frozenset[str] = frozenset(), *, by_names: bool = False
) -> tuple[list[Round], list[str]]:
    """The rounds of a table, and a line for each shard that is left out. `bad_files` are known to be damaged.

    `by_names`: an index fits where no name has got another file, which is found out faster. Of the shards of which rows
    are used then, each is to be asked for by `is_unchanged`.
    """
    listed = _list_rounds(run, table, by_names)
    worth = [number for number, files in listed.items() if len(files) >= MANY and not bad_files]
    with ThreadPoolExecutor(_READERS) as readers:
        indexes = dict(zip(worth, readers.map(lambda number: read_index(run.store, _folder(table, number)), worth)))
    rounds, problems = [], []
    for number, files in listed.items():
        index = indexes.get(number)
        if index is not None and _fits(run, table, number, files, index, by_names):
            rounds.append(Round(number, index))
        else:
            current, left_out = find_current(run, table, number, bad_files)
            rounds.append(Round(number, current=tuple(map(_describe_shard, current))))
            problems += left_out
    return rounds, problems


def is_unchanged(run: RunFolder, shard: ShardRows) -> bool:
    """Whether the manifest and the file of a shard of an index are those that it was made from."""
    stores = {name: run.home(shard.home) if name == shard.file else run.store for name in shard.seen}
    entries = {name: store.stat(name) for name, store in stores.items()}
    return shard.seen == {name: fingerprint(entry) for name, entry in entries.items() if entry is not None}


def _list_rounds(run: RunFolder, table: str, by_names: bool) -> dict[int, dict[str, str]]:
    """The files of each round's folder, by one listing."""
    files = _list_names(run, f"{table}/") if by_names else _list_files(run, f"{table}/")
    rounds = groupby(files, lambda name: name.split("/")[1])
    return {
        int(folder.removeprefix("round=")): {name: files[name] for name in names}
        for folder, names in rounds
        if folder.removeprefix("round=").isdecimal()
    }


def _list_files(run: RunFolder, prefix: str) -> dict[str, str]:
    files = _list_whole(run.store, prefix)
    return {name: files[name] for name in list_current(run, files)}


def _list_names(run: RunFolder, prefix: str) -> dict[str, str]:
    files = run.store.list_names(prefix)
    return {name: files[name] for name in list_current(run, files)}


def _describe(run: RunFolder, files: Mapping[str, str]) -> str:
    """One hash for a round's files, and for the names that rows have got since they were made."""
    renamed = list_renamed(run, files)
    return describe({name: f"{said} {renamed[name]}" if name in renamed else said for name, said in files.items()})


def _list_whole(store: Store, prefix: str) -> dict[str, str]:
    return {name: fingerprint(entry) for name, entry in store.list_files(prefix).items()}


def _fits(run: RunFolder, table: str, round: int, files: Mapping[str, str], index: IndexFile, by_names: bool) -> bool:
    """Whether an index was made from the files that are there now, with the columns of today."""
    if not index.schema.equals(_small_schema(table)):
        return False
    if by_names:
        return index.names == _describe(run, files)
    return index.listing == _describe(run, files) and index.homes == _describe_homes(run, table, round, index.homes)


def _describe_homes(run: RunFolder, table: str, round: int, homes: Iterable[str]) -> dict[str, str]:
    """What the round's folder holds in ancestors."""
    prefix = f"{_folder(table, round)}/"
    return {home: describe(_list_whole(run.home(home), prefix)) for home in homes}


def _folder(table: str, round: int) -> str:
    return f"{table}/round={round:04d}"


def find_current(
    run: RunFolder, table: str, round: int, bad_files: frozenset[str] = frozenset()
) -> tuple[list[Manifest], list[str]]:
    """The shards of a round that can be read together, and a line for each other one, with what mends it."""
    manifests, problems = scan(run, table, round, name=None if table in NAME_COLUMNS else "")
    expected = column_types(SCHEMAS[table])
    current = []
    for manifest in manifests:
        file = data_name(run, manifest)
        if file in bad_files:
            problems.append(problem_line(run, manifest, f"{file} {DAMAGED}"))
        elif manifest.schema != expected:
            problems.append(f"{file} has another schema: it was written by another version of mopd")
        else:
            current.append(manifest)
    return current, problems


def read_small_rows(run: RunFolder, manifests: Sequence[Manifest], columns: list[str]) -> list[Row]:
    """Small columns of shards of one round, in their order: by its index, else as `read_rows` reads each of them."""
    index = _find_index(run, manifests[0].table, manifests[0].round) if len(manifests) >= MANY else None
    ends = {} if index is None else dict(zip(((one.file, one.name) for one in index.shards), accumulate(index.counts)))
    if index is None or not ends.keys() >= {(one.file, one.name) for one in manifests}:
        return [row for manifest in manifests for row in read_rows(run, manifest, columns)]
    schema = view_schema(manifests[0].table)
    rows = index.read(pa.schema([schema.field(name) for name in columns]))
    parts = [rows.slice(ends[one.file, one.name] - one.rows, one.rows) for one in manifests]
    return [row for part in parts for row in part.to_pylist()]


def read_columns(
    run: RunFolder, manifests: Sequence[Manifest], columns: Sequence[str], where: Mapping[str, Any] | None = None
) -> list[Row]:
    """Some columns of shards of one table, in their order, of the rows that have the values of `where`.

    No other column is read, and so no file is checked as a whole: its pages are. Raises StorageError for a damaged one.
    """
    if not manifests:
        return []
    table, full = manifests[0].table, view_schema(manifests[0].table)
    schema = pa.schema([full.field(name) for name in columns])
    conditions = [pc.field(name) == value for name, value in (where or {}).items()]
    condition = reduce(and_, conditions) if conditions else None
    try:
        batches = list(read_shards(run, table, list(map(_describe_shard, manifests)), schema, condition))
    except (OSError, pa.ArrowException) as error:
        raise damaged_error(run.address, f"a shard of {table}") from error
    return [row for batch in batches for row in batch.to_pylist()]


def index_round(run: RunFolder, round: int) -> None:
    """Make the index of each table of a round that has many shards, where it isn't there or doesn't fit any more."""
    for table in SCHEMAS:
        if _find_index(run, table, round) is None:
            make_index(run, table, round)


def _find_index(run: RunFolder, table: str, round: int) -> IndexFile | None:
    """The index of a round, where it fits what is there now."""
    folder = _folder(table, round)
    files = _list_files(run, f"{folder}/")
    index = read_index(run.store, folder) if len(files) >= MANY else None
    return index if index is not None and _fits(run, table, round, files, index, by_names=False) else None


def make_index(run: RunFolder, table: str, round: int) -> IndexFile | None:
    """Read the shards of a round and keep its index, if it can be kept; None where there are few or one is damaged."""
    folder = _folder(table, round)
    files, names = _list_files(run, f"{folder}/"), _list_names(run, f"{folder}/")
    current, problems = find_current(run, table, round) if len(files) >= MANY else ([], [])
    if len(current) < MANY or problems:
        return None
    manifests = {one.name_in(run): one for one in current}
    try:
        rows = _read_small(run, table, current)
        shards = [_describe_shard(one, _see(run, name, one, files)) for name, one in manifests.items()]
    except (OSError, pa.ArrowException, StorageError):  # whoever needs what is damaged there tells of it
        return None
    homes = _describe_homes(run, table, round, {one.home for one in current} - {""})
    if _list_files(run, f"{folder}/") != files:
        return None
    texts = {name: one.to_json() for name, one in manifests.items() if one.key not in run.renamed}
    content = encode_index(_describe(run, files), _describe(run, names), homes, shards, texts, rows)
    try:
        run.store.replace(index_name(folder), content)
    except (OSError, StorageError) as error:
        LOGGER.debug("no index of %s is kept: %s", folder, error)
    return IndexFile(content)


def _see(run: RunFolder, name: str, manifest: Manifest, files: Mapping[str, str]) -> dict[str, str]:
    """What `ShardRows.seen` is of a shard. OSError if its files aren't listed, or an ancestor's is gone.

    `name`: of its manifest, which is not listed where it came after the listing, or where somebody gave it another one.
    """
    seen = {name: files.get(name), manifest.file: files.get(manifest.file)}
    if manifest.home:
        entry = run.home(manifest.home).stat(manifest.file)
        seen[manifest.file] = None if entry is None else fingerprint(entry)
    whole = {file: said for file, said in seen.items() if said is not None}
    if len(whole) < len(seen):
        raise FileNotFoundError(*(seen.keys() - whole.keys()))
    return whole


def _describe_shard(manifest: Manifest, seen: dict[str, str] | None = None) -> ShardRows:
    return ShardRows(manifest.file, manifest.home, manifest.name, manifest.rows, seen or {})


def _small_schema(table: str) -> pa.Schema:
    full = view_schema(table)
    return pa.schema([full.field(name) for name in small_columns(table)])


def _read_small(run: RunFolder, table: str, manifests: list[Manifest]) -> pa.Table:
    """The small columns of shards, in their order. Raises ArrowInvalid where there are not the rows that there were."""
    schema = _small_schema(table)
    rows = pa.Table.from_batches(read_shards(run, table, list(map(_describe_shard, manifests)), schema), schema)
    if rows.num_rows != sum(manifest.rows for manifest in manifests):
        raise pa.ArrowInvalid("there are more or fewer rows than the manifests say")
    return rows


def read_shards(
    run: RunFolder, table: str, shards: Sequence[ShardRows], schema: pa.Schema, condition: pc.Expression | None = None
) -> Iterator[pa.RecordBatch]:
    """Rows of shards, in their order, with the columns of `schema`, page checksums checked.

    `condition` may leave rows out, where it names columns of the files alone. Raises what pyarrow does for a damaged
    shard.
    """
    lengths = LENGTHS.get(table, {})
    columns = {name: pc.field(name) for name in schema.names}
    columns |= {
        name: pc.list_value_length(pc.field(lengths[name])).cast(pa.int64()) for name in lengths.keys() & columns
    }
    scanner = _dataset(run, table, shards).scanner(columns=columns, filter=condition)
    for batch in scanner.to_batches():
        yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def _dataset(run: RunFolder, table: str, shards: Sequence[ShardRows]) -> ds.Dataset:
    """Shards as one dataset. Rows that were taken over are the run's own in `run`.

    What is said of a fragment goes before what its file says: no byte has to be written again.
    """
    import pyarrow.dataset as ds  # brings pandas along, which costs who needs no rows

    checked = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    form, system = ds.ParquetFileFormat(default_fragment_scan_options=checked), run.store.arrow("")[0]
    fragments = []
    for shard in shards:
        constants = {NAME_COLUMNS[table]: shard.name} if table in NAME_COLUMNS else {}
        constants |= {"run": run.run_id} if shard.home else {}
        conditions = [ds.field(column) == value for column, value in constants.items()]
        options = {"partition_expression": reduce(and_, conditions)} if conditions else {}
        path = run.home(shard.home).arrow(shard.file)[1]
        fragments.append(form.make_fragment(path, filesystem=system, **options))
    schema = view_schema(table)
    for length in LENGTHS.get(table, ()):
        schema = schema.remove(schema.get_field_index(length))
    return ds.FileSystemDataset(fragments, schema, form, system)
