"""The table of prompts and a group as they are served: paged by SQL, and the rounds that come are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.flows.viewer.group_samples import add_groups, make_groups
from tests.flows.viewer.server.process import view
from tests.flows.viewer.server.test_view_command import NEWS_MILLISECONDS

pytestmark = pytest.mark.browser

ODD = "a/b c?&#%/é"


def test_a_round_that_comes_is_in_the_table_and_in_the_map(tmp_path: Path, tab: Any) -> None:
    run = make_groups(tmp_path / "run", {0: {ODD: [True, False], **{f"p{number}": [False] for number in range(30)}}})
    with view(run.address) as (address, _):
        tab.goto(f"{address}#/prompts")
        expect(tab.locator(".map-frame [data-cell]")).to_have_count(31)
        expect(tab.locator("tbody .prompt-name")).to_have_count(25)
        tab.get_by_role("searchbox").fill("much A/B")
        expect(tab.locator(".map-frame [data-cell]")).to_have_count(1)
        add_groups(run, {1: {ODD: [True, True]}})
        news = tab.get_by_role("status").filter(has_text="2 scores")  # the last that came
        news.get_by_role("button", name="show").click(timeout=NEWS_MILLISECONDS)
        expect(tab.locator(".map-frame [data-cell]")).to_have_count(2)
        assert tab.locator("td .pass-strip").get_attribute("aria-label") == "round 0: 1 of 2; round 1: 2 of 2"
        tab.get_by_role("link", name=f"How much is {ODD}?").click()
        expect(tab.locator(".reply")).to_have_count(2)
        tab.keyboard.press("[")
        tab.get_by_text("1 of 2 judged replies succeed.").wait_for()
        tab.goto("about:blank")  # else it asks on
