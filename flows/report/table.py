"""A table of plain values and estimates, for terminals, Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flows.report.text import Cell, finite, text_lines
from mopd.measures.estimate import UNDEFINED, Estimate

Value = Cell | Estimate
Row = dict[str, Value]


@dataclass(frozen=True)
class Column:
    """Where a value stands, and how it is shown."""

    key: str
    heading: str = ""
    """The key, where it is empty."""
    form: str | Callable[[float], str] = ""
    """Of numbers and of an estimate's, as `format` takes it, or a function of a number; empty: as they are."""
    scale: float = 1
    unit: str = ""
    bare: bool = False
    """Show an estimate without its interval."""
    optional: bool = False
    """Left out where no row has more than nothing or 0 in it."""
    counted: bool = False
    """Say how many numbers are in the mean, where others are missing: `n=29`."""

    @property
    def title(self) -> str:
        """What stands above the column."""
        return self.heading or self.key

    def show(self, value: Value) -> Cell:
        """A value as people read it; None for what is missing."""
        if isinstance(value, Estimate) and not self.bare:
            text = value.text(str(self.form), self.scale, self.unit)
            return f"{text} n={value.num}" if text and self.counted and value.num_null else text
        number = value.value if isinstance(value, Estimate) else value
        if not self.form or not isinstance(number, int | float):
            return number
        return self.form(number) if callable(self.form) else f"{self.scale * number:{self.form}}{self.unit}"

    def document(self, value: Value) -> Any:
        """As JSON: what is shown, with the number behind it where that is more; the ends of an interval are shown."""
        shown = self.show(value)
        number = value.value if isinstance(value, Estimate) else value
        return finite(shown if shown is None or shown == number else {"shown": shown, "value": number})


@dataclass(frozen=True)
class Table:
    """Rows by the keys of their columns; what a row lacks is missing."""

    columns: Sequence[Column]
    rows: Sequence[Row]
    title: str = ""

    @classmethod
    def of(cls, rows: Sequence[Row], title: str = "") -> Table:
        """A table whose columns are the keys of all rows."""
        return cls([Column(key) for key in dict.fromkeys(key for row in rows for key in row)], rows, title)

    @property
    def shown_columns(self) -> list[Column]:
        """The columns without the optional ones that hold nothing."""
        filled = {key for row in self.rows for key, value in row.items() if _holds(value)}
        return [column for column in self.columns if not column.optional or column.key in filled]

    def shown(self) -> list[dict[str, Cell]]:
        """Each row as people read it, by key."""
        columns = self.shown_columns
        return [{column.key: column.show(row.get(column.key)) for column in columns} for row in self.rows]

    def terminal(self) -> str:
        """Aligned lines under the title."""
        lines = text_lines([column.title for column in self.shown_columns], [[*row.values()] for row in self.shown()])
        return "\n".join([self.title, *lines] if self.title else lines)

    def markdown(self) -> str:
        """A pipe table under its title as a heading."""
        titles = [column.title for column in self.shown_columns]
        lines = [titles, ["---"] * len(titles)]
        lines += [[_escape(cell) for cell in row.values()] for row in self.shown()]
        heading = f"## {self.title[0].upper()}{self.title[1:]}\n\n" if self.title else ""
        return heading + "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    def document(self) -> dict[str, Any]:
        """As JSON: what is shown, and the numbers behind it, to be sorted by."""
        columns = self.shown_columns
        return {
            "title": self.title,
            "columns": [column.title for column in columns],
            "rows": [[column.document(row.get(column.key)) for column in columns] for row in self.rows],
        }

    def csv(self) -> str:
        """All that the rows hold, by key, in full; an estimate is three columns: itself, and its ends behind it."""
        rows = [_flat(row) for row in self.rows]
        out = io.StringIO()
        writer = csv.DictWriter(out, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()


def with_difference(column: Column, reference: str | None) -> list[Column]:
    """A column and, where there is a reference, how far its values are from that one's: `KEY_difference`."""
    heading, key = f"minus {reference}", f"{column.key}_difference"
    return [column, *([replace(column, key=key, heading=heading, form=f"+{column.form}")] if reference else [])]


def estimate_in(row: Row, key: str) -> Estimate:
    """The estimate in a row; undefined where it has none."""
    value = row.get(key)
    return value if isinstance(value, Estimate) else UNDEFINED


def _flat(row: Row) -> dict[str, Cell]:
    flat: dict[str, Cell] = {}
    for key, value in row.items():
        ends = {f"{key}_low": value.low, f"{key}_high": value.high} if isinstance(value, Estimate) else {}
        flat |= {key: value.value if isinstance(value, Estimate) else value, **ends}
    return flat


def _holds(value: Value) -> bool:
    return value.value is not None if isinstance(value, Estimate) else bool(value)


def _escape(cell: Cell) -> str:
    return "-" if cell is None else str(cell).replace("|", "\\|")
