"""Figures in Vega-Lite: drawn by Vega in the page, and by vl-convert where a picture is wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mopd.measures.estimate import Estimate

if TYPE_CHECKING:
    from flows.report.figure import Figure, Mark, Panel, Series

Spec = dict[str, Any]
Style = tuple[str, str, Sequence[int]]
"""Colour, shape and dash."""

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
"""How a specification says its version: nothing is loaded from there."""
PALETTE = ("#3b7ddd", "#d9730d", "#2e9e5b", "#c9449b", "#8a63d2", "#1c96a5", "#a67c00", "#e0493f")
"""Of series; each stands out from a white page and from a dark one."""
GREY = "#8a8f98"
SOLID, DASHED = [1, 0], [5, 3]
DOTS_PER_INCH = 130
"""Of a picture."""
PIXELS_PER_INCH = 84
"""Of a specification."""
AROUND = 70
"""Pixels that names and numbers take beside a panel, about; a picture is as large as they need."""
BESIDE = 0.03
"""How far a dot stands beside its estimate."""
FEW_POINTS = 80
"""In a panel: of more each is small."""
MOST_NUMBERS = 8
"""Along an axis of places."""
INTERVAL = {"place": "place", "value": "low", "value2": "high"}
CONFIG: Spec = {
    "font": "sans-serif",
    "background": "white",
    "view": {"stroke": "#999"},
    "axis": {"gridColor": "#e3e3e3", "titleFontWeight": "normal", "titleFontSize": 11, "labelFontSize": 11},
    "title": {"fontSize": 12, "fontWeight": "normal"},
    "legend": {"labelFontSize": 11},
}
"""How a picture looks; the page has colours of its own."""


def draw_png(specification: Spec) -> bytes:
    """A picture; nothing is loaded for it."""
    from vl_convert import vegalite_to_png

    scale = DOTS_PER_INCH / PIXELS_PER_INCH
    return vegalite_to_png(specification, scale=scale, config=CONFIG, allowed_base_urls=[])


def figure_specification(figure: Figure) -> Spec:
    """Lines of panels under the figure's title, or one panel alone; things of the same name look alike in all."""
    styles = _styles(figure)
    panels = [
        _Axes.of(panel, figure, styles, named=index == 0 or not figure.horizontal).specification()
        for line in figure.panels
        for index, panel in enumerate(line)
    ]
    if len(panels) == 1:
        return {"$schema": SCHEMA, "title": figure.title, **panels[0]}
    title = {"text": figure.title, "anchor": "middle"}
    resolve = {"scale": {"color": "shared", "shape": "shared", "strokeDash": "shared"}}
    return {"$schema": SCHEMA, "title": title, "concat": panels, "columns": len(figure.panels[0]), "resolve": resolve}


def _styles(figure: Figure) -> dict[str, Style]:
    """By label."""
    styles: dict[str, Style] = {}
    for panel in (panel for line in figure.panels for panel in line):
        styles |= {mark.label: (_color(mark.color), "stroke", [*mark.dash]) for mark in panel.marks}
        styles |= {
            series.label: (_color(series.color), series.shape, DASHED if series.dashed else SOLID)
            for series in panel.series
        }
    return styles


def _color(number: int | None) -> str:
    return GREY if number is None else PALETTE[number % len(PALETTE)]


@dataclass(frozen=True)
class _Axes:
    """A panel with what its marks are drawn along."""

    panel: Panel
    figure: Figure
    place: Spec
    value: Spec
    looks: Spec
    """Colour, shape and dash by label."""

    @classmethod
    def of(cls, panel: Panel, figure: Figure, styles: dict[str, Style], *, named: bool) -> _Axes:
        """Values have their numbers and, where `named`, places their names; of lines, the first place stands above."""
        places = _places(panel, reverse=figure.horizontal, named=named)
        return cls(panel, figure, places, _values(panel), _looks(figure, styles))

    def specification(self) -> Spec:
        """What is read against first, then what is there."""
        columns, lines = len(self.figure.panels[0]), len(self.figure.panels)
        width, height = (PIXELS_PER_INCH * inches for inches in self.figure.size)
        layers = [*self._layers()]
        return {
            **({"title": self.panel.title} if self.panel.title else {}),
            "width": round(width / columns - AROUND),
            "height": round(height / lines - AROUND),
            "layer": [layer for layer in layers if layer["data"]["values"]] or layers[-1:],  # Vega wants one
        }

    def _layers(self) -> Iterator[Spec]:
        by_color, by_dash, by_shape = ({name: self.looks[name]} for name in ("color", "strokeDash", "shape"))
        if self.figure.horizontal:
            yield self._layer(_between(self.panel), _rule(opacity=0.25, color=GREY), {"place": "place"})
        for mark in self.panel.marks:
            rows = _mark_rows(mark, self.panel)
            yield self._layer(rows, _rule(strokeWidth=1.5), _mark_ends(mark), by_color | by_dash)
        by_series = [(series, _rows(series, shift, self.panel)) for series, shift in self.panel.shifted()]
        if self.panel.banded:
            for _, points in by_series:
                yield self._layer(_bars(points), {"type": "area", "opacity": 0.18}, INTERVAL, by_color)
        for series, points in by_series:
            if series.joined and not self.figure.horizontal:
                yield self._layer(points, {"type": "line"}, {"place": "place", "value": "value"}, by_color | by_dash)
        every = [point for _, points in by_series for point in points]
        if not self.panel.banded or any(len(points) == 1 for _, points in by_series):
            yield self._layer(_bars(every), _rule(strokeWidth=2), INTERVAL, by_color)
        dots = [dot for series, shift in self.panel.shifted() for dot in _dots(series, shift, self.panel)]
        faint = {"type": "circle", "opacity": 0.5, "size": 18}
        yield self._layer(dots, faint, {"place": "place", "value": "value"}, by_color)
        point = {"type": "point", "filled": True, "opacity": 1, "size": 45 if len(every) <= FEW_POINTS else 16}
        tips = {"tooltip": {"field": "tip", "type": "nominal"}}
        yield self._layer(every, point, {"place": "place", "value": "value"}, by_color | by_shape | tips)

    def _layer(self, rows: list[Spec], mark: Spec, fields: dict[str, str], looks: Spec | None = None) -> Spec:
        """A mark for each row, of which `fields` says what is read along each axis; `2`: the other end."""
        channels = {"place": "y", "value": "x"} if self.figure.horizontal else {"place": "x", "value": "y"}
        axes = {"place": self.place, "value": self.value, "place2": {}, "value2": {}}
        places = {
            channels[name.rstrip("2")] + name[5:]: {**axes[name], "field": field} for name, field in fields.items()
        }
        return {"data": {"values": rows}, "mark": mark, "encoding": places | (looks or {})}


def _places(panel: Panel, *, reverse: bool, named: bool) -> Spec:
    axis: Spec = {"grid": False, "labels": named, "values": [*panel.ticks] or _whole_numbers(panel), "format": "d"}
    scale: Spec = {"nice": False, "zero": False, "reverse": reverse, "padding": 12}
    if panel.ticks:
        names = json.dumps({str(tick): name for tick, name in panel.ticks.items()})
        axis |= {"labelExpr": f"{names}[datum.value]", "labelLimit": 0}
        scale |= {"domain": [min(panel.ticks) - 0.5, max(panel.ticks) + 0.5], "padding": 0}
    return {"type": "quantitative", "title": panel.places_label or None, "scale": scale, "axis": axis}


def _whole_numbers(panel: Panel) -> list[int]:
    """Some places, evenly: rounds and steps have no halves."""
    places = [int(place) for series in panel.series for place, _ in series.estimates]
    first, last = min(places, default=0), max(places, default=0)
    return [*range(first, last + 1, (last - first) // MOST_NUMBERS + 1)]


def _values(panel: Panel) -> Spec:
    scale: Spec = {"domain": list(panel.limits), "nice": False} if panel.limits else {"zero": False}
    axis = {"grid": True, "tickCount": 6, "format": ".6~g"}
    return {"type": "quantitative", "title": panel.values_label or None, "scale": scale, "axis": axis}


def _looks(figure: Figure, styles: dict[str, Style]) -> Spec:
    """How things are told apart; one alone needs no legend."""
    legend = {"orient": "bottom", "title": None, "columns": figure.legend_columns, "labelLimit": 0}
    legend |= {"symbolOpacity": 1, "symbolSize": 60}
    field = {"field": "label", "type": "nominal", "legend": legend if len(styles) > 1 else None}
    names = ("color", "shape", "strokeDash")
    ranges = {name: [style[index] for style in styles.values()] for index, name in enumerate(names)}
    return {name: {**field, "scale": {"domain": [*styles], "range": ranges[name]}} for name in names}


def _bars(points: list[Spec]) -> list[Spec]:
    return [point for point in points if "low" in point]


def _rule(**style: Any) -> Spec:
    return {"type": "rule", **style}


def _between(panel: Panel) -> list[Spec]:
    return [{"place": tick - 0.5} for tick in [*panel.ticks][1:]]


def _mark_rows(mark: Mark, panel: Panel) -> list[Spec]:
    values = [(0.0, mark.values)] if isinstance(mark.values, float | int) else mark.values
    return [
        {"label": mark.label, "from": place - 0.5, "to": place + 0.5, "value": panel.scale * value}
        for place, value in values
    ]


def _mark_ends(mark: Mark) -> dict[str, str]:
    ends = {} if isinstance(mark.values, float | int) else {"place": "from", "place2": "to"}
    return {"value": "value", **ends}


def _rows(series: Series, shift: float, panel: Panel) -> list[Spec]:
    """What is defined, with its interval where it has one."""
    return [
        {
            "label": series.label,
            "place": place + shift,
            "value": panel.scale * estimate.value,
            **_ends(estimate, panel.scale),
            "tip": f"{series.label}, {_at(place, panel)}: {estimate.text(panel.form, panel.scale)}",
        }
        for place, estimate in series.estimates
        if estimate.value is not None
    ]


def _ends(estimate: Estimate, scale: float) -> Spec:
    return {"low": scale * estimate.interval[0], "high": scale * estimate.interval[1]} if estimate.interval else {}


def _at(place: float, panel: Panel) -> str:
    return f"{panel.places_label} {panel.ticks.get(int(place), f'{place:g}')}".strip()


def _dots(series: Series, shift: float, panel: Panel) -> list[Spec]:
    return [
        {"label": series.label, "place": place + shift + BESIDE, "value": panel.scale * value}
        for place, value in series.dots
    ]
