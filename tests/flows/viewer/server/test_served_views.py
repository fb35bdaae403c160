"""Promises of the views that a served page alone has: hostile text does nothing, nobody is kept out, a phone is wide
enough."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from mopd.settings import parse_settings
from storage.runs import RunFolder
from storage.schemas import SCHEMAS
from tests.flows.viewer.server.process import view
from tests.flows.viewer.test_every_view import NAME, PROMPT, SERIOUS, made_hostile
from tests.storage.storage_samples import commit, make_rows

pytestmark = pytest.mark.browser
VIEWS = ("runs", "sql")
EVERYTHING = "SELECT *, text AS \"<img src=x onerror='window.hacked = 1'>\" FROM episodes"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serves a run of which every text is hostile, and another one."""
    folder = tmp_path_factory.mktemp("runs")
    settings = {"settings": parse_settings({}).model_dump(mode="json")}
    hostile, _ = RunFolder.create(folder / NAME, settings), RunFolder.create(folder / "other", settings)
    for table in SCHEMAS:
        commit(hostile, table, made_hostile(table, make_rows(table, hostile.run_id, prompts=(PROMPT, "b"))))
    with view(str(folder)) as (address, _):
        yield address


def show(tab: Any, server: str, name: str) -> None:
    """A view with all that it can show; of SQL, every column of the hostile run."""
    tab.goto(f"{server}#/{name}")
    tab.get_by_role("heading", level=1).wait_for()
    if name == "sql":
        tab.get_by_label("of which run").select_option(index=0)
        tab.get_by_role("textbox", name="SQL").fill(EVERYTHING)
        tab.get_by_role("button", name="Run", exact=True).click()
    tab.get_by_role("table").get_by_text('<b class="hostile">run').first.wait_for()


@pytest.mark.parametrize("name", VIEWS)
def test_hostile_text_is_shown_and_not_run(name: str, server: str, tab: Any) -> None:
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    show(tab, server, name)
    assert tab.evaluate("window.hacked") is None
    assert tab.locator(".hostile").count() == 0
    assert [one for one in asked if not one.startswith((server.partition("#")[0], "data:"))] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", VIEWS)
def test_a_checker_of_access_finds_nothing_serious(name: str, theme: str, server: str, tab: Any) -> None:
    tab.emulate_media(color_scheme=theme)
    show(tab, server, name)
    violations = Axe().run(tab).response["violations"]
    found = [(fault["id"], fault["nodes"][0]["html"][:300]) for fault in violations if fault["impact"] in SERIOUS]
    assert found == []


@pytest.mark.parametrize("name", VIEWS)
def test_a_phone_is_wide_enough(name: str, server: str, tab: Any) -> None:
    tab.set_viewport_size({"width": 390, "height": 800})
    show(tab, server, name)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
