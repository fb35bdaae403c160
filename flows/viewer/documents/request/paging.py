"""Some rows of a table: as a page asks for them, and as SQL is asked, values bound."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flows.viewer.documents.request.parameters import Read, any_text, as_given, json_value, not_like, whole_number
from flows.viewer.documents.viewed import Json, ViewedRun
from mopd.errors import InputError

MOST_ROWS = 1000
"""Of one answer."""
_WAYS = ("asc", "desc")


@dataclass(frozen=True)
class PageRequest:
    """Some rows of a table, in an order, of those that hold all words of a search and have the filters' values."""

    start: int = 0
    length: int = 25
    search: str = ""
    order: tuple[tuple[str, str], ...] = ()
    """Columns, each `asc` or `desc`; null comes last either way."""
    filters: Mapping[str, Any] = field(default_factory=dict)
    """By column, the value that it must have."""

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> PageRequest:
        """As an address has it: `order` and `filters` are JSON. Raises InputError for what is none."""
        asked = {name: read(name, parameters[name]) for name, read in _READS.items() if name in parameters}
        return cls(**{**asked, "length": min(asked.get("length", cls.length), MOST_ROWS)})

    @property
    def words(self) -> dict[str, str]:
        """What a row must hold, by the names that it is bound to."""
        return {f"word{number}": word for number, word in enumerate(self.search.lower().split())}

    def order_sql(self, columns: Collection[str], keys: str) -> str:
        """The rows' order, by columns that may be asked for, then by their keys. Raises InputError for others."""
        for column, way in self.order:
            if column not in columns or way not in _WAYS:
                raise InputError(f"rows can't be put in order by {column} {way}; columns: {', '.join(columns)}")
        return "ORDER BY " + ", ".join([*(f"{column} {way} NULLS LAST" for column, way in self.order), keys])

    def filter_sql(self, columns: Mapping[str, type]) -> tuple[str, dict[str, Any]]:
        """The condition, and its parameters; `columns`: that can be asked for, each with the kind of its values.

        Raises InputError for others.
        """
        for column, value in self.filters.items():
            if column not in columns:
                raise InputError(f"rows can't be filtered by {column}; columns: {', '.join(columns)}")
            if not isinstance(value, columns[column] | None):
                wanted = f"{column} is {_KINDS[columns[column]]}, or null"
                raise InputError(f"{as_given('filters', json.dumps({column: value}))}: {wanted}")
        conditions = [f"{column} IS NOT DISTINCT FROM $is_{column}" for column in self.filters]
        return " AND ".join(conditions) or "true", {f"is_{column}": value for column, value in self.filters.items()}


def _read_order(name: str, text: str) -> tuple[tuple[str, str], ...]:
    match json_value(name, text, _ORDER):
        case list(pairs) if all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            return tuple((str(column), str(way)) for column, way in pairs)
    raise not_like(name, text, _ORDER)


def _read_filters(name: str, text: str) -> dict[str, Any]:
    match json_value(name, text, _FILTERS):
        case dict(filters):
            return filters
    raise not_like(name, text, _FILTERS)


_ORDER, _FILTERS = '[["prompt_id", "desc"]]', '{"prompt_id": "a"}'
_KINDS = {str: "text", bool: "true or false"}
_READS: Mapping[str, Read] = {
    "start": whole_number,
    "length": whole_number,
    "search": any_text,
    "order": _read_order,
    "filters": _read_filters,
}


def ask_page(
    run: ViewedRun, rows: str, request: PageRequest, *, condition: str, order: str, **values: Any
) -> tuple[list[Json], Json]:
    """The rows of the page among those of a query that meet a condition; how many there are in all, and how many of
    these are found. `values`: what is bound, and the tables that are `given`."""
    asked = run.ask(
        f"WITH shown AS ({rows}), found AS (SELECT * FROM shown WHERE {condition}), "
        f"page AS (SELECT *, true AS is_row FROM found {order} LIMIT $length OFFSET $start), "
        "total AS (SELECT count(*) AS total FROM shown), filtered AS (SELECT count(*) AS filtered FROM found) "
        f"SELECT * FROM total CROSS JOIN filtered LEFT JOIN page ON true {order}",
        length=request.length,
        start=request.start,
        **values,
    )
    return [row for row in asked if row["is_row"]], {name: asked[0][name] for name in ("total", "filtered")}


def one_of(column: str, values: Iterable[Any]) -> tuple[str, dict[str, Any]]:
    """The condition that a column has one of some values, and its parameters: only shards with such rows are opened.

    A list that is bound as one parameter would be compared after every shard was read.
    """
    named = {f"{column}_{number}": value for number, value in enumerate(values)}
    return f"{column} IN ({', '.join(f'${name}' for name in named)})" if named else "false", named
