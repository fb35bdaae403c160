"""A database in memory with the views over one run or several, which can't reach any file.

What DuckDB scans is made for each run apart, so that a condition on `run` leaves the other runs unopened: each one's
rows are projected to its name, which DuckDB compares before it runs anything.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from storage.errors import StorageError
from storage.runs import RunFolder
from storage.schemas import SCHEMAS
from storage.sql.datasets import JoinedView, LazyDataset, TableView
from storage.sql.facts import (
    PLANNED,
    VOCABULARY,
    Facts,
    Knowledge,
    ManifestRows,
    planned_rows,
    vocabulary_rows,
)
from storage.sql.run_tables import RUN_TABLES, RunTable
from storage.sql.views import VIEWS
from storage.sql.views.base import PARTS

Bad = frozenset[tuple[str, str]]
"""Files that are known to be damaged: the address of their run, and their name."""


def quote(text: str) -> str:
    """A string of SQL."""
    return "'" + text.replace("'", "''") + "'"


SPILL_FOLDER = Path(tempfile.gettempdir()) / f"mopd-duckdb-{os.geteuid()}"
"""Where what does not fit into memory goes."""
_LOCK = (
    f"SET temp_directory = {quote(str(SPILL_FOLDER))}",
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
SPILL_FACTOR = 4
"""So many times the memory that questions may take, they may put into the temporary folder."""


@dataclass(frozen=True)
class Source:
    """What DuckDB scans of one run, by the name of the view that it is a part of."""

    run: RunFolder
    tables: dict[str, TableView]
    facts: dict[str, LazyDataset]

    @classmethod
    def of(cls, run: RunFolder, knowledge: Knowledge, bad: Bad) -> Source:
        """Nothing is opened yet."""
        files = frozenset(file for address, file in bad if address == run.address)
        tables = {table: TableView(run, table, files) for table in SCHEMAS}
        joined = {f"{PARTS}.{table}": JoinedView(run, view) for table, view in tables.items()}
        return cls(run, tables, {**joined, **_facts(run, knowledge)})

    @property
    def error(self) -> StorageError | None:
        """What a part of it couldn't be read for."""
        return next((part.error for part in (*self.tables.values(), *self.facts.values()) if part.error), None)


def _facts(run: RunFolder, knowledge: Knowledge) -> dict[str, LazyDataset]:
    return {
        **{table.name: _run_table(run, table, knowledge) for table in RUN_TABLES},
        f"{PARTS}.manifests": ManifestRows(run, knowledge),
        f"{PARTS}.planned": Facts(run, PLANNED, lambda: planned_rows(run, knowledge)),
        f"{PARTS}.vocabulary": Facts(
            run, VOCABULARY, lambda: vocabulary_rows(run, knowledge), keys=("run", "token_id")
        ),
    }


def _run_table(run: RunFolder, table: RunTable, knowledge: Knowledge) -> Facts:
    return Facts(run, table.schema, lambda: table.rows(run, knowledge))


@dataclass(frozen=True)
class Database:
    """An open connection, and what it scans."""

    connection: duckdb.DuckDBPyConnection
    sources: list[Source]
    bad: Bad
    """Files that are left out."""

    @classmethod
    def open(
        cls,
        runs: Sequence[RunFolder],
        knowledge: Knowledge,
        bad: Bad = frozenset(),
        memory_gigabytes: float | None = None,
    ) -> Database:
        """All views over the runs; a table is opened when a statement reads it."""
        database = cls(duckdb.connect(), [Source.of(run, knowledge, bad) for run in runs], bad)
        database.connection.execute(f"CREATE SCHEMA {PARTS}")
        for name in (*database.sources[0].tables, *database.sources[0].facts):
            database._create(name)
        for view in VIEWS:
            database.connection.execute(f"CREATE VIEW {view.name} AS {view.sql}")
        for statement in (*_limits(memory_gigabytes), *_LOCK):
            database.connection.execute(statement)
        return database

    @property
    def error(self) -> StorageError | None:
        """What a run couldn't be read for."""
        return next((source.error for source in self.sources if source.error), None)

    @property
    def problems(self) -> list[str]:
        """A line for each shard that was left out; of several runs, it begins with the run's name."""
        lines = [
            (source.run, line) for source in self.sources for view in source.tables.values() for line in view.problems
        ]
        return [f"{run.run_id}: {line}" if len(self.sources) > 1 else line for run, line in lines]

    def opened(self) -> list[tuple[RunFolder, str]]:
        """The tables that were read."""
        return [(source.run, table) for source in self.sources for table, view in source.tables.items() if view.is_open]

    def _create(self, name: str) -> None:
        """A view over what all runs have of that name."""
        if len(self.sources) == 1:
            self._scan(self.sources[0], name, name)
            return
        selects = []
        for number, source in enumerate(self.sources):
            self._scan(source, name, f"{PARTS}.{number} {name}")
            selects.append(f'SELECT {quote(source.run.run_id)} AS run, * EXCLUDE (run) FROM {PARTS}."{number} {name}"')
        self.connection.execute(f"CREATE VIEW {name} AS {' UNION ALL '.join(selects)}")

    def _scan(self, source: Source, name: str, view: str) -> None:
        """A view over what one run has."""
        schema, _, own = view.partition(".") if view.startswith(f"{PARTS}.") else ("main", "", view)
        self.connection.execute(f"SET schema = {quote(schema)}")
        self.connection.from_arrow({**source.tables, **source.facts}[name]).create_view(own)
        self.connection.execute("SET schema = 'main'")


def _limits(memory_gigabytes: float | None) -> list[str]:
    """Statements that bound what all questions together take."""
    if memory_gigabytes is None:
        return []
    return [
        f"SET memory_limit = '{memory_gigabytes} GB'",
        f"SET max_temp_directory_size = '{SPILL_FACTOR * memory_gigabytes} GB'",
    ]


def told_apart(runs: Sequence[RunFolder]) -> list[RunFolder]:
    """The runs, each once and with a name of its own in SQL: copies keep the name of what they are copies of.

    Of several with one name each is called by its folder's name, or, where that tells them apart no better, by its
    address.
    """
    runs = list({run.address: run for run in runs}.values())
    names = [run.run_id for run in runs]
    for others in ([run.name for run in runs], [run.address for run in runs]):
        count = Counter(names)
        names = [name if count[name] == 1 else other for name, other in zip(names, others)]
    return [replace(run, document={**run.document, "run_id": name}) for run, name in zip(runs, names)]
