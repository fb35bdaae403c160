"""A curve: a table whose first column is a place, some columns of which are drawn; of one run, or of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flows.report.figure import Figure, Mark, Panel, Series
from flows.report.table import Column, Row, Table, Value
from flows.viewer.documents.viewed import Json
from mopd.measures.estimate import UNDEFINED, Estimate

SIZE = (6.0, 3.4)
"""Inches."""
FLEXIBLE: Json = {"title": None, "width": "container", "height": 215}
"""As wide as there is room in the page, which has the title beside it."""
SHAPES = ("circle", "diamond", "square", "triangle-up")
MOST_POINTS = 500
"""Of a line, about: a screen has no more places. Of more, each stretch keeps its lowest and its highest point."""

Points = list[tuple[float, Estimate]]


@dataclass(frozen=True)
class Curve:
    """Numbers of a run by round, policy or optimizer step."""

    name: str
    title: str
    about: str
    """How it is read."""
    table: Table
    drawn: Sequence[str]
    """Keys of columns."""
    missing: str = ""
    """Why there is nothing to draw, where there isn't."""
    limits: tuple[float, float] | None = None
    marks: Sequence[Mark] = ()

    @property
    def columns(self) -> list[Column]:
        """Those that are drawn and hold a number."""
        return [column for column in self.table.shown_columns if column.key in self.drawn and self.points(column)]

    def points(self, column: Column) -> Points:
        """What is known of a column, by place."""
        place = self.table.columns[0].key
        known = [(float(row[place]), _estimate(row.get(column.key))) for row in self.table.rows]  # type: ignore[arg-type]
        known = [(number, estimate) for number, estimate in known if estimate.value is not None]
        return thinned(known)


def thinned(points: Points) -> Points:
    """The first and the last of too many points, and of each stretch between its extremes: no spike is lost."""
    if len(points) <= MOST_POINTS:
        return points
    length = 2 * len(points) // MOST_POINTS + 1
    kept = {0, len(points) - 1}
    for first in range(0, len(points), length):
        stretch = range(first, min(first + length, len(points)))
        values = {number: points[number][1].value or 0.0 for number in stretch}
        kept |= {min(values, key=values.__getitem__), max(values, key=values.__getitem__)}
    return [points[number] for number in sorted(kept)]


def curve_document(curves: Mapping[str, Curve]) -> Json:
    """The same curve of one run or several beside each other, as a figure with the table of its numbers."""
    first = next(iter(curves.values()))
    drawn = any(curve.columns for curve in curves.values())
    return {
        "name": first.name,
        "title": first.title,
        "about": first.about,
        "figure": curve_figure(curves).specification() | FLEXIBLE if drawn else None,
        "table": curve_table(curves).document() if any(curve.table.rows for curve in curves.values()) else None,
        "missing": "" if drawn else first.missing,
    }


def curve_figure(curves: Mapping[str, Curve]) -> Figure:
    """A colour a run, and a shape a number; of one run a colour a number."""
    first, several = next(iter(curves.values())), len(curves) > 1
    most = max(len(curve.columns) for curve in curves.values())
    series = [
        Series(
            ", ".join([*([run] if several else []), *([column.title] if most > 1 or not several else [])]),
            curve.points(column),
            color=number if several else index,
            shape=SHAPES[index % len(SHAPES)] if several else SHAPES[0],
            dashed=several and index > 0,
        )
        for number, (run, curve) in enumerate(curves.items())
        for index, column in enumerate(curve.columns)
    ]
    looks = next((column for curve in curves.values() for column in curve.columns), Column(""))
    panel = Panel(
        series,
        places_label=first.table.columns[0].title,
        values_label=looks.title if most == 1 else looks.unit.strip(),
        limits=first.limits,
        marks=first.marks,
        scale=looks.scale,
        form=str(looks.form) if isinstance(looks.form, str) and looks.form else ".4g",
        spread=0.0,
        banded=True,
    )
    return Figure(first.title, "", [[panel]], SIZE, legend_columns=3)


def curve_table(curves: Mapping[str, Curve]) -> Table:
    """All numbers of the curve; of several runs with a column that says which."""
    first = next(iter(curves.values())).table
    if len(curves) == 1:
        return first
    columns = list({column.key: column for curve in curves.values() for column in curve.table.columns}.values())
    rows: list[Row] = [{**row, "run": run} for run, curve in curves.items() for row in curve.table.rows]
    return Table([Column("run"), *columns], rows)


def _estimate(value: Value | None) -> Estimate:
    if isinstance(value, Estimate):
        return value
    return Estimate(float(value), None, None, 1) if isinstance(value, int | float) else UNDEFINED
