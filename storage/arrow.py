"""Rows to Arrow: every column checked against the table's schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from storage.errors import StorageError
from storage.schemas import SCHEMAS, Row, is_numeric_list, key_columns


def to_table(name: str, rows: Sequence[Row]) -> pa.Table:
    """Rows as an Arrow table of exactly the schema of table `name`.

    Numeric list columns take lists or numpy arrays: 1-D for list<x>, 2-D [T, K] for list<list<x>>.
    Raises StorageError on unknown or missing columns, values of another type, nulls where there must be none, and two
    rows of one key.
    """
    schema = SCHEMAS[name]
    _check_columns(name, schema, rows)
    arrays = [_make_column(name, field, [row[field.name] for row in rows]) for field in schema]
    table = pa.Table.from_arrays(arrays, schema=schema)
    _check_keys(name, table)
    return table


def _check_columns(name: str, schema: pa.Schema, rows: Sequence[Row]) -> None:
    expected = set(schema.names)
    for index, row in enumerate(rows):
        if row.keys() == expected:
            continue
        missing = sorted(expected - row.keys())
        unknown = sorted(row.keys() - expected)
        raise StorageError(f"{name}, row {index}: missing columns {missing}, unknown columns {unknown}")


def _make_column(name: str, field: pa.Field, values: list[Any]) -> pa.Array:
    """One checked column; errors name table, column and, for a null, the row."""
    if not field.nullable and any(value is None for value in values):
        row = next(index for index, value in enumerate(values) if value is None)
        raise StorageError(f"{name}.{field.name}, row {row}: null, but the column must have a value")
    try:
        return _make_array(field.type, values)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise StorageError(f"{name}.{field.name}: not {field.type}: {error}") from error


def _make_array(kind: pa.DataType, values: list[Any]) -> pa.Array:
    """Python or numpy values as an Arrow array; numeric lists go flat through numpy, for speed."""
    if not is_numeric_list(kind):
        if pa.types.is_integer(kind) and any(isinstance(value, float | np.floating) for value in values):
            raise ValueError("a float where an integer belongs")
        return pa.array(values, type=kind)
    full = [value for value in values if value is not None and len(value)]
    items = _nest(kind.value_type, full) if pa.types.is_list(kind.value_type) else _flatten(kind, full)
    lengths = [0 if value is None else len(value) for value in values]
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), type=pa.int32())
    nulls = [value is None for value in values]
    return pa.ListArray.from_arrays(offsets, items, type=kind, mask=pa.array(nulls, pa.bool_()) if any(nulls) else None)


def _nest(kind: pa.ListType, full: list[Any]) -> pa.Array:
    """Matrices [T, K], or lists of vectors, as one list of their rows; matrices of one K are not taken apart."""
    if not full or any(not isinstance(value, np.ndarray) or value.shape[1:] != full[0].shape[1:] for value in full):
        return _make_array(kind, [row for value in full for row in value])
    if full[0].ndim != 2:
        raise ValueError(f"a list of lists has {full[0].ndim} dimensions here, not 2")
    width, num_rows = full[0].shape[1], sum(len(value) for value in full)
    items = pa.array(np.concatenate([value.reshape(-1) for value in full]), type=kind.value_type)
    offsets = pa.array(np.arange(num_rows + 1, dtype=np.int64) * width, type=pa.int32())
    return pa.ListArray.from_arrays(offsets, items, type=kind)


def _flatten(kind: pa.ListType, vectors: list[Any]) -> pa.Array:
    """Vectors as one flat array of `kind`'s items; casts that would change an integer raise."""
    arrays = [np.asarray(vector) for vector in vectors]
    if any(array.ndim != 1 for array in arrays):
        raise ValueError(f"a list has {max(array.ndim for array in arrays)} dimensions here, not 1")
    return pa.array(np.concatenate(arrays) if arrays else [], type=kind.value_type)


def _check_keys(name: str, table: pa.Table) -> None:
    """Two rows of one key would double every row that is joined to them."""
    keys = key_columns(name)
    if table.num_rows == 0:
        return
    counts = table.select(keys).group_by(keys).aggregate([([], "count_all")])
    if counts.num_rows == table.num_rows:
        return
    twice = next(row for row in counts.to_pylist() if row.pop("count_all") > 1)
    raise StorageError(f"{name}: two rows have the same key {twice}")
