"""How numbers are laid out in a shard, so that zstd finds what repeats: any Parquet reader knows the encodings."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from storage.schemas import is_numeric_list


def split_leaves(schema: pa.Schema) -> dict[str, str]:
    """The encoding of lists of numbers, by path: their first bytes, then their second ones, and so on.

    Signs and exponents that hardly change, the high bytes of ids, and low bytes that rounding left at zero then stand
    beside each other. A dictionary, Parquet's default, is larger than numbers of which no two are alike.
    """
    fields = (field for field in schema if is_numeric_list(field.type))
    return {path: "BYTE_STREAM_SPLIT" for field in fields for path in _paths(field.name, field.type)}


def dictionary_leaves(schema: pa.Schema) -> list[str]:
    """Paths of the columns that are written with a dictionary of their values: all others."""
    fields = (field for field in schema if not is_numeric_list(field.type))
    return [path for field in fields for path in _paths(field.name, field.type)]


def _paths(path: str, kind: pa.DataType) -> Iterator[str]:
    """Where Parquet keeps the values of a column: as many columns as a nested one has leaves."""
    if pa.types.is_list(kind):
        yield from _paths(f"{path}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for member in kind:
            yield from _paths(f"{path}.{member.name}", member.type)
    else:
        yield path
