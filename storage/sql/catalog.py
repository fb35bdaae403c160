"""SQL over runs: views made from their manifests. The files are the truth; a catalog can be thrown away and made again.

DuckDB reads the shards through pyarrow here, because pyarrow checks page checksums: a flipped bit is an error, where
DuckDB's own Parquet reader returns a wrong sum. It also leaves DuckDB without any need for files, so that all access
to them is switched off and no statement can write a shard.
"""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import duckdb
import pyarrow as pa

from storage.errors import StorageError
from storage.integrity import verify_table
from storage.runs import RunFolder
from storage.sql.database import SPILL_FOLDER, Bad, Database, told_apart
from storage.sql.facts import NOTHING, Knowledge

_READS = ("SELECT", "EXPLAIN", "MULTI")
"""DuckDB's kinds of statements that read. SHOW, DESCRIBE, SUMMARIZE and FROM are SELECT to it; PIVOT is MULTI."""
_READING = "reading the Arrow source failed: "
"""In DuckDB's message where what it scans could not be read."""
_UNWRITTEN = re.compile(r'Could not write file ".*": ([^"]*)')
"""In DuckDB's message where what does not fit into memory could not be written."""
_DISK_FULL = "max_temp_directory_size"
"""The same, where DuckDB saw before that there is too little room: its own bound, unless it is given one."""


@dataclass(frozen=True)
class QueryResult:
    """The answer to a query, and what it could not see."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    excluded: list[str]
    """One line for each damaged shard that was left out; the caller's exit status should tell."""
    is_cut: bool = False
    """Whether there are more rows than were asked for."""
    table: pa.Table | None = None
    """The rows as Arrow has them, where they were asked for so; `rows` is empty then."""


class Stop:
    """Ends a query from another thread than asks it."""

    def __init__(self) -> None:
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self.was_called = False

    def __call__(self) -> None:
        """End the query, or have it end as soon as it begins; nothing, where it has ended."""
        self.was_called = True
        if self._cursor is not None:
            with suppress(duckdb.ConnectionException):  # it was closed
                self._cursor.interrupt()

    def watch(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """What is to be ended. Raises StorageError where it was before it began."""
        self._cursor = cursor
        if self.was_called:
            raise StorageError(STOPPED)


NONE_GIVEN: Mapping[str, pa.Table] = MappingProxyType({})
STOPPED = "SQL: the query was stopped before its end"


class Catalog:
    """Runs as SQL sees them from the first question on, for many questions and from several threads at once.

    A table stays as it was when a question first opened it: a new catalog shows what came since.
    """

    def __init__(
        self, runs: Sequence[RunFolder], knowledge: Knowledge = NOTHING, memory_gigabytes: float | None = None
    ) -> None:
        """`memory_gigabytes`: that all its questions together may take; None: as DuckDB has it, most of the host's."""
        self.runs = told_apart(runs)
        self._knowledge, self._memory_gigabytes = knowledge, memory_gigabytes
        self._database: Database | None = None
        self._bad: Bad = frozenset()
        self._opening = threading.Lock()

    def ask(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        given: Mapping[str, pa.Table] = NONE_GIVEN,
        as_table: bool = False,
        most_rows: int | None = None,
        stop: Stop | None = None,
    ) -> QueryResult:
        """As `query_runs`; of more than `most_rows` the first ones, but for an answer `as_table`.

        `given`: tables that the statement reads beside the runs', by their names in it; no other question sees them.
        """
        question = _Question(sql, parameters, given, as_table, most_rows, stop)
        before = self._database
        if before is not None:
            try:
                return question.answer(before)
            except duckdb.Error as error:
                if not _is_of_reading(error):
                    raise self._error(error, before) from error
        database = self._open(before)
        try:
            return question.answer(database)
        except duckdb.Error as error:
            if not _is_of_reading(error) or database.error is not None or not database.opened():
                raise self._error(error, database) from error
        database = self._open(database, _find_bad(database))
        try:
            return question.answer(database)
        except duckdb.Error as error:
            raise self._error(error, database) from error

    def describe_rounds(self, table: str) -> dict[int, str]:
        """The rounds of the first run's table that have rows, each with what is another text for other shards."""
        return (self._database or self._open(None)).sources[0].tables[table].describe_rounds()

    def close(self) -> None:
        """Nothing more is asked; questions under way are answered."""
        if self._database is not None:
            self._database.connection.close()

    def _open(self, failed: Database | None, bad: Bad = frozenset()) -> Database:
        """Another database than one that `failed`; `bad`: what is left out from now on.

        One that another question has opened meanwhile is taken.
        """
        with self._opening:
            self._bad |= bad
            if self._database is None or self._database is failed or self._database.bad != self._bad:
                self._database = Database.open(self.runs, self._knowledge, self._bad, self._memory_gigabytes)
            return self._database

    def _error(self, error: duckdb.Error, database: Database) -> StorageError:
        if isinstance(error, duckdb.OutOfMemoryException) and self._memory_gigabytes is not None:
            may_take = f"{self._memory_gigabytes:g} GB"
            return StorageError(f"SQL: the query needs more memory than it may take ({may_take}): ask for fewer rows")
        return _sql_error(error, database)


@dataclass(frozen=True)
class _Question:
    """As `Catalog.ask` has it."""

    sql: str
    parameters: Mapping[str, Any] | None
    given: Mapping[str, pa.Table]
    as_table: bool
    most_rows: int | None
    stop: Stop | None

    def answer(self, database: Database) -> QueryResult:
        """Its rows. Raises StorageError for a statement that doesn't read, or was stopped; duckdb.Error."""
        with database.connection.cursor() as cursor:
            _check_reads(cursor.extract_statements(self.sql))
            if self.stop is not None:
                self.stop.watch(cursor)
            for name, table in self.given.items():
                cursor.register(name, table)  # a temporary view, of this cursor alone
            cursor.execute("BEGIN TRANSACTION READ ONLY")  # EXPLAIN ANALYZE runs a statement of any kind
            return self._read_table(cursor, database) if self.as_table else self._read_rows(cursor, database)

    def _read_rows(self, cursor: duckdb.DuckDBPyConnection, database: Database) -> QueryResult:
        cursor.execute(self.sql, self._bound)
        columns = [str(column[0]) for column in cursor.description]
        rows = cursor.fetchall() if self.most_rows is None else cursor.fetchmany(self.most_rows + 1)
        some = rows[: self.most_rows]
        return QueryResult(columns, some, database.problems, is_cut=len(rows) > len(some))

    def _read_table(self, cursor: duckdb.DuckDBPyConnection, database: Database) -> QueryResult:
        table = cursor.sql(self.sql, params=self._bound).to_arrow_table()
        return QueryResult(table.column_names, [], database.problems, table=table)

    @property
    def _bound(self) -> dict[str, Any] | None:
        return dict(self.parameters) if self.parameters else None


def connect(run: RunFolder, knowledge: Knowledge = NOTHING) -> duckdb.DuckDBPyConnection:
    """An in-memory database with every table and view of a run; damaged shards are left out with a warning.

    A table is opened when a statement reads it. Statements can't reach any file. A shard damaged inside raises
    duckdb.InvalidInputException when it is read.
    """
    return Database.open([run], knowledge).connection


def query(
    run: RunFolder, sql: str, parameters: Mapping[str, Any] | None = None, knowledge: Knowledge = NOTHING
) -> QueryResult:
    """Run SQL over the views of `connect`. Raises StorageError, in one line, when DuckDB refuses it.

    `parameters` are bound to `$name` in it. When a shard turns out to be damaged, all shards of the tables that were
    read are checked, the damaged ones are left out and the query is run again; and once more where files came or went
    while they were read.
    """
    return query_runs([run], sql, parameters, knowledge)


def query_runs(
    runs: Sequence[RunFolder],
    sql: str,
    parameters: Mapping[str, Any] | None = None,
    knowledge: Knowledge = NOTHING,
) -> QueryResult:
    """The same over several runs: every table and view holds the rows of all, told apart by the column `run`."""
    with closing(Catalog(runs, knowledge)) as catalog:
        return catalog.ask(sql, parameters)


def _find_bad(database: Database) -> Bad:
    """The damaged files of the tables that were read."""
    return frozenset((run.address, bad.file) for run, table in database.opened() for bad in verify_table(run, table))


def _is_of_reading(error: duckdb.Error) -> bool:
    """Whether a shard could not be read."""
    return isinstance(error, duckdb.InvalidInputException | duckdb.IOException) and _READING in str(error)


def _check_reads(statements: list[Any]) -> None:
    """StorageError for anything but one statement that reads."""
    if not statements:
        raise StorageError("the query is empty: give a SELECT statement")
    if len(statements) > 1:
        raise StorageError(f"the query has {len(statements)} statements: give one")
    kind = statements[0].type.name
    if kind not in _READS:
        raise StorageError(
            f"{kind} is not a query: give a SELECT, FROM, SHOW, DESCRIBE, SUMMARIZE or EXPLAIN statement"
        )


def _sql_error(error: duckdb.Error, database: Database) -> StorageError:
    """What a table couldn't be read for; else DuckDB's message without the drawing of the place, in one line."""
    if database.error is not None:
        return database.error
    if isinstance(error, duckdb.InterruptException):
        return StorageError(STOPPED)
    message = str(error).partition("\n\nLINE ")[0]
    unwritten = _UNWRITTEN.search(message)
    if unwritten or _DISK_FULL in message:
        reason = unwritten[1] if unwritten else os.strerror(errno.ENOSPC)
        return StorageError(
            f"SQL: {SPILL_FOLDER} can't take what the query needs beyond memory ({reason}): make room there, set "
            "TMPDIR to a folder that has it, or ask for fewer rows"
        )
    if _READING in message:
        reason = message.partition(_READING)[2].partition(". Detail: ")[0]
        return StorageError(f"files came or went while they were read ({' '.join(reason.split())}): ask again")
    return StorageError(f"SQL: {' '.join(message.split())}")
