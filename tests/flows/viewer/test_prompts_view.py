"""The table of prompts and its map, as a reader uses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import expect

from flows.viewer.documents.prompts import prompts
from flows.viewer.documents.viewed import ViewedRun
from flows.viewer.file import write_report
from tests.flows.viewer.group_samples import make_groups

pytestmark = pytest.mark.browser

ODD = "a/b c?&#%/é"
OUTCOMES = {
    0: {ODD: [True, False, False, False], "never": [False, False], "lost": [None, None]},
    1: {ODD: [True, True, True, False], "always": [True, True]},
    2: {"always": [True, True]},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ViewedRun:
    return ViewedRun(make_groups(tmp_path_factory.mktemp("prompts") / "run", OUTCOMES), "run")


@pytest.fixture(scope="module")
def url(run: ViewedRun, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report([run.folder], tmp_path_factory.mktemp("page") / "report.html").as_uri()


@pytest.fixture
def table(tab: Any, url: str) -> Any:
    tab.goto(f"{url}#/prompts")
    tab.locator("table[aria-label=Prompts] tbody tr").nth(3).wait_for()
    return tab


def names(tab: Any) -> list[str]:
    """The ids of the rows, from top to bottom."""
    return [text.strip() for text in tab.locator(".prompt-name .faint").all_text_contents()]


def cells(tab: Any, prompt: str) -> list[str]:
    row = tab.get_by_role("row").filter(has=tab.locator(".prompt-name", has_text=prompt))
    return [text.strip() for text in row.get_by_role("cell").all_text_contents()]


def test_what_stands_in_a_row_is_what_sql_says(table: Any, run: ViewedRun) -> None:
    row = next(row for row in prompts(run)["rows"] if row["prompt_id"] == ODD)
    asked = run.ask(
        "SELECT count(*) FILTER (success) / count(success) AS rate FROM verdicts WHERE prompt_id = $id "
        "GROUP BY round ORDER BY round",
        id=ODD,
    )
    assert (row["pass_rate_first"], row["pass_rate"]) == (asked[0]["rate"], asked[1]["rate"]) == (0.25, 0.75)
    name, answer, _, rate, flips, shown, tokens = cells(table, ODD)
    assert name == f"How much is {ODD}?{ODD}"
    assert (answer, rate, flips, shown, tokens) == ("15", "25.0 → 75.0 %", "1", "6 of 8", "2.5")
    assert cells(table, "lost")[3] == "–"


def test_a_strip_says_its_numbers(table: Any) -> None:
    strips = [strip.get_attribute("aria-label") for strip in table.locator("td .pass-strip").all()]
    assert strips[0] == "round 0: 1 of 4; round 1: 3 of 4"
    assert "round 0: none judged" in strips


def test_what_turned_comes_first_and_columns_sort(table: Any) -> None:
    assert names(table) == [ODD, "never", "always", "lost"]
    table.get_by_role("columnheader", name="pass rate").click()
    expect(table.locator(".prompt-name .faint").first).to_have_text("never")
    assert names(table) == ["never", ODD, "always", "lost"]


def test_search(table: Any) -> None:
    table.get_by_role("searchbox").fill("MUCH alw")
    expect(table.locator(".prompt-name")).to_have_count(1)
    assert names(table) == ["always"]
    table.get_by_role("searchbox").fill("mixed")  # a row's kind, which nobody reads
    table.get_by_text("none has that in it").wait_for()
    table.get_by_role("searchbox").fill("nobody asked this")
    table.get_by_text("none has that in it").wait_for()
    assert table.get_by_text("No prompt is left.").is_visible()


@pytest.mark.parametrize(
    ("label", "option", "wanted"),
    [
        ("successes in the last round", "none", ["never"]),
        ("successes in the last round", "some, not all", [ODD]),
        ("successes in the last round", "not judged", ["lost"]),
        ("flips", "some", [ODD]),
    ],
)
def test_filters(table: Any, label: str, option: str, wanted: list[str]) -> None:
    table.get_by_role("combobox", name=label).select_option(option)
    expect(table.locator(".prompt-name")).to_have_count(len(wanted))
    assert names(table) == wanted
    table.get_by_role("combobox", name=label).select_option("any")
    expect(table.locator(".prompt-name")).to_have_count(4)


def test_several_datasets(tab: Any, tmp_path: Path) -> None:
    folder = make_groups(tmp_path / "run", {0: {"easy": [True], "hard one": [False]}})
    tab.goto(f"{write_report([folder], tmp_path / 'report.html').as_uri()}#/prompts")
    tab.get_by_role("combobox", name="dataset").select_option("hard")
    expect(tab.locator(".prompt-name")).to_have_count(1)
    assert cells(tab, "hard one")[1] == "hard"


def test_who_comes_back_finds_the_table_as_it_was(table: Any) -> None:
    table.get_by_role("combobox", name="flips").select_option("none")
    table.wait_for_url(lambda url: "filters" in url)
    asked = parse_qs(table.evaluate("location.hash").partition("?")[2])
    assert json.loads(asked["filters"][0]) == {"flipped": False}
    table.locator("td .prompt-name", has_text="always").click()
    table.get_by_role("heading", name="Prompt always, round 2").wait_for()
    table.go_back()
    expect(table.locator(".prompt-name")).to_have_count(3)
    assert table.get_by_role("combobox", name="flips").evaluate("select => select.selectedOptions[0].text") == "none"


def test_a_row_opens_the_last_group_by_click_and_enter(table: Any) -> None:
    table.get_by_role("row").filter(has_text=ODD).get_by_role("cell").nth(3).click()
    table.get_by_role("heading", level=1, name=f"Prompt {ODD}, round 1").wait_for()
    table.go_back()
    table.get_by_role("link", name="How much is never?").press("Enter")
    table.get_by_role("heading", level=1, name="Prompt never, round 0").wait_for()


def test_the_map_follows_the_table_and_opens_groups(table: Any) -> None:
    boxes = table.locator(".map-frame [data-cell]")
    assert boxes.count() == 6
    assert table.locator(".map-frame .unjudged").count() == 1
    shares = table.locator(".map-frame .rate").evaluate_all(
        "boxes => boxes.map(box => box.style.getPropertyValue('--share'))"
    )
    assert shares == ["25%", "75%", "0%", "100%", "100%"]
    boxes.nth(1).hover()
    assert table.locator(".map-line").inner_text() == f"round 1: 3 of 4 · How much is {ODD}? ({ODD})"
    table.get_by_role("combobox", name="successes in the last round").select_option("all")
    expect(table.locator(".map-frame [data-cell]")).to_have_count(2)
    boxes.nth(1).click()
    table.get_by_role("heading", level=1, name="Prompt always, round 2").wait_for()


def test_the_map_by_keys(table: Any) -> None:
    table.locator(".map-frame").focus()
    for key, words in (
        ("ArrowRight", "round 0: 1 of 4"),
        ("ArrowDown", "round 1: 3 of 4"),
        ("ArrowRight", "round 1: 2 of 2"),
        ("ArrowUp", "round 1: 2 of 2"),
    ):
        table.keyboard.press(key)
        assert table.locator(".map-line").inner_text().startswith(words)
    table.keyboard.press("Enter")
    table.get_by_role("heading", level=1, name="Prompt always, round 1").wait_for()


def test_on_a_phone_nothing_hangs_over(table: Any) -> None:
    table.set_viewport_size({"width": 390, "height": 844})
    table.reload()
    table.locator(".prompt-name").nth(3).wait_for()
    assert table.evaluate("document.documentElement.scrollWidth") == 390
    assert not table.locator(".map-frame").is_visible()
    table.get_by_text("Map of prompts and rounds").click()
    table.locator(".map-frame [data-cell]").nth(5).wait_for()
    assert table.evaluate("document.documentElement.scrollWidth") == 390


def test_a_run_without_rollouts(tab: Any, tmp_path: Path) -> None:
    folder = make_groups(tmp_path / "run", {})
    tab.goto(f"{write_report([folder], tmp_path / 'report.html').as_uri()}#/prompts")
    tab.get_by_text("No rollouts yet.").wait_for()
