"""A table of plain values and estimates, for terminals, Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from flows.text import Cell, text_lines
from mopd.measures.estimate import Estimate

Value = Cell | Estimate
Row = dict[str, Value]

UNDEFINED = Estimate(None, None, None, 0)
"""What stands where no number can be."""


@dataclass(frozen=True)
class Column:
    """Where a value stands, and how it is shown."""

    key: str
    heading: str = ""
    """The key, where it is empty."""
    form: str = ""
    """Of numbers and estimates, as `format` takes it; empty: as they are."""
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
        if self.bare and isinstance(value, Estimate):
            value = value.value
        if isinstance(value, Estimate):
            text = value.text(self.form, self.scale)
            return f"{text} n={value.num}" if text and self.counted and value.num_null else text
        if self.form and isinstance(value, int | float):
            return f"{self.scale * value:{self.form}}{self.unit}"
        return value


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
        return [one for one in self.columns if not one.optional or any(_holds(row.get(one.key)) for row in self.rows)]

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

    def csv(self) -> str:
        """All columns by key, numbers in full; an estimate is three columns, its ends behind it; empty if undefined."""
        keys = [column.key for column in self.columns]
        rows = [_flat({key: row.get(key) for key in keys if key in row}) for row in self.rows]
        names = list(dict.fromkeys(name for row in rows for name in row))
        out = io.StringIO()
        writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()


def with_ends(key: str, estimate: Estimate) -> dict[str, Cell]:
    """An estimate as plain values: itself, and its ends in `KEY_low` and `KEY_high`."""
    return {key: estimate.value, f"{key}_low": estimate.low, f"{key}_high": estimate.high}


def _flat(row: Row) -> dict[str, Cell]:
    flat: dict[str, Cell] = {}
    for key, value in row.items():
        flat |= with_ends(key, value) if isinstance(value, Estimate) else {key: value}
    return flat


def _holds(value: Value) -> bool:
    return value.value is not None if isinstance(value, Estimate) else bool(value)


def _escape(cell: Cell) -> str:
    return "-" if cell is None else str(cell).replace("|", "\\|")
