"""A table of a run as DuckDB sees it: opened when a query reads it, and no further than the query needs.

Small columns come from the index alone. For others, those shards are opened that have a row which meets the query's
condition, by the index. Of a round whose index doesn't fit all shards are read: the answer is the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from storage.errors import StorageError
from storage.index import ShardRows
from storage.logger import LOGGER
from storage.runs import RunFolder
from storage.schemas import LENGTHS, NAME_COLUMNS, key_columns
from storage.tables import Round, is_unchanged, make_index, open_rounds, read_shards, small_columns, view_schema

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
        self.error: StorageError | None = None
        """What DuckDB was told of, and wraps in a page of its own."""
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
        batches = self._tell(self._read(needed, asked, filter))
        return ds.Scanner.from_batches(batches, schema=needed, columns=wanted, filter=filter)

    def _tell(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except StorageError as error:
            self.error = error
            raise

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
        return self._open()

    def _open(self, *, by_names: bool = False) -> list[Round]:
        self.is_open = True
        rounds, problems = open_rounds(self._run, self.table, self._bad_files, by_names=by_names)
        for problem in problems:
            if problem not in self.problems:
                LOGGER.warning("left out: %s", problem)
        self.problems = problems
        return rounds

    def _with_indexes(self) -> Iterator[Round]:
        """The rounds, each with an index where that is worth it."""
        for number, round in enumerate(self._rounds):
            if round.wants_index and not self._bad_files:
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
        rounds = self._open(by_names=True) if "_rounds" not in self.__dict__ else self._rounds
        shards = self._choose(rounds, asked, condition)
        if any(round.wants_index for round in rounds) or not all(is_unchanged(self._run, shard) for shard in shards):
            shards = self._choose(self._with_indexes(), asked, condition)
        yield from read_shards(self._run, self.table, shards, needed, self._pushed(asked, condition))

    def _choose(self, rounds: Iterable[Round], asked: list[str], condition: pc.Expression) -> list[ShardRows]:
        """The shards that may have rows which meet a condition; where there is an index, those that have some by it."""
        schema = pa.schema([self.schema.field(name) for name in asked])
        chosen: list[ShardRows] = []
        indexes, parts, first = [], [], 0
        for round in rounds:
            if round.index is None:
                chosen += round.shards
                continue
            numbers = np.repeat(np.arange(first, first + len(round.index.counts)), round.index.counts)
            parts.append(round.index.read(schema).append_column(_SHARD, pa.array(numbers)))
            indexes += [(round.index, number) for number in range(len(round.index.counts))]
            first += len(round.index.counts)
        hits = pa.concat_tables(parts).filter(condition)[_SHARD].unique().to_pylist() if parts else []
        return [*chosen, *(index.shards[number] for index, number in (indexes[hit] for hit in hits))]

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
