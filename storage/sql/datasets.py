"""What DuckDB scans: opened when a query reads it, and no further than the query needs.

Of tables, small columns come from the index alone. For others, those shards are opened that have a row which meets the
query's condition, by the index. Of a round whose index doesn't fit all shards are read: the answer is the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow.fs import LocalFileSystem

from storage.errors import StorageError
from storage.index import IndexFile, ShardRows, describe_shards
from storage.logger import LOGGER
from storage.runs import RunFolder
from storage.schemas import LENGTHS, NAME_COLUMNS, key_columns
from storage.sql.tables import Round, is_unchanged, make_index, open_rounds, read_shards, small_columns, view_schema

Part = tuple[Round, Sequence[ShardRows]]
"""Some shards of a round."""
_SHARD = "number of shard"
"""Beside rows of the index: which of the shards they are of."""


@dataclass(frozen=True)
class RowScanner:
    """What DuckDB reads a dataset by, on the thread that asks.

    A scanner of pyarrow's would wait for its rows on one of the few threads that read files, which whoever reads the
    files waits for: a query over as many tables as there are such threads would never end.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]

    def to_reader(self) -> pa.RecordBatchReader:
        """What DuckDB calls."""
        return pa.RecordBatchReader.from_batches(self.schema, self.batches)


def _meet(
    batches: Iterable[pa.RecordBatch], columns: list[str], condition: pc.Expression | None
) -> Iterator[pa.RecordBatch]:
    """Some columns of the rows that meet a condition."""
    for batch in batches:
        table = pa.Table.from_batches([batch])
        chosen = table if condition is None else table.filter(condition)
        yield from chosen.select(columns).to_batches()


class LazyDataset(ds.InMemoryDataset):
    """A dataset of which DuckDB asks a scanner for some columns and a condition, once it runs a query."""

    def __init__(self, schema: pa.Schema) -> None:
        super().__init__(schema.empty_table())
        self.error: StorageError | None = None
        """What DuckDB was told of, and wraps in a page of its own."""

    def scanner(
        self, columns: Sequence[str] | None = None, filter: pc.Expression | None = None, **_: Any
    ) -> RowScanner:
        """What DuckDB calls. Every column that the condition names, and maybe more, is read for it."""
        words = frozenset(re.findall(r"\w+", str(filter)))
        wanted = self.schema.names if columns is None else list(columns)
        asked = [] if filter is None else [name for name in self.schema.names if name in words]
        needed = pa.schema([field for field in self.schema if field.name in (*wanted, *asked)])
        schema = pa.schema([self.schema.field(name) for name in wanted])
        return RowScanner(schema, _meet(self.read(needed, asked, filter), wanted, filter))

    def read(self, needed: pa.Schema, asked: list[str], condition: pc.Expression | None) -> Iterator[pa.RecordBatch]:
        """The needed columns of at least the rows that meet a condition, which names the columns `asked`."""
        try:
            yield from self._read(needed, asked, condition)
        except StorageError as error:
            self.error = error
            raise

    def _read(self, needed: pa.Schema, asked: list[str], condition: pc.Expression | None) -> Iterator[pa.RecordBatch]:
        raise NotImplementedError


class TableView(LazyDataset):
    """A table of a run."""

    def __init__(self, run: RunFolder, table: str, bad_files: frozenset[str] = frozenset()) -> None:
        """`bad_files` are known to be damaged."""
        super().__init__(view_schema(table))
        self._run, self.table, self._bad_files = run, table, bad_files
        self._small = frozenset(small_columns(table))
        self.is_open = False
        self.problems: list[str] = []
        """A line for each shard that was left out, once the table is open."""

    def _read(self, needed: pa.Schema, asked: list[str], condition: pc.Expression | None) -> Iterator[pa.RecordBatch]:
        is_small = self._small.issuperset(needed.names)
        parts: Iterable[Part]
        if asked and self._small.issuperset(asked):
            parts = self._choose(asked, condition)
        else:
            parts = ((round, round.shards) for round in (self._with_indexes() if is_small else self._rounds))
        if is_small:
            for round, shards in parts:
                if round.index is not None:
                    yield from round.index.read(needed).to_batches()
                else:
                    yield from read_shards(self._run, self.table, shards, needed)
            return
        pushed = None if LENGTHS.get(self.table, {}).keys() & asked else condition  # no file has such a column
        yield from read_shards(self._run, self.table, [one for _, some in parts for one in some], needed, pushed)

    def describe_rounds(self) -> dict[int, str]:
        """The rounds that have rows, each with what is another text for other shards."""
        return {round.number: describe_shards(round.shards) for round in self._rounds if round.shards}

    @cached_property
    def _rounds(self) -> list[Round]:
        return self._open()

    @cached_property
    def _rounds_by_names(self) -> list[Round]:
        return self._open(by_names=True)

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

    def _choose(self, asked: list[str], condition: pc.Expression) -> list[Part]:
        """The shards that may have rows which meet a condition of small columns, and no others where an index tells."""
        schema = pa.schema([self.schema.field(name) for name in asked])
        known = self._rounds if "_rounds" in self.__dict__ else self._rounds_by_names
        rounds = _meet_number(known, schema, condition)
        parts = _find_hits(rounds, schema, condition)
        shards = [shard for _, some in parts for shard in some]
        if any(round.wants_index for round in rounds) or not all(is_unchanged(self._run, shard) for shard in shards):
            parts = _find_hits(_meet_number([*self._with_indexes()], schema, condition), schema, condition)
        return parts


def _meet_number(rounds: Sequence[Round], schema: pa.Schema, condition: pc.Expression) -> Sequence[Round]:
    """The rounds whose number a condition allows, which names the columns of `schema`."""
    if "round" not in schema.names:
        return rounds
    form, system = ds.ParquetFileFormat(), LocalFileSystem()  # no file is opened
    fragments = [
        form.make_fragment(str(place), system, partition_expression=pc.field("round") == round.number)
        for place, round in enumerate(rounds)
    ]
    numbers = ds.FileSystemDataset(fragments, schema, form, system)
    return [rounds[int(fragment.path)] for fragment in numbers.get_fragments(filter=condition)]


def _find_hits(rounds: Iterable[Round], schema: pa.Schema, condition: pc.Expression) -> list[Part]:
    """Of rounds with an index the shards with rows that meet a condition, which names the columns of `schema`."""
    parts: list[Part] = []
    indexed: list[tuple[Round, IndexFile]] = []
    for round in rounds:
        if round.index is None:
            parts.append((round, round.shards))
        else:
            indexed.append((round, round.index))
    if not indexed:
        return parts
    counts = [index.counts for _, index in indexed]
    starts = np.cumsum([0, *map(len, counts)])
    numbers = np.repeat(np.arange(starts[-1]), np.concatenate(counts))
    rows = pa.concat_tables(index.read(schema) for _, index in indexed).append_column(_SHARD, pa.array(numbers))
    hits = np.unique(rows.filter(condition)[_SHARD])
    for (round, index), first, last in zip(indexed, starts, starts[1:]):
        chosen = hits[(first <= hits) & (hits < last)] - first
        if len(chosen):
            parts.append((round, [index.shards[number] for number in chosen]))
    return sorted(parts, key=lambda part: part[0].number)


class JoinedView(TableView):
    """A table that is joined to each row of another one by its keys, of which it has each once.

    Where nothing else is asked of it, it gives no rows: with or without them the join is the same.
    """

    def __init__(self, run: RunFolder, view: TableView) -> None:
        """`view`: the same table, which is opened once for both."""
        super().__init__(run, view.table)
        self._view = view
        self._keys = frozenset((*key_columns(view.table), NAME_COLUMNS.get(view.table)))

    def read(self, needed: pa.Schema, asked: list[str], condition: pc.Expression | None) -> Iterator[pa.RecordBatch]:
        """As of the table, where more than keys is needed."""
        return iter(()) if self._keys.issuperset(needed.names) else self._view.read(needed, asked, condition)
