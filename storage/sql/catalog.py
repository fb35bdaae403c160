"""SQL over a run: views made from its manifests. The files are the truth; a catalog can be thrown away and made again.

DuckDB reads the shards through pyarrow here, because pyarrow checks page checksums: a flipped bit is an error, where
DuckDB's own Parquet reader returns a wrong sum. It also leaves DuckDB without any need for files, so that all access
to them is switched off and no statement can write a shard.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from storage.errors import StorageError
from storage.index import ShardRows
from storage.integrity import verify_table
from storage.runs import RunFolder
from storage.schemas import LENGTHS, NAME_COLUMNS, SCHEMAS
from storage.sql.datasets import JoinedView, TableView
from storage.sql.episodes import EPISODES, JOINED
from storage.sql.tables import open_rounds, view_schema

CATALOG_FILE = "catalog.sql"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_SETTINGS = (
    f"SET temp_directory = {_quote(str(Path(tempfile.gettempdir()) / f'mopd-duckdb-{os.geteuid()}'))}",
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)

_READS = ("SELECT", "EXPLAIN", "MULTI")
"""DuckDB's kinds of statements that read. SHOW, DESCRIBE, SUMMARIZE and FROM are SELECT to it; PIVOT is MULTI."""

_TYPES = {
    "bool": "BOOLEAN",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "string": "VARCHAR",
}


@dataclass(frozen=True)
class QueryResult:
    """The answer to a query, and what it could not see."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    excluded: list[str]
    """One line for each damaged shard that was left out; the caller's exit status should tell."""


def connect(run: RunFolder) -> duckdb.DuckDBPyConnection:
    """An in-memory database with a view for each table and `episodes`; damaged shards are left out with a warning.

    A table is opened when a statement reads it. Statements can't reach any file. A shard damaged inside raises
    duckdb.InvalidInputException when it is read.
    """
    return _open(run)[0]


def query(run: RunFolder, sql: str) -> QueryResult:
    """Run SQL over the views of `connect`. Raises StorageError, in one line, when DuckDB refuses it.

    When a shard turns out to be damaged, all shards of the tables that were read are checked, the damaged ones are left
    out and the query is run again.
    """
    connection, views = _open(run)
    try:
        return _answer(connection, views, sql)
    except (duckdb.InvalidInputException, duckdb.IOException) as error:
        bad_files = frozenset(bad.file for view in views if view.is_open for bad in verify_table(run, view.table))
        if not bad_files:
            raise _sql_error(error, views) from error
    except duckdb.Error as error:
        raise _sql_error(error, views) from error
    connection, views = _open(run, bad_files)
    try:
        return _answer(connection, views, sql)
    except duckdb.Error as error:
        raise _sql_error(error, views) from error


def write_catalog(run: RunFolder) -> None:
    """Write `catalog.sql`: the same views for DuckDB's own reader, by paths relative to the run folder.

    In the run folder, `duckdb -init catalog.sql` opens it. Make it again after a commit to see the new shard. A run in
    a bucket is named by its address, which DuckDB reads by its extension httpfs.
    """
    views = [_render_view(run, table, _list_shards(run, table)) for table in SCHEMAS]
    head = "-- Written by mopd; run it in this folder: duckdb -init catalog.sql\n"
    views.append(f"CREATE OR REPLACE VIEW episodes AS{EPISODES.rstrip()};\n")
    content = (head + "\n".join(views)).encode()
    if run.store.stat(CATALOG_FILE) is None or run.store.read(CATALOG_FILE) != content:
        run.store.replace(CATALOG_FILE, content)


def _list_shards(run: RunFolder, table: str) -> list[ShardRows]:
    return [shard for round in open_rounds(run, table)[0] for shard in round.shards]


def _open(run: RunFolder, bad_files: frozenset[str] = frozenset()) -> tuple[duckdb.DuckDBPyConnection, list[TableView]]:
    """A connection and its tables; `bad_files` are known to be damaged."""
    connection = duckdb.connect()
    views = {table: TableView(run, table, bad_files) for table in SCHEMAS}
    joined = {table: JoinedView(run, views[table]) for table in JOINED}
    _create_episodes(connection, rollouts=views["rollouts"], **joined)
    for table, view in views.items():
        connection.register(table, view)
    for statement in _SETTINGS:
        connection.execute(statement)
    return connection, list(views.values())


def _create_episodes(
    connection: duckdb.DuckDBPyConnection,
    rollouts: TableView,
    prompts: TableView,
    verdicts: TableView,
    contexts: TableView,
    scores: TableView,
) -> None:
    """The view `episodes`, of tables which DuckDB finds by the names of these arguments: nobody else sees them."""
    connection.sql(EPISODES).create_view("episodes")


def _answer(connection: duckdb.DuckDBPyConnection, views: list[TableView], sql: str) -> QueryResult:
    with connection:
        _check_reads(connection.extract_statements(sql))
        cursor = connection.execute(sql)
        columns = [str(column[0]) for column in cursor.description]
        rows = cursor.fetchall()
        return QueryResult(columns, rows, [problem for view in views for problem in view.problems])


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


def _sql_error(error: duckdb.Error, views: list[TableView]) -> StorageError:
    """What a table couldn't be read for; else DuckDB's message without the drawing of the place, in one line."""
    for view in views:
        if view.error is not None:
            return view.error
    message = str(error).partition("\n\nLINE ")[0]
    return StorageError(f"SQL: {' '.join(message.split())}")


def _render_view(run: RunFolder, table: str, shards: list[ShardRows]) -> str:
    """The rows of each name, one below the other; a fork's ancestors are named by their place beside it."""
    names = sorted({shard.name for shard in shards})
    parts = [_render_rows(run, table, name, [shard for shard in shards if shard.name == name]) for name in names]
    rows = "\nUNION ALL\n".join(parts) or _render_no_rows(table)
    return f"CREATE OR REPLACE VIEW {table} AS\n{rows};\n"


def _render_no_rows(table: str) -> str:
    columns = ", ".join(f'CAST(NULL AS {_sql_type(field.type)}) AS "{field.name}"' for field in view_schema(table))
    return f"SELECT {columns} WHERE false"


def _render_rows(run: RunFolder, table: str, name: str, shards: list[ShardRows]) -> str:
    paths = (run.home(shard.home).path_from(run.address, shard.file) for shard in shards)
    files = ",\n    ".join(map(_quote, paths))
    rows = f"* REPLACE ({_quote(run.run_id)} AS run)" if any(shard.home for shard in shards) else "*"
    rows += "".join(f", len({column}) AS {length}" for length, column in LENGTHS.get(table, {}).items())
    rows += f", {_quote(name)} AS {NAME_COLUMNS[table]}" if table in NAME_COLUMNS else ""
    return f"SELECT {rows} FROM read_parquet([\n    {files}\n], hive_partitioning = false)"


def _sql_type(kind: pa.DataType) -> str:
    """DuckDB's name of an Arrow type."""
    if pa.types.is_list(kind):
        return f"{_sql_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        members = (f'"{field.name}" {_sql_type(field.type)}' for field in kind)
        return f"STRUCT({', '.join(members)})"
    return _TYPES[str(kind)]
