"""All that can be asked, and what it says: tables, settings, views, with their columns."""

from __future__ import annotations

from dataclasses import dataclass

from storage.sql.columns import TABLE_TEXTS, column_text
from storage.sql.facts import RERUNS_TEXT, RERUNS_TEXTS, SETTINGS_TEXT, SETTINGS_TEXTS
from storage.sql.tables import view_schema
from storage.sql.views import VIEWS


@dataclass(frozen=True)
class Described:
    """A table or a view."""

    name: str
    about: str
    columns: dict[str, str]


def describe_all() -> list[Described]:
    """Tables, then what run.json says, then views."""
    tables = [
        Described(table, about, {column: column_text(table, column) for column in view_schema(table).names})
        for table, about in TABLE_TEXTS.items()
    ]
    views = [Described(view.name, view.about, view.columns) for view in VIEWS]
    settings = Described("settings", SETTINGS_TEXT, SETTINGS_TEXTS)
    return [*tables, settings, Described("reruns", RERUNS_TEXT, RERUNS_TEXTS), *views]
