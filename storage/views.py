"""A table of a run as DuckDB sees it: opened when a query reads it, and no further than the query needs.

Small columns come from the index alone. For others, those shards are opened that have a row which meets the query's
condition, by the index. Of a round whose index doesn't fit all shards are read: the answer is the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from storage.index import ShardRows
from storage.logger import LOGGER
from storage.runs import RunFolder
from storage.schemas import LENGTHS, NAME_COLUMNS, key_columns
from storage.tables import MANY, Round, make_index, open_rounds, read_shards, small_columns, view_schema

_SHARD = "shard"
"""Beside rows of the index: the number of the shard that they are of."""


class TableView(ds.InMemoryDataset):
    """A dataset of which DuckDB asks a scanner for some columns and a condition, once it runs a query."""

    def __init__(self, run: RunFolder, table: str, bad_files: frozenset[str] = frozenset()) -> None:
        """`bad_files` are known to be damaged."""
        super().__init__(view_schema(table).empty_table())
        self._run, self.table, self._bad_files = run, table, bad_files
        self._small = frozenset(small_columns(table))
        self.is_open = False
        self.problems: list[str] = []
        """A line for each shard that was left out, once the table is open."""

    def scanner(
        self, columns: Sequence[str] | None = None, filter: pc.Expression | None = None, **_: Any
    ) -> ds.Scanner:
        """What DuckDB calls. Every column that the condition names, and maybe more, is read for it."""
        words = frozenset(re.findall(r"\w+", str(filter)))
        wanted = self.schema.names if columns is None else list(columns)
        asked = [] if filter is None else [name for name in self.schema.names if name in words]
        needed = pa.schema([field for field in self.schema if field.name in (*wanted, *asked)])
        return ds.Scanner.from_batches(self._read(needed, asked, filter), schema=needed, columns=wanted, filter=filter)

    def _read(self, needed: pa.Schema, asked: list[str], condition: pc.Expression | None) -> Iterator[pa.RecordBatch]:
        """The needed columns of at least the rows that meet a condition, which names the columns `asked`."""
        if self._small.issuperset(needed.names):
            return self._read_index(needed)
        if asked and self._small.issuperset(asked):
            return self._read_chosen(needed, asked, condition)
        shards = [shard for round in self._rounds for shard in round.shards]
        return read_shards(self._run, self.table, shards, needed, self._pushed(asked, condition))

    @cached_property
    def _rounds(self) -> list[Round]:
        self.is_open = True
        rounds, self.problems = open_rounds(self._run, self.table, self._bad_files)
        for problem in self.problems:
            LOGGER.warning("left out: %s", problem)
        return rounds

    def _with_indexes(self) -> Iterator[Round]:
        """The rounds, with an index where that is worth it."""
        for number, round in enumerate(self._rounds):
            if round.index is None and len(round.shards) >= MANY and not self._bad_files:
                self._rounds[number] = replace(round, index=make_index(self._run, self.table, round.number))
            yield self._rounds[number]

    def _read_index(self, needed: pa.Schema) -> Iterator[pa.RecordBatch]:
        """All rows of small columns."""
        for round in self._with_indexes():
            if round.index is not None:
                yield from round.index.read(needed).to_batches()
            else:
                yield from read_shards(self._run, self.table, round.shards, needed)

    def _read_chosen(self, needed: pa.Schema, asked: list[str], condition: pc.Expression) -> Iterator[pa.RecordBatch]:
        """The rows that meet a condition of small columns."""
        shards: list[ShardRows] = []
        candidates: list[ShardRows] = []
        parts: list[pa.Table] = []
        for round in self._with_indexes():
            if round.index is None:
                shards += round.shards
                continue
            rows = round.index.read(pa.schema([self.schema.field(name) for name in asked]))
            numbers = np.repeat(np.arange(len(round.shards)), [shard.rows for shard in round.shards])
            parts.append(rows.append_column(_SHARD, pa.array(numbers + len(candidates))))
            candidates += round.shards
        if parts:
            hits = pa.concat_tables(parts).filter(condition)[_SHARD].unique().to_pylist()
            shards += [candidates[hit] for hit in hits]
        yield from read_shards(self._run, self.table, shards, needed, self._pushed(asked, condition))

    def _pushed(self, asked: list[str], condition: pc.Expression | None) -> pc.Expression | None:
        """The condition where a file can be read by it: it names no column that files don't have."""
        return None if LENGTHS.get(self.table, {}).keys() & asked else condition


class JoinedView(TableView):
    """A table that is joined to each row of another one by its keys, of which it has each once.

    Where nothing else is asked of it, it gives no rows: with or without them the join is the same.
    """

    def _read(self, needed: pa.Schema, asked: list[str], condition: pc.Expression | None) -> Iterator[pa.RecordBatch]:
        keys = {*key_columns(self.table), NAME_COLUMNS.get(self.table)}
        return iter(()) if keys.issuperset(needed.names) else super()._read(needed, asked, condition)
