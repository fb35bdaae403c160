"""Figures in Vega-Lite: everything that is known is drawn where it stands, and looks alike in all panels."""

from __future__ import annotations

import re
from typing import Any

import vl_convert

from flows.report.figure import Figure, Mark, Panel, Series
from flows.report.vega import PALETTE
from mopd.measures.estimate import UNDEFINED, Estimate

SURE = Estimate(0.5, 0.25, 0.75, 8)
ALONE = Estimate(0.125, None, None, 1)


def panel(*series: Series, **given: Any) -> Panel:
    return Panel(series, {0: "before", 1: 'it\'s "after"'}, scale=100, form=".1f", **given)


def figure(*panels: Panel, horizontal: bool = False) -> Figure:
    return Figure("numbers", "Numbers", [panels], (8, 3), horizontal=horizontal)


def rows_of(specification: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    marks = [layer for layer in specification["layer"] if layer["mark"]["type"] == kind]
    return [row for layer in marks for row in layer["data"]["values"]]


def test_what_is_known_has_a_point_and_what_has_an_interval_a_bar() -> None:
    series = Series("x", [(0, SURE), (1, ALONE), (2, UNDEFINED)])
    drawn = figure(panel(series, places_label="policy")).specification()
    assert rows_of(drawn, "point") == [
        {
            "label": "x",
            "place": 0.0,
            "value": 50.0,
            "low": 25.0,
            "high": 75.0,
            "tip": "x, policy before: 50.0 [25.0, 75.0]",
        },
        {"label": "x", "place": 1.0, "value": 12.5, "tip": 'x, policy it\'s "after": 12.5'},
    ]
    assert [row["place"] for row in rows_of(drawn, "rule")] == [0.0]


def test_series_stand_beside_each_other() -> None:
    drawn = figure(panel(Series("x", [(0, SURE)]), Series("y", [(0, SURE)]), spread=0.4)).specification()
    assert [row["place"] for row in rows_of(drawn, "point")] == [-0.2, 0.2]


def test_things_of_one_name_look_alike_in_all_panels() -> None:
    both = panel(Series("x", [(0, SURE)], 2), Series("y", [(0, SURE)], 0, shape="diamond", dashed=True))
    drawn = figure(panel(Series("y", [(0, SURE)], 0, shape="diamond", dashed=True)), both).specification()
    looks = drawn["concat"][0]["layer"][-1]["encoding"]
    assert looks["color"]["scale"] == {"domain": ["y", "x"], "range": [PALETTE[0], PALETTE[2]]}
    assert looks["shape"]["scale"]["range"] == ["diamond", "circle"]
    assert drawn["resolve"]["scale"]["color"] == "shared"


def test_names_of_places_may_hold_anything() -> None:
    svg = vl_convert.vegalite_to_svg(figure(panel(Series("x", [(0, SURE)]))).specification())
    assert "it&apos;s" in svg or "it's" in svg


def test_all_marks_are_in_the_picture() -> None:
    marks = [Mark(0.5, "chance", dash=(4, 3)), Mark([(0, 0.25), (1, 0.75)], "shortness", color=3)]
    lines = panel(Series("x", [(0, SURE), (1, ALONE)], dots=[(0, 0.4)]), Series("y", [(1, SURE)]), marks=marks)
    svg = vl_convert.vegalite_to_svg(figure(lines, horizontal=True).specification())
    rules = len(re.findall(r'aria-roledescription="rule mark"', svg))
    assert (rules, svg.count('aria-roledescription="point"')) == (1 + 1 + 2 + 2, 3)
    for name in ("chance", "shortness", "before"):
        assert f">{name}<" in svg


def test_nothing_is_loaded_for_a_picture() -> None:
    text = str(figure(panel()).specification())
    assert re.findall(r"https?://[^'\"]*", text) == ["https://vega.github.io/schema/vega-lite/v6.json"]
