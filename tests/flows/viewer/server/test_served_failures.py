"""A question that `mopd view` does not answer is told of in the view, and can be asked again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.flows.viewer.group_samples import make_groups
from tests.flows.viewer.server.process import view

pytestmark = pytest.mark.browser

AWAY = "the store is away"


@pytest.fixture
def prompts(chromium: Any, tmp_path: Path) -> Iterator[Any]:
    """The prompts of a run, asked of a server that fails; the console is full of it."""
    run = make_groups(tmp_path / "run", {0: {"a": [True, False]}, 1: {"a": [True, True]}})
    with view(run.address) as (address, _):
        tab = chromium.new_page()
        tab.route("**/api/run/run/prompts?**", lambda route: route.fulfill(status=503, body=AWAY))
        tab.goto(f"{address}#/prompts")
        yield tab
        tab.close()


def test_a_table_says_so_and_asks_again(prompts: Any) -> None:
    said = prompts.locator(".table .problem")
    expect(said).to_contain_text(AWAY)
    expect(prompts.get_by_text("Loading")).to_be_hidden()
    prompts.unroute("**/api/run/run/prompts?**")
    said.get_by_role("button", name="ask again").click()
    expect(prompts.locator("tbody .prompt-name")).to_have_count(1)
    expect(said).to_be_hidden()


def test_what_was_there_stays(prompts: Any) -> None:
    again = prompts.locator(".table .problem").get_by_role("button", name="ask again")
    again.wait_for()
    prompts.unroute("**/api/run/run/prompts?**")
    again.click()
    expect(prompts.locator("tbody .prompt-name")).to_have_count(1)
    prompts.route("**/api/run/run/prompts?**", lambda route: route.fulfill(status=503, body=AWAY))
    prompts.get_by_role("searchbox").fill("much")
    expect(prompts.locator(".table .problem")).to_contain_text(AWAY)
    expect(prompts.locator("tbody .prompt-name")).to_have_count(1)


def test_a_choice_whose_answer_fails_says_so(prompts: Any) -> None:
    prompts.locator(".table .problem").wait_for()
    prompts.unroute("**/api/run/run/prompts?**")
    prompts.evaluate("location.hash = '#/round/0/prompt/a'")
    prompts.locator(".reply").first.wait_for()
    prompts.route("**/api/run/run/group?**", lambda route: route.fulfill(status=503, body=AWAY))
    prompts.get_by_role("combobox", name="Round to stand beside").select_option("round 1: 2 of 2")
    expect(prompts.get_by_role("alert")).to_contain_text(AWAY)


def test_a_place_that_is_none_says_what_there_is(chromium: Any, tmp_path: Path) -> None:
    run = make_groups(tmp_path / "run", {0: {"a": [True, False]}})
    said = {
        "#/round/x/prompt/a": "round=x: give a whole number from 0 to 2147483647",
        "#/round/0/prompt/none": "Round 0 has no replies to prompt none.",
        "#/round/0/prompt/a/sample/9": "Round 0 has no such rollout of prompt a.",
        "#/rollouts?round=x": "There are no rollouts of round x.",
        "#/compare": "Choose two runs or more.",
    }
    with view(run.address) as (address, _):
        tab = chromium.new_page()
        for place, line in said.items():
            tab.goto(f"{address}{place}")
            expect(tab.locator("main")).to_contain_text(line)
        tab.close()
