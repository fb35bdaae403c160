"""`catalog.sql`: a run's views for DuckDB's own command line, which reads the files as they lie."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pyarrow as pa

from storage.index import ShardRows
from storage.manifests import manifest_name
from storage.runs import RunFolder
from storage.schemas import LENGTHS, NAME_COLUMNS, SCHEMAS, Row
from storage.sql.database import quote
from storage.sql.described import describe_all
from storage.sql.facts import (
    MANIFESTS,
    NOTHING,
    PLANNED,
    VOCABULARY,
    Knowledge,
    ManifestRows,
    planned_rows,
)
from storage.sql.run_tables import RUN_TABLES
from storage.sql.tables import open_rounds, view_schema
from storage.sql.views import VIEWS
from storage.sql.views.base import PARTS

CATALOG_FILE = "catalog.sql"

_TYPES = {
    "bool": "BOOLEAN",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "string": "VARCHAR",
}
_READ = {"parents": "VARCHAR[]", "info": "JSON", "versions": "JSON"}
"""Columns of a manifest's JSON that are no plain text or numbers."""


def write_catalog(run: RunFolder, knowledge: Knowledge = NOTHING) -> None:
    """Write `catalog.sql`: the same views for DuckDB's own reader, by paths relative to the run folder.

    In the run folder, `duckdb -init catalog.sql` opens it. Make it again after a commit to see the new shard. A run in
    a bucket is named by its address, which DuckDB reads by its extension httpfs.
    """
    content = "\n".join(_statements(run, knowledge)).encode()
    if run.store.stat(CATALOG_FILE) is None or run.store.read(CATALOG_FILE) != content:
        run.store.replace(CATALOG_FILE, content)


def _statements(run: RunFolder, knowledge: Knowledge) -> Iterator[str]:
    yield "-- Written by mopd; run it in this folder: duckdb -init catalog.sql"
    yield f"CREATE SCHEMA IF NOT EXISTS {PARTS};"
    for name in SCHEMAS:
        yield _view(name, _render_table(run, name, _list_shards(run, name)))
        yield _view(f"{PARTS}.{name}", f"FROM main.{name}")  # a view looks in its own schema first
    for table in RUN_TABLES:
        yield _view(table.name, _render_rows(run, table.schema, table.rows(run, knowledge)))
    yield _view(f"{PARTS}.planned", _render_rows(run, PLANNED, planned_rows(run, knowledge)))
    yield _view(f"{PARTS}.vocabulary", _render_rows(run, VOCABULARY, []))
    yield _view(f"{PARTS}.manifests", _render_manifests(run, knowledge))
    for view in VIEWS:
        yield _view(view.name, view.sql.strip())
    yield from _comments()


def _view(name: str, sql: str) -> str:
    return f"CREATE OR REPLACE VIEW {name} AS\n{sql};\n"


def _comments() -> Iterator[str]:
    """What tables, views and their columns say, as `duckdb_views()` and `duckdb_columns()` show it."""
    for one in describe_all():
        yield f"COMMENT ON VIEW {one.name} IS {quote(one.about)};"
        yield from (f"COMMENT ON COLUMN {one.name}.{column} IS {quote(text)};" for column, text in one.columns.items())


def _list_shards(run: RunFolder, table: str) -> list[ShardRows]:
    return [shard for round in open_rounds(run, table)[0] for shard in round.shards]


def _render_table(run: RunFolder, table: str, shards: list[ShardRows]) -> str:
    """The rows of each name, one below the other; a fork's ancestors are named by their place beside it."""
    names = sorted({shard.name for shard in shards})
    parts = [_render_name(run, table, name, [shard for shard in shards if shard.name == name]) for name in names]
    return "\nUNION ALL\n".join(parts) or _render_no_rows(view_schema(table))


def _render_name(run: RunFolder, table: str, name: str, shards: list[ShardRows]) -> str:
    files = _render_files([run.home(shard.home).path_from(run.address, shard.file) for shard in shards])
    rows = f"* REPLACE ({quote(run.run_id)} AS run)" if any(shard.home for shard in shards) else "*"
    rows += "".join(f", len({column}) AS {length}" for length, column in LENGTHS.get(table, {}).items())
    rows += f", {quote(name)} AS {NAME_COLUMNS[table]}" if table in NAME_COLUMNS else ""
    return f"SELECT {rows} FROM read_parquet({files}, hive_partitioning = false)"


def _render_manifests(run: RunFolder, knowledge: Knowledge) -> str:
    """Those that can be read, from their own files."""
    rows = ManifestRows(run, knowledge).all()
    if not rows:
        return _render_no_rows(MANIFESTS)
    places = [manifest_name(run, row["table_name"], row["round"], row["shard"], row["key"]) for row in rows]
    files = _render_files([run.store.path_from(run.address, place) for place in places])
    superseded = ", ".join(quote(row["key"]) for row in rows if row["superseded"]) or "''"
    renamed = " ".join(f"WHEN {quote(key)} THEN {quote(name)}" for key, name in run.renamed.items())
    verbs = " ".join(f"WHEN {quote(table)} THEN {quote(verb)}" for table, verb in knowledge.stages().items())
    name = f"CASE key {renamed} ELSE name END" if renamed else "name"
    stage = f'CASE "table" {verbs} END' if verbs else "NULL::VARCHAR"
    return f"""SELECT
    {quote(run.run_id)} AS run, {stage} AS stage, "table" AS table_name, round, shard, {name} AS name, key,
    key IN ({superseded}) AS superseded, NULL::VARCHAR AS problem, file, home, rows, bytes, sha256,
    coalesce(nullif(untimed, ''), sha256) AS content, created, parents, info::VARCHAR AS info,
    versions::VARCHAR AS versions
FROM read_json({files}, columns = {{{_manifest_columns()}}}, hive_partitioning = false)"""


def _manifest_columns() -> str:
    numbers = {"round": "INTEGER", "shard": "INTEGER", "rows": "BIGINT", "bytes": "BIGINT"}
    names = ("table", "name", "key", "file", "home", "sha256", "untimed", "created")
    columns = {**numbers, **dict.fromkeys(names, "VARCHAR"), **_READ}
    return ", ".join(f'"{name}": {quote(kind)}' for name, kind in columns.items())


def _render_files(paths: Sequence[str]) -> str:
    lines = ",\n    ".join(map(quote, paths))
    return f"[\n    {lines}\n]"


def _render_rows(run: RunFolder, schema: pa.Schema, rows: Sequence[Row]) -> str:
    """Rows as they are, with the run's name."""
    if not rows:
        return _render_no_rows(schema)
    values = [", ".join(map(_literal, (run.run_id, *row.values()))) for row in rows]
    lines = ",\n    ".join(f"({part})" for part in values)
    columns = ", ".join(f'CAST("{field.name}" AS {_sql_type(field.type)}) AS "{field.name}"' for field in schema)
    names = ", ".join(f'"{name}"' for name in {"run": "", **rows[0]})
    return f"SELECT {columns} FROM (VALUES\n    {lines}\n) AS given({names})"


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    return quote(value) if isinstance(value, str) else json.dumps(value)


def _render_no_rows(schema: pa.Schema) -> str:
    columns = ", ".join(f'CAST(NULL AS {_sql_type(field.type)}) AS "{field.name}"' for field in schema)
    return f"SELECT {columns} WHERE false"


def _sql_type(kind: pa.DataType) -> str:
    """DuckDB's name of an Arrow type."""
    if pa.types.is_list(kind):
        return f"{_sql_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        members = (f'"{field.name}" {_sql_type(field.type)}' for field in kind)
        return f"STRUCT({', '.join(members)})"
    return _TYPES[str(kind)]
