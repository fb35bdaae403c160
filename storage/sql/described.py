"""All that can be asked, and what it says: views, tables of run.json, tables of shards, with their columns."""

from __future__ import annotations

from dataclasses import dataclass

from storage.sql.columns import TABLE_TEXTS, column_text
from storage.sql.run_tables import RUN_TABLES
from storage.sql.tables import view_schema
from storage.sql.views import VIEWS


@dataclass(frozen=True)
class Described:
    """A name that SQL may ask."""

    name: str
    about: str
    columns: dict[str, str]


def describe_views() -> list[Described]:
    """What joins or tells of tables: views, then what run.json says."""
    views = [Described(view.name, view.about, view.columns) for view in VIEWS]
    return [*views, *(Described(table.name, table.about, table.column_texts) for table in RUN_TABLES)]


def describe_tables() -> list[Described]:
    """The rows of shards, a table each."""
    return [
        Described(table, about, {column: column_text(table, column) for column in view_schema(table).names})
        for table, about in TABLE_TEXTS.items()
    ]


def describe_all() -> list[Described]:
    """Views first: they are what most questions want."""
    return [*describe_views(), *describe_tables()]
