"""Promises of the page around its views: places, focus, keys, light and dark, what is not here, narrow screens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from flows.viewer.file import make_report, save_report, write_report
from mopd.settings import parse_settings
from storage.runs import RunFolder
from tests.flows.viewer.places import show
from tests.storage.storage_samples import fill

pytestmark = pytest.mark.browser


def make_run(path: Path) -> RunFolder:
    folder = RunFolder.create(path, {"settings": parse_settings({}).model_dump(mode="json")})
    fill(folder)
    return folder


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("frame")
    return write_report([make_run(folder / "run")], folder / "report.html").as_uri()


def background(tab: Any) -> str:
    return str(tab.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_it_opens_from_disk(url: str, tab: Any) -> None:
    show(tab, url)
    assert tab.get_by_role("banner").get_by_text("run", exact=True).is_visible()
    assert tab.get_by_role("heading", level=1).count() == 1
    assert tab.title().endswith(" · mopd")


def test_a_place_that_is_none_says_so(url: str, tab: Any) -> None:
    show(tab, f"{url}#/nowhere/%E0%A4%A")
    assert tab.get_by_text("There is no such place in this page.").is_visible()


def test_another_place_takes_the_focus_to_its_heading(url: str, tab: Any) -> None:
    show(tab, url)
    assert tab.evaluate("document.activeElement.tagName") == "BODY"
    tab.get_by_role("link", name="libraries and licences").click()
    tab.get_by_role("heading", name="Libraries and licences").wait_for()
    assert tab.evaluate("document.activeElement.textContent") == "Libraries and licences"
    tab.go_back()
    tab.get_by_role("heading", name="Libraries and licences").wait_for(state="detached")
    assert tab.evaluate("document.activeElement.tagName") == "H1"


def test_the_first_tab_key_leads_past_the_head(url: str, tab: Any) -> None:
    show(tab, url)
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the content"


def test_a_question_mark_lists_the_keys(url: str, tab: Any) -> None:
    show(tab, url)
    tab.keyboard.press("?")
    assert "light or dark" in tab.get_by_role("dialog").text_content()
    tab.keyboard.press("Escape")
    assert tab.get_by_role("dialog").count() == 0


def test_the_colours_follow_the_system_until_somebody_chooses(url: str, tab: Any) -> None:
    show(tab, url)
    light = background(tab)
    tab.emulate_media(color_scheme="dark")
    dark = background(tab)
    assert light == "rgb(255, 255, 255)" != dark
    tab.keyboard.press("d")
    expect(tab.locator("body")).to_have_css("background-color", light)  # waits without eval, which the page forbids
    tab.reload()
    assert background(tab) == light
    tab.get_by_role("button", name="Light or dark").click()
    assert background(tab) == dark
    tab.emulate_media(media="print")
    assert background(tab) == light


def test_licences_are_there_in_full(url: str, tab: Any) -> None:
    show(tab, f"{url}#/libraries")
    summary = tab.get_by_text("DataTables and its extensions (MIT)")
    summary.click()
    assert "THE SOFTWARE IS PROVIDED" in summary.locator("xpath=..").inner_text()


def test_what_is_not_here_is_said(tmp_path: Path, tab: Any) -> None:
    report = make_report([make_run(tmp_path / "run")], max_megabytes=1e-4)
    save_report(report, tmp_path / "small.html")
    show(tab, (tmp_path / "small.html").as_uri())
    tab.get_by_role("button", name="not all is here").click()
    assert tab.evaluate("document.activeElement.id") == "left-out"
    assert "0 of 2 groups are in the file" in tab.get_by_role("list", name="What is not here").text_content()


def test_a_group_that_is_not_here_says_why(url: str, tmp_path: Path, tab: Any) -> None:
    run = make_run(tmp_path / "run")
    save_report(make_report([run], max_megabytes=1e-4), tmp_path / "small.html")
    for place in ("#/round/0/prompt/a", "#/round/0/prompt/a/sample/0"):
        show(tab, (tmp_path / "small.html").as_uri() + place)
        assert tab.get_by_role("heading", name="Left out of this file").is_visible()
        assert tab.get_by_text(f"mopd view {run.name}", exact=True).is_visible()
    show(tab, f"{url}#/round/0/prompt/a/sample/77")
    assert tab.get_by_text("Round 0 has no such rollout of prompt a.").is_visible()


def test_of_several_runs_one_is_chosen(tmp_path: Path, tab: Any) -> None:
    runs = [make_run(tmp_path / name) for name in ("one", "two")]
    show(tab, write_report(runs, tmp_path / "report.html").as_uri())
    tab.get_by_role("combobox", name="Run").select_option("two")
    tab.wait_for_url("**#/run/two/overview")
    assert tab.get_by_role("combobox", name="Run").input_value() == "two"


def test_who_goes_on_at_once_is_not_called_back(url: str, tab: Any) -> None:
    """The table of prompts writes into the address what it shows, a moment after it stands there."""
    tab.goto(f"{url}#/prompts")
    tab.locator("main:not([aria-busy]) h1").wait_for()
    tab.evaluate("location.hash = '#/libraries'; history.replaceState = () => { throw new Error('called back') }; 0")
    tab.get_by_role("heading", name="Libraries and licences").wait_for()
    assert tab.url.endswith("#/libraries")
