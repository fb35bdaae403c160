"""Figures: estimates with their intervals, by place along one axis, several things beside each other."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mopd.measures.estimate import Estimate

Points = Sequence[tuple[float, float]]
"""Places with values."""
STYLE: dict[str, Any] = {"marker": "o", "markersize": 5, "capsize": 3, "linewidth": 1.5}
BESIDE = 0.03
"""How far a dot stands beside its estimate."""


@dataclass(frozen=True)
class Series:
    """The estimates of one thing, in one style."""

    label: str
    estimates: Sequence[tuple[float, Estimate]]
    """By place; what is undefined isn't drawn."""
    style: Mapping[str, Any] = field(default_factory=dict)
    """Of matplotlib's `errorbar`, over STYLE."""
    dots: Points = ()
    """Values behind the estimates, drawn faintly."""


@dataclass(frozen=True)
class Mark:
    """Values to read the estimates against: one for all places, or one a place."""

    values: float | Points
    style: Mapping[str, Any]
    """Of matplotlib's lines."""


@dataclass(frozen=True)
class Panel:
    """Some series over the same places."""

    series: Sequence[Series]
    ticks: Mapping[int, str] = field(default_factory=dict)
    """Names of places."""
    title: str = ""
    places_label: str = ""
    values_label: str = ""
    limits: tuple[float, float] | None = None
    """Of values, as they are shown."""
    marks: Sequence[Mark] = ()
    scale: float = 1
    spread: float = 0.24
    """How far apart the series stand at one place, all together; places are 1 apart."""


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

    def png(self) -> bytes:
        """The picture."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Canvas

        canvas = Canvas(figsize=self.size, layout="constrained")
        FigureCanvasAgg(canvas)
        axes = canvas.subplots(len(self.panels), len(self.panels[0]), sharey=self.horizontal, squeeze=False)
        for panels, line in zip(self.panels, axes, strict=True):
            for panel, axis in zip(panels, line, strict=True):
                _draw(axis, panel, horizontal=self.horizontal)
        _draw_legend(canvas, axes.flat, self.legend_columns)
        canvas.suptitle(self.title, fontsize=10)
        png = io.BytesIO()
        canvas.savefig(png, dpi=130, format="png")
        return png.getvalue()


def _draw(axis: Any, panel: Panel, *, horizontal: bool) -> None:
    """Places to the right and values upwards; or values to the right and places downwards, faint lines between them."""
    place, value = "yx" if horizontal else "xy"
    for mark in panel.marks:
        if isinstance(mark.values, float):
            (axis.axvline if horizontal else axis.axhline)(mark.values, **mark.style)
        else:
            assert horizontal, "marks by place are of lines"
            ends = [[tick + half for tick, _ in mark.values] for half in (-0.5, 0.5)]
            axis.vlines([number for _, number in mark.values], *ends, **mark.style)
    for series, shift in _shifted(panel):
        style = {**STYLE, "linestyle": "none" if horizontal else "-", **series.style}
        at, values, bars = _bars(series, shift, panel.scale)
        axis.errorbar(**{place: at, value: values, f"{value}err": bars}, label=series.label, **style)
        dots = {
            place: [tick + shift + BESIDE for tick, _ in series.dots],
            value: [panel.scale * number for _, number in series.dots],
        }
        axis.scatter(**dots, color=style.get("color"), s=14, alpha=0.5, linewidths=0)
    for tick in [*panel.ticks][1:] if horizontal else ():
        axis.axhline(tick - 0.5, color="black", alpha=0.08, linewidth=0.8)
    if panel.ticks:
        reach = (min(panel.ticks) - 0.5, max(panel.ticks) + 0.5)
        axis.set(**{f"{place}ticks": [*panel.ticks], f"{place}ticklabels": [*panel.ticks.values()]})
        axis.set(**{f"{place}lim": reach[::-1] if horizontal else reach})
    axis.set(**{f"{place}label": panel.places_label, f"{value}label": panel.values_label, f"{value}lim": panel.limits})
    axis.set_title(panel.title, fontsize=11 if horizontal else 10)
    axis.grid(axis=value, alpha=0.3)


def _shifted(panel: Panel) -> list[tuple[Series, float]]:
    """Each series with its distance from the places."""
    last = len(panel.series) - 1
    return [(line, panel.spread * (index / last - 0.5) if last else 0.0) for index, line in enumerate(panel.series)]


def _bars(series: Series, shift: float, scale: float) -> tuple[list[float], list[float], list[list[float]]]:
    """Places and values of what is defined, and how far intervals reach below and above; not a number without one.

    A percentile interval may leave its mean just outside, which has no bar there.
    """
    estimates = [(place + shift, estimate) for place, estimate in series.estimates]
    known = [(place, estimate.value, estimate.interval) for place, estimate in estimates if estimate.value is not None]
    ends = [(value, *(interval or (math.nan, math.nan))) for _, value, interval in known]
    below = [scale * (0.0 if low > value else value - low) for value, low, _ in ends]
    above = [scale * (0.0 if high < value else high - value) for value, _, high in ends]
    return [place for place, _, _ in known], [scale * value for _, value, _ in known], [below, above]


def _draw_legend(canvas: Any, axes: Any, columns: int) -> None:
    """One for all panels; series of the same name are the same thing."""
    handles: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        canvas.legend(
            handles.values(),
            handles,
            loc="outside lower center",
            ncols=min(len(handles), columns),
            fontsize=9,
            frameon=False,
        )
