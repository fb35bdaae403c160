"""Reading shards back, after a check of their bytes: as rows, or, where tokens are, as columns of arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import DAMAGED, StorageError, damaged_error
from storage.lookup import ancestor_error, data_name
from storage.manifests import Manifest
from storage.runs import RunFolder
from storage.schemas import SCHEMAS, Row, column_types, is_numeric_list
from storage.stores.base import Damaged


@dataclass(frozen=True)
class Lists:
    """A column of numeric lists, flat: row i has the entries from `offsets[i]` to `offsets[i + 1]` of `values`.

    `values` is [T], or [T, K] for lists of lists; it is a view of Arrow's buffers, which can't be written to.
    """

    values: np.ndarray
    offsets: np.ndarray
    valid: np.ndarray

    def row(self, index: int) -> np.ndarray | None:
        """A view of one row's entries; None for a null."""
        return self.values[self.offsets[index] : self.offsets[index + 1]] if self.valid[index] else None

    def __len__(self) -> int:
        """Rows."""
        return len(self.valid)


Columns = dict[str, Lists | list[Any]]
"""Some rows of a table: numeric lists as `Lists`, other columns as plain values."""


class ShardFile:
    """A shard whose bytes were checked once, to be read a part at a time."""

    def __init__(self, run: RunFolder, manifest: Manifest) -> None:
        """Raises StorageError for a damaged shard, or one of another schema."""
        self._run, self._manifest = run, manifest
        try:
            self.path = run.home(manifest.home).local_file(manifest.file, manifest.sha256)
        except Damaged as error:
            raise _damaged(run, manifest) from error
        _check_schema(run, manifest)

    def parts(self, columns: Sequence[str], rows: Collection[int] | None = None) -> Iterator[tuple[int, Columns]]:
        """The number of its first row and the columns of each row group, or of those that hold one of `rows`.

        One row group is in memory at a time, as long as the caller keeps no view of it. Raises StorageError for an
        unknown column.
        """
        _check_names(self._manifest, columns)
        with pq.ParquetFile(self.path, page_checksum_verification=True) as file:
            first = 0
            for number in range(file.num_row_groups):
                count = file.metadata.row_group(number).num_rows
                if rows is None or any(first <= row < first + count for row in rows):
                    table = file.read_row_group(number, columns=list(columns))
                    yield first, {name: self._column(table, name) for name in columns}
                first += count
        pa.default_memory_pool().release_unused()  # what decoding took, which Arrow would keep for the next file

    def plain(self, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """The values of every row in columns that are no numeric lists."""
        for _, part in self.parts(columns):
            values = [column for column in part.values() if isinstance(column, list)]
            assert len(values) == len(columns), f"numeric lists among {columns}"
            yield from zip(*values, strict=True)

    def _column(self, table: pa.Table, name: str) -> Lists | list[Any]:
        if name == "run" and self._manifest.home:
            return [self._run.run_id] * table.num_rows
        array = _combine(table[name])
        if not is_numeric_list(array.type):
            return array.to_pylist()  # type: ignore[no-any-return]
        lists = _flatten(array)
        if lists is None:
            raise StorageError(f"{self.path}: {name} has lists of unlike lengths in a row; read it as rows")
        return lists


def read_rows(
    run: RunFolder, manifest: Manifest, columns: list[str] | None = None, where: Mapping[str, Any] | None = None
) -> list[Row]:
    """A shard's rows, in their order, after a check of the file's sha256; those alone that have the values of `where`.

    Numeric lists are writable numpy arrays of the schema's type: 1-D, and 2-D [T, K] for list<list<x>> (a list of 1-D
    arrays where K differs within a row; [0, 0] for an empty one). Raises StorageError for a damaged shard, one of
    another schema, or an unknown column. Rows that were taken over from an ancestor are the run's own: `run` names it.
    """
    names = SCHEMAS[manifest.table].names if columns is None else columns
    _check_names(manifest, names)
    content = _read_checked(run, manifest)
    table = _read_table(content, names, where)
    values = [_convert(_combine(table[name])) for name in names]
    if manifest.home and "run" in names:
        values[names.index("run")] = [run.run_id] * table.num_rows
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def _read_table(content: bytes, names: Sequence[str], where: Mapping[str, Any] | None) -> pa.Table:
    """By the file alone, and compared in Python: for `pq.read_table`, and for each value that it is handed, Arrow
    imports pandas, a third of the start of `mopd status`."""
    with pq.ParquetFile(pa.BufferReader(content)) as file:
        if not where:
            return file.read(columns=list(names))
        parts = [part for number in range(file.num_row_groups) for part in _read_group(file, number, names, where)]
        return pa.concat_tables(parts) if parts else file.read_row_groups([], columns=list(names))


def _read_group(file: pq.ParquetFile, number: int, names: Sequence[str], where: Mapping[str, Any]) -> list[pa.Table]:
    """Each row of a row group that has the values; its other columns are not read where none has."""
    rows = [
        row
        for row, values in enumerate(file.read_row_group(number, columns=list(where)).to_pylist())
        if values == where
    ]
    if not rows:
        return []
    group = file.read_row_group(number, columns=list(names))
    return [group.slice(row, 1) for row in rows]


def _check_names(manifest: Manifest, names: Sequence[str]) -> None:
    columns = SCHEMAS[manifest.table].names
    unknown = sorted(set(names) - set(columns))
    if unknown:
        raise StorageError(f"{manifest.table} has no columns {unknown}: choose from {', '.join(columns)}")


def _read_checked(run: RunFolder, manifest: Manifest) -> bytes:
    """The file of a shard, its bytes those that were committed, its columns those of today."""
    try:
        content = run.home(manifest.home).read(manifest.file)
    except FileNotFoundError as error:
        raise _damaged(run, manifest) from error
    if hashlib.sha256(content).hexdigest() != manifest.sha256:
        raise _damaged(run, manifest)
    _check_schema(run, manifest)
    return content


def _check_schema(run: RunFolder, manifest: Manifest) -> None:
    if manifest.schema != column_types(SCHEMAS[manifest.table]):
        raise StorageError(f"{data_name(run, manifest)} was written by another version of mopd: use that one")


def _damaged(run: RunFolder, manifest: Manifest) -> StorageError:
    if manifest.home:
        return ancestor_error(run, f"{data_name(run, manifest)} {DAMAGED}")
    return damaged_error(run.address, data_name(run, manifest))


def _combine(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array, without a copy where it is one already."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _flatten(array: pa.Array) -> Lists | None:
    """Numeric lists, flat; None for lists of lists that differ in length."""
    offsets = _numbers(array.offsets)
    valid = np.array(array.is_valid().to_pylist(), dtype=bool)
    if not pa.types.is_list(array.type.value_type):
        return Lists(_numbers(array.values), offsets, valid)
    inner = array.values
    starts = _numbers(inner.offsets)
    widths = np.unique(np.diff(starts))
    if len(widths) > 1:
        return None
    width = int(widths[0]) if len(widths) else 0
    flat = _numbers(inner.values)[starts[0] : starts[-1]]
    return Lists(flat.reshape(len(starts) - 1, width), offsets, valid)


def _numbers(array: pa.Array) -> np.ndarray:
    """A view of numbers without nulls, not writable. Arrow's own `to_numpy` imports pandas first."""
    buffer = array.buffers()[1] or b""
    view = np.frombuffer(buffer, dtype=array.type.to_pandas_dtype())[array.offset : array.offset + len(array)]
    view.flags.writeable = False
    return view


def _convert(array: pa.Array) -> list[Any]:
    """One Python value or numpy array a row."""
    if not is_numeric_list(array.type):
        return array.to_pylist()  # type: ignore[no-any-return]
    lists = _flatten(array)
    if lists is None:
        return _stack_rows(array)
    writable = replace(lists, values=np.array(lists.values))
    rows = [writable.row(index) for index in range(len(array))]
    nested = pa.types.is_list(array.type.value_type)
    return [row[:, :0] if nested and row is not None and not len(row) else row for row in rows]


def _stack_rows(array: pa.Array) -> list[Any]:
    """Rows of lists of lists: a matrix [T, K] where they have one length within the row, a list of vectors else."""
    vectors = _convert(array.values)
    rows = [_stack(vectors[start:end], array.type) for start, end in pairwise(_numbers(array.offsets))]
    return [row if valid else None for row, valid in zip(rows, array.is_valid().to_pylist(), strict=True)]


def _stack(vectors: list[Any], kind: pa.ListType) -> Any:
    """Vectors [K] as a matrix [T, K], or as they are where K differs."""
    if not vectors:
        return np.zeros((0, 0), dtype=kind.value_type.value_type.to_pandas_dtype())
    if any(vector is None or len(vector) != len(vectors[0]) for vector in vectors):
        return vectors
    return np.stack(vectors)
