"""Query results as a table, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, Literal

from flows.report.text import finite, text_table


def format_result(columns: Sequence[str], rows: Sequence[Sequence[Any]], form: Literal["table", "csv", "json"]) -> str:
    """Rows as text. Nulls are `NULL` in a table, empty in CSV, null in JSON, and so are NaN and infinities in JSON."""
    columns = distinct(columns)
    if form == "json":
        records = [finite(dict(zip(columns, row, strict=True))) for row in rows]
        return json.dumps(records, indent=1, default=str, ensure_ascii=False)
    if form == "csv":
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([[plain(value) for value in row] for row in rows])
        return out.getvalue().rstrip("\n")
    if not rows:
        return f"{'  '.join(columns)}\n(no rows)"
    return text_table([dict(zip(columns, map(_cell, row), strict=True)) for row in rows])


def distinct(columns: Sequence[str]) -> list[str]:
    """Column names with `_1`, `_2`, … where an earlier column has the name already."""
    names: list[str] = []
    for column in columns:
        name, count = column, 0
        while name in names:
            count += 1
            name = f"{column}_{count}"
        names.append(name)
    return names


def plain(value: Any) -> Any:
    """Lists and structs as JSON."""
    return json.dumps(finite(value), default=str, ensure_ascii=False) if isinstance(value, list | dict) else value


def _cell(value: Any) -> Any:
    """One line each; plain numbers stay numbers."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    return " ".join(str(plain(value)).split())
