"""The run, measures, and runs beside each other, as a person sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.report.figure import Figure, Panel, Series
from flows.report.report import Report
from flows.report.table import Column, Table
from flows.viewer.file import make_report, save_report, write_report
from mopd.measures.estimate import Estimate
from storage.runs import RunFolder
from tests.flows.viewer.places import show
from tests.flows.viewer.run_samples import make_run
from tests.storage.storage_samples import make_rows

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)> `code` </script>"
MEASURED = Report(
    title="one against <b>two</b>",
    parts=[
        "    mopd compare <config>",
        "Means `n` over prompts.",
        Table(
            [Column("arm"), Column("mean", "mean, %", ".1f", 100)],
            [
                {"arm": "one", "mean": Estimate(0.5, 0.25, 0.75, 8)},
                {"arm": HOSTILE, "mean": Estimate(0.125, None, None, 1)},
            ],
            "by arm",
        ),
        Figure("mean by arm", "bars: 95 %", [[Panel([Series("x", [(0, Estimate(0.5, 0.2, 0.7, 8))])])]], (4, 3)),
        "## How to read this",
        "- first\n  goes on\n- second",
    ],
    brief=[],
    numbers=Table.of([]),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return make_run(tmp_path_factory.mktemp("runs") / "first")


@pytest.fixture(scope="module")
def page(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> str:
    MEASURED.write(run.path / "analysis" / "signal-round=0000")
    return write_report([run], tmp_path_factory.mktemp("page") / "report.html").as_uri()


@pytest.fixture(scope="module")
def both(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> str:
    other = make_run(tmp_path_factory.mktemp("runs") / "second", (False, True, False), seed=1)
    return write_report([run, other], tmp_path_factory.mktemp("both") / "report.html").as_uri()


def texts(tab: Any, role: str, **named: Any) -> list[str]:
    return [text.strip() for text in tab.get_by_role(role, **named).all_inner_texts()]


def test_the_first_screen_says_how_it_ended_and_what_it_came_to(page: str, tab: Any) -> None:
    show(tab, page)
    assert tab.get_by_role("heading", level=1).inner_text() == "first finished"
    first = tab.locator(".headline li").first.inner_text()
    assert first.startswith("Held-out mean@2 0.0 % [0.0, 0.0] → 100.0 % [100.0, 100.0] over 2 rounds of training")
    assert {"Held-out success", "Loss", "Time by stage", "Guards", "Settings"} <= set(texts(tab, "heading", level=2))


def test_each_chart_is_drawn_and_has_its_numbers_beside_it(page: str, tab: Any) -> None:
    show(tab, page)
    curve = tab.locator("section.curve", has_text="Gradient norm")
    assert curve.get_by_role("img", name="Gradient norm").locator("svg path[aria-roledescription=point]").count() == 4
    curve.get_by_text("numbers").click()
    rows = curve.get_by_role("row").all_inner_texts()
    updates = make_rows("updates", "first")
    assert rows[1].split("\t")[:3] == ["0", "0", f"{updates[0]['grad_norm']:.4g}"]
    assert tab.locator("section.curve svg").count() >= 7


def test_pointing_at_a_value_tells_it(page: str, tab: Any) -> None:
    show(tab, page)
    tab.locator("section.curve", has_text="Held-out success").locator(
        "svg path[aria-roledescription=point]"
    ).first.hover(force=True)
    tip = tab.locator("#tip")
    assert tip.inner_text().endswith("@2, policy 0: 0.0 [0.0, 0.0]")


def test_a_round_leads_to_its_rollouts(page: str, tab: Any) -> None:
    show(tab, page)
    curve = tab.locator("section.curve", has_text="Success in training")
    curve.get_by_text("numbers").click()
    curve.get_by_role("link", name="1", exact=True).click()
    assert tab.url.endswith("#/rollouts?round=1")


def test_a_point_leads_to_its_round_where_rounds_are_drawn(page: str, tab: Any) -> None:
    show(tab, page)
    point = "svg path[aria-roledescription=point]"
    tab.locator("section.curve", has_text="Gradient norm").locator(point).last.click(force=True)  # a step
    assert tab.url == page
    tab.locator("section.curve", has_text="Success in training").locator(point).last.click(force=True)
    tab.wait_for_url("**#/rollouts?round=1")


def test_settings_are_searched(page: str, tab: Any) -> None:
    show(tab, page)
    tab.get_by_text("settings", exact=False).filter(has_text="all ").click()
    tab.get_by_label("Search All settings").fill("learning_rate")
    assert "train.learning_rate" in tab.get_by_role("table", name="All settings").inner_text()
    assert "rounds" not in tab.get_by_role("table", name="All settings").inner_text()


@pytest.mark.parametrize("place", ["#/overview", "#/measures"])
def test_nothing_is_wider_than_a_phone(page: str, tab: Any, place: str) -> None:
    tab.set_viewport_size({"width": 390, "height": 800})
    show(tab, page + place)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390


def test_measures_that_lie_in_the_run_are_shown(page: str, tab: Any) -> None:
    show(tab, f"{page}#/measures")
    assert texts(tab, "heading", level=2) == ["one against <b>two</b>"]
    assert texts(tab, "heading", level=3) == ["By arm", "How to read this"]
    assert tab.locator("main pre").inner_text() == "mopd compare <config>"
    assert texts(tab, "listitem")[-2:] == ["first goes on", "second"]
    assert tab.locator("main p code").inner_text() == "n"
    assert tab.get_by_role("img", name="mean by arm").locator("svg").count() == 1


def test_tables_of_measures_are_sorted_by_their_numbers(page: str, tab: Any) -> None:
    show(tab, f"{page}#/measures")
    table = tab.get_by_role("table", name="by arm")
    assert table.get_by_role("cell").all_inner_texts() == ["one", "50.0 [25.0, 75.0]", HOSTILE, "12.5"]
    table.get_by_role("columnheader", name="mean, %").click()
    assert table.get_by_role("cell").all_inner_texts() == [HOSTILE, "12.5", "one", "50.0 [25.0, 75.0]"]


def test_without_measures_the_view_says_how_to_get_some(both: str, tmp_path: Path, tab: Any) -> None:
    lone = make_run(tmp_path / "lone")
    out = tmp_path / "lone.html"
    save_report(make_report([lone]), out)
    show(tab, f"{out.as_uri()}#/measures")
    assert "Nothing in this page was measured" in tab.get_by_role("main").inner_text()
    assert "Measures" not in texts(tab, "link")


def test_runs_stand_beside_each_other(both: str, tab: Any) -> None:
    show(tab, both)
    tab.get_by_role("link", name="Compare").click()
    tab.get_by_role("heading", name="Runs beside each other").wait_for()
    assert tab.locator(".headline li").last.inner_text() == (
        "second minus first: -100.0 points [-100.0, -100.0], paired over the 2 held-out prompts of both."
    )
    cells = tab.get_by_role("table", name="Settings that differ").get_by_role("cell").all_inner_texts()
    assert cells == ["seed", "0", "1"]
    prompts = tab.get_by_role("table", name="Held-out prompts")
    assert prompts.get_by_role("row").nth(1).get_by_role("cell").all_inner_texts()[2:] == ["100.0 %", "0.0 %", "-100.0"]


def test_a_prompt_of_both_runs_leads_to_the_group_of_each(both: str, tab: Any) -> None:
    show(tab, f"{both}#/compare")
    row = tab.get_by_role("table", name="Training prompts").get_by_role("row").nth(1)
    assert [link.get_attribute("href") for link in row.get_by_role("link").all()] == [
        "#/run/first/round/1/prompt/a",
        "#/run/second/round/1/prompt/a",
        "#/run/first/round/1/prompt/a?with=1&in=second",
    ]
