"""Do the rows of a run's tables fit together: keys unique, joins complete, nothing made from what is no more there.

A round at a time, and of that the keys alone, as Arrow columns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.index import ShardRows
from storage.integrity import BadFile
from storage.lookup import data_name, manifest_names, scan
from storage.manifests import TABLES, Manifest, round_of
from storage.runs import RunFolder
from storage.schemas import SCHEMAS, key_columns
from storage.sql.tables import find_current, read_shards

MADE_FROM = {
    "rollouts": ("prompts",),
    "verdicts": ("rollouts",),
    "contexts": ("rollouts", "verdicts"),
    "scores": ("rollouts", "verdicts", "contexts"),
    "signals": ("scores",),
    "answers": ("contexts",),
    "evaluations": ("prompts",),
}
"""Tables in which each row of a table has one, of the same keys as far as both have them."""
AS_MANY = {"verdicts": "rollouts", "scores": "contexts"}
"""Tables whose shards have as many rows as the shards that they were made from."""
_NAME, _PLACE, _ROW = "name of the shard", "place of the shard", "number of the row"


def check_rows(run: RunFolder, damaged: Collection[str] = ()) -> Iterator[BadFile]:
    """Rows whose key is there twice, or that have no row in a table that they were made from.

    `damaged`: tables' rounds, `TABLE/round=0000`, that aren't looked at: what is wrong there is known.
    """
    rounds = {round_of(name) for table in SCHEMAS for name in manifest_names(run, table)} - {None}
    for round in sorted(number for number in rounds if number is not None):
        tables = [table for table in SCHEMAS if f"{table}/round={round:04d}" not in damaged]
        try:
            yield from list(_check_round(run, round, tables))
        except (FileNotFoundError, pa.ArrowException):  # a shard was made again while it was read
            yield from _check_round(run, round, tables)


def _check_round(run: RunFolder, round: int, names: Collection[str]) -> Iterator[BadFile]:
    tables = {table: _RoundRows(run, table, round) for table in names}
    for table, rows in tables.items():
        yield from rows.find_doubled()
        for other in MADE_FROM.get(table, ()):
            if other in tables:
                yield from rows.find_without(tables[other])
        if AS_MANY.get(table) in tables:
            yield from rows.find_uneven(tables[AS_MANY[table]])


@dataclass(frozen=True)
class _RoundRows:
    """The keys of a round's rows, of all names."""

    run: RunFolder
    table: str
    round: int

    @cached_property
    def manifests(self) -> list[Manifest]:
        return find_current(self.run, self.table, self.round)[0]

    @property
    def columns(self) -> list[str]:
        """Its keys within a round of a run."""
        return [name for name in key_columns(self.table) if name not in ("run", "round")]

    @cached_property
    def keys(self) -> pa.Table:
        """The keys, and of each row its shard's name and place among the manifests, and its number."""
        schema = pa.schema([SCHEMAS[self.table].field(name) for name in self.columns])
        shards = [ShardRows(one.file, one.home, one.name, one.rows) for one in self.manifests]
        rows = pa.Table.from_batches(read_shards(self.run, self.table, shards, schema) if shards else [], schema)
        names = pa.array([one.name for one in self.manifests], pa.string())
        places = pa.array(np.repeat(np.arange(len(shards)), [one.rows for one in shards]), pa.int64())
        added = {_NAME: names.take(places), _PLACE: places, _ROW: pa.array(np.arange(len(rows)))}
        for name, column in added.items():
            rows = rows.append_column(name, column)
        return rows

    def find_doubled(self) -> Iterator[BadFile]:
        """Shards with a key that another row of the same name has too."""
        keys = self.keys.group_by([*self.columns, _NAME]).aggregate([(_ROW, "count"), (_ROW, "min"), (_ROW, "max")])
        doubled = keys.filter(pc.greater(keys[f"{_ROW}_count"], 1))
        rows = [row for end in ("min", "max") for row in doubled[f"{_ROW}_{end}"].to_pylist()]
        yield from self._bad(rows, "rows whose key is there twice")

    def find_without(self, other: _RoundRows) -> Iterator[BadFile]:
        """Shards with rows that have none in the other table; not where the shard that should have them is missing."""
        columns = [name for name in self.columns if name in other.columns]
        there = other.keys.select(columns).group_by(columns).aggregate([])
        known = {one.key for one in other.manifests}
        orphans = [place for place, one in enumerate(self.manifests) if known.isdisjoint(_parents(one))]
        rows = self.keys.filter(pc.invert(pc.is_in(self.keys[_PLACE], pa.array(orphans, pa.int64()))))
        alone = rows.join(there, columns, join_type="left anti")
        yield from self._bad(alone[_ROW].to_pylist(), f"rows that have none in {other.table}")

    def find_uneven(self, other: _RoundRows) -> Iterator[BadFile]:
        """Shards that have more or fewer rows than the one that they were made from."""
        counts = {one.key: one.rows for one in other.manifests}
        for manifest in self.manifests:
            made_from = [counts[key] for key in _parents(manifest) if key in counts]
            if len(made_from) == 1 and made_from[0] != manifest.rows:
                reason = f"has {manifest.rows} rows, made from {made_from[0]} of {other.table}"
                yield BadFile(data_name(self.run, manifest), reason, _name_of(self.run, manifest))

    def _bad(self, rows: list[int], what: str) -> Iterator[BadFile]:
        """The shards that have these rows."""
        ends = list(accumulate(one.rows for one in self.manifests))
        places, counts = np.unique(np.searchsorted(ends, sorted(set(rows)), side="right"), return_counts=True)
        for place, count in zip(places.tolist(), counts.tolist(), strict=True):
            manifest = self.manifests[place]
            yield BadFile(data_name(self.run, manifest), f"{count} {what}", _name_of(self.run, manifest))


def _parents(manifest: Manifest) -> list[str]:
    """The keys of the shards that it was made from."""
    return [parent.partition(":")[0] for parent in manifest.parents]


def _name_of(run: RunFolder, manifest: Manifest) -> str:
    """The manifest's file, where the run itself has the data."""
    return "" if manifest.home else manifest.name_in(run)


def find_outdated(run: RunFolder) -> tuple[list[Manifest], set[str]]:
    """Shards that name as a parent another content than stands there under its key; and all keys that are named."""
    current = [manifest for table in TABLES for manifest in scan(run, table, name=None)[0]]
    contents = {manifest.key: manifest.as_parent for manifest in current}
    outdated = [
        manifest
        for manifest in current
        if any(
            contents.get(key, parent) != parent
            for key, parent in zip(_parents(manifest), manifest.parents, strict=True)
        )
    ]
    return outdated, {key for manifest in current for key in _parents(manifest)}
