"""Promises of every view there is: hostile text is shown and does nothing, nothing is asked of a network, nobody is
kept out, and a phone is wide enough."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from flows.report.report import Report, read_reports
from flows.report.table import Column, Table
from flows.viewer.file import make_report, save_report, write_report
from mopd.settings import parse_settings
from storage.runs import RunFolder
from storage.schemas import SCHEMAS
from tests.flows.viewer.places import VIEWS, address, show
from tests.storage.storage_samples import Rows, commit, make_rows

pytestmark = pytest.mark.browser

HOSTILE = (
    '</script><script>window.hacked = 1</script><img class="hostile" src="x" onerror="window.hacked = 1">'
    "<!-- \u202egnp.exe \u2028 \0 \x1b[31m {{7*7}} ${7*7} <style>*{display:none}</style>"
    '<a class="hostile" href="javascript:window.hacked=1">'
)
LONG = HOSTILE + "x" * 100_000
PROMPT = HOSTILE + "/../%2e ?#&'"
NAME = '<b class="hostile">run"\' &amp; \u202e'
TEXTS = {"dataset", "answer", "text", "feedback", "prediction", "error", "verifier", "metadata", "variant", "kind"}
SERIOUS = ("serious", "critical")


def made_hostile(table: str, rows: Rows) -> Rows:
    """The rows with text that would do something, were it read as anything else."""
    names = SCHEMAS[table].names
    changes: dict[str, Any] = {name: LONG for name in TEXTS if name in names}
    if "messages" in names:
        changes["messages"] = [{"role": "user", "content": LONG}]
    if "peers" in names:
        changes["peers"] = [{**peer, "prompt_id": PROMPT} for peer in rows[0]["peers"]]
    return [{**row, **changes} for row in rows]


def make_hostile_run(path: Path) -> RunFolder:
    """A run of which every text is hostile."""
    run = RunFolder.create(path, {"settings": parse_settings({}).model_dump(mode="json")})
    for round in range(2):
        for table in SCHEMAS:
            rows = make_rows(table, run.run_id, round=round, prompts=(PROMPT, "b"))
            commit(run, table, made_hostile(table, rows), round=round)
    return run


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of two such runs, and of a measure."""
    folder = tmp_path_factory.mktemp("hostile")
    table = Table([Column("name", HOSTILE)], [{"name": HOSTILE}])
    Report(HOSTILE, [HOSTILE, table], [], table).write(folder / "measured")
    runs = [make_hostile_run(folder / name) for name in (NAME, "other")]
    save_report(make_report(runs, read_reports(folder / "measured")), folder / "report.html")
    return (folder / "report.html").as_uri()


@pytest.mark.parametrize("view", VIEWS)
def test_hostile_text_is_shown_and_not_run(view: str, url: str, tab: Any) -> None:
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    show(tab, url + address(view, round=1, prompt=PROMPT, sample=0))
    assert tab.evaluate("window.hacked") is None
    assert tab.locator(".hostile").count() == 0
    assert [one for one in asked if not one.startswith((url, "data:"))] == []
    chosen = tab.get_by_role("combobox", name="Run").first.locator("option:checked")
    assert chosen.inner_text() == '<b class="hostile">run"\' &amp; U+202E'
    tab.evaluate("document.querySelectorAll('pre.text button').forEach((button) => button.click())")  # the whole text
    if "prompt/" in view:
        is_shown = '<img class="hostile" src="x" onerror="window.hacked = 1"><!-- U+202Egnp.exe' in tab.inner_text(
            "main"
        )
        assert is_shown  # without pytest's comparison of megabytes
    assert tab.evaluate("window.hacked") is None


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_checker_of_access_finds_nothing_serious(view: str, theme: str, url: str, tab: Any) -> None:
    tab.emulate_media(color_scheme=theme)
    show(tab, url + address(view, round=1, prompt="b", sample=0))
    violations = Axe().run(tab).response["violations"]
    found = [(fault["id"], fault["nodes"][0]["html"][:300]) for fault in violations if fault["impact"] in SERIOUS]
    assert found == []


@pytest.mark.parametrize("view", VIEWS)
def test_a_phone_is_wide_enough(view: str, url: str, tab: Any) -> None:
    tab.set_viewport_size({"width": 390, "height": 800})
    show(tab, url + address(view, round=1, prompt=PROMPT, sample=0))
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("tables", [(), ("prompts",), ("prompts", "rollouts"), ("prompts", "rollouts", "verdicts")])
def test_a_run_that_has_begun_shows_what_there_is(tables: tuple[str, ...], tmp_path: Path, tab: Any) -> None:
    run = RunFolder.create(tmp_path / "run", {"settings": parse_settings({}).model_dump(mode="json")})
    for table in tables:
        commit(run, table, make_rows(table, run.run_id))
    begun = write_report([run], tmp_path / "report.html").as_uri()
    for view in VIEWS:
        show(tab, begun + address(view, round=0, prompt="a", sample=0))
        assert tab.get_by_role("main").locator(".problem").all_inner_texts() == [], view
