"""The rounds of a table as SQL sees them: their shards, their index where it says what is there now, their rows.

Whatever reads many shards may make the index of their round: `make_index`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from operator import and_

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from storage.errors import StorageError
from storage.index import IndexFile, ShardRows, describe_files, encode_index, index_name, read_index
from storage.logger import LOGGER
from storage.manifests import Manifest, data_name, manifest_name, scan
from storage.runs import RunFolder
from storage.schemas import LENGTHS, LONG, NAME_COLUMNS, SCHEMAS, column_types
from storage.store import Entry

MANY = 16
"""So many shards of a round are worth an index."""
_READERS = 16
"""Files of the index that are read at once: a bucket answers each of them slowly."""


@dataclass(frozen=True)
class Round:
    """A round of a table: its shards that can be read, and its index where that fits what is there now."""

    number: int
    shards: list[ShardRows]
    index: IndexFile | None = None


def view_schema(table: str) -> pa.Schema:
    """The columns of a table in SQL: those of its files, lengths of lists, and what its manifests say."""
    added = [pa.field(length, pa.int64()) for length in LENGTHS.get(table, ())]
    added += [pa.field(NAME_COLUMNS[table], pa.string(), nullable=False)] if table in NAME_COLUMNS else []
    return pa.schema([*SCHEMAS[table], *added])


def small_columns(table: str) -> list[str]:
    """The columns that an index has: numbers, flags and names."""
    return [field.name for field in view_schema(table) if not pa.types.is_nested(field.type) and field.name not in LONG]


def open_rounds(run: RunFolder, table: str, bad_files: frozenset[str] = frozenset()) -> tuple[list[Round], list[str]]:
    """The rounds of a table, and a line for each shard that is left out. `bad_files` are known to be damaged."""
    listed = _list_rounds(run, table)
    worth = [number for number, files in listed.items() if len(files) >= MANY and not bad_files]
    with ThreadPoolExecutor(_READERS) as readers:
        indexes = dict(
            zip(worth, readers.map(lambda number: read_index(run.store, _folder(table, number)), worth), strict=True)
        )
    rounds, problems = [], []
    for number, files in listed.items():
        index = indexes.get(number)
        if index is not None and _fits(run, table, number, files, index):
            rounds.append(Round(number, index.shards, index))
        else:
            current, left_out = find_current(run, table, number, bad_files)
            rounds.append(Round(number, list(map(_describe_shard, current))))
            problems += left_out
    return rounds, problems


def _list_rounds(run: RunFolder, table: str) -> dict[int, dict[str, Entry]]:
    """The files of each round's folder, by one listing."""
    files = run.store.list_files(f"{table}/")
    rounds = groupby(files, lambda name: name.split("/")[1])
    return {
        int(folder.removeprefix("round=")): {name: files[name] for name in names}
        for folder, names in rounds
        if folder.removeprefix("round=").isdecimal()
    }


def _fits(run: RunFolder, table: str, round: int, files: Mapping[str, Entry], index: IndexFile) -> bool:
    """Whether an index was made from the files that are there now, with the columns of today."""
    schema = view_schema(table)
    columns = [schema.field(name) for name in small_columns(table)]
    if index.listing != describe_files(files) or list(index.schema) != columns:
        return False
    return all(digest == _describe_home(run, home, table, round) for home, digest in index.homes.items())


def _folder(table: str, round: int) -> str:
    return f"{table}/round={round:04d}"


def _describe_home(run: RunFolder, home: str, table: str, round: int) -> str:
    """What `describe_files` says of a round's folder in an ancestor."""
    return describe_files(run.home(home).list_files(f"{_folder(table, round)}/"))


def find_current(
    run: RunFolder, table: str, round: int | None = None, bad_files: frozenset[str] = frozenset()
) -> tuple[list[Manifest], list[str]]:
    """The shards of a table that can be read together, and a line for each other one."""
    manifests, problems = scan(run, table, round, name=None)
    expected = column_types(SCHEMAS[table])
    current = []
    for manifest in manifests:
        file = data_name(run, manifest)
        if file in bad_files:
            problems.append(f"{file} is damaged: its bytes are not those that were committed")
        elif manifest.schema != expected:
            problems.append(f"{file} has another schema: it was written by another version of mopd")
        else:
            current.append(manifest)
    return current, problems


def index_round(run: RunFolder, round: int) -> None:
    """Make the index of each table of a round that has many shards, where it isn't there or doesn't fit any more."""
    for table in SCHEMAS:
        files = run.store.list_files(f"{_folder(table, round)}/")
        index = read_index(run.store, _folder(table, round)) if len(files) >= MANY else None
        if len(files) >= MANY and (index is None or not _fits(run, table, round, files, index)):
            make_index(run, table, round)


def make_index(run: RunFolder, table: str, round: int) -> IndexFile | None:
    """Read the shards of a round and keep its index, if it can be kept; None where there are few or one is damaged."""
    folder = _folder(table, round)
    files = run.store.list_files(f"{folder}/")
    current, problems = find_current(run, table, round) if len(files) >= MANY else ([], [])
    if len(current) < MANY or problems:
        return None
    shards = list(map(_describe_shard, current))
    homes = {home: _describe_home(run, home, table, round) for home in {shard.home for shard in shards} - {""}}
    try:
        rows = _read_small(run, table, shards)
    except (OSError, pa.ArrowException):  # whoever needs what is damaged there tells of it
        return None
    if run.store.list_files(f"{folder}/") != files:
        return None
    copies = {manifest_name(run, table, round, one.shard, one.key): one.to_json() for one in current}
    content = encode_index(files, homes, shards, copies, rows)
    try:
        run.store.replace(index_name(folder), content)
    except (OSError, StorageError) as error:
        LOGGER.debug("no index of %s is kept: %s", folder, error)
    return IndexFile(content)


def _describe_shard(manifest: Manifest) -> ShardRows:
    return ShardRows(manifest.file, manifest.home, manifest.name, manifest.rows)


def _read_small(run: RunFolder, table: str, shards: list[ShardRows]) -> pa.Table:
    """The small columns of shards, in their order. Raises ValueError (ArrowInvalid) where rows are missing."""
    full = view_schema(table)
    schema = pa.schema([full.field(name) for name in small_columns(table)])
    rows = pa.Table.from_batches(read_shards(run, table, shards, schema), schema)
    if rows.num_rows != sum(shard.rows for shard in shards):
        raise pa.ArrowInvalid("there are more or fewer rows than the manifests say")
    return rows


def read_shards(
    run: RunFolder, table: str, shards: list[ShardRows], schema: pa.Schema, condition: pc.Expression | None = None
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


def _dataset(run: RunFolder, table: str, shards: list[ShardRows]) -> ds.Dataset:
    """Shards as one dataset. Rows that were taken over are the run's own in `run`.

    What is said of a fragment goes before what its file says: no byte has to be written again.
    """
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
