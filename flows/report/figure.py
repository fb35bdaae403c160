"""Figures: estimates with their intervals, by place along one axis, several things beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flows.report.vega import draw_png, figure_specification
from mopd.measures.estimate import Estimate

Points = Sequence[tuple[float, float]]
"""Places with values."""


@dataclass(frozen=True)
class Series:
    """The estimates of one thing, in one style."""

    label: str
    estimates: Sequence[tuple[float, Estimate]]
    """By place; what is undefined isn't drawn."""
    color: int = 0
    """Of `flows.report.vega.PALETTE`."""
    shape: str = "circle"
    """As Vega calls it."""
    dashed: bool = False
    joined: bool = True
    """By lines from place to place."""
    dots: Points = ()
    """Values behind the estimates, drawn faintly."""


@dataclass(frozen=True)
class Mark:
    """Values to read the estimates against: one for all places, or one a place."""

    values: float | Points
    label: str
    """In the legend."""
    color: int | None = None
    """Grey, where there is none."""
    dash: Sequence[int] = ()


@dataclass(frozen=True)
class Panel:
    """Some series over the same places."""

    series: Sequence[Series]
    ticks: Mapping[int, str] = field(default_factory=dict)
    """Names of places; numbers stand for themselves where there are none."""
    title: str = ""
    places_label: str = ""
    values_label: str = ""
    limits: tuple[float, float] | None = None
    """Of values, as they are shown."""
    marks: Sequence[Mark] = ()
    scale: float = 1
    form: str = ".4g"
    """Of a value that is pointed at, as `format` takes it."""
    spread: float = 0.24
    """How far apart the series stand at one place, all together; places are 1 apart."""
    banded: bool = False
    """Whether intervals are bands along the lines, and not bars."""

    def shifted(self) -> list[tuple[Series, float]]:
        """Each series with its distance from the places."""
        last = len(self.series) - 1
        return [
            (series, self.spread * (index / last - 0.5) if last else 0.0) for index, series in enumerate(self.series)
        ]


@dataclass(frozen=True)
class Figure:
    """Lines of panels, with one legend below them."""

    alt: str
    """What is to be seen, in a few words."""
    title: str
    panels: Sequence[Sequence[Panel]]
    size: tuple[float, float]
    """Inches."""
    name: str = "plot.png"
    horizontal: bool = False
    """Whether values go to the right and places downwards, each with a line of its own."""
    legend_columns: int = 4

    def specification(self) -> dict[str, Any]:
        """The figure in Vega-Lite."""
        return figure_specification(self)

    def png(self) -> bytes:
        """The picture."""
        return draw_png(self.specification())
