"""What could not be read is told of where it was asked for, and asked for again: no view waits for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.viewer.file import write_report
from tests.flows.viewer.group_samples import make_groups
from tests.flows.viewer.places import show

pytestmark = pytest.mark.browser

BLOCKS = "document.querySelectorAll('[id^=block-]').forEach((block) => { %s })"
DAMAGE = BLOCKS % "block.dataset.whole = block.textContent; block.textContent = 'broken'"
MEND = BLOCKS % "block.textContent = block.dataset.whole"


@pytest.fixture
def url(tmp_path: Path) -> str:
    run = make_groups(tmp_path / "run", {0: {"a": [True, False]}})
    return write_report([run], tmp_path / "report.html").as_uri()


@pytest.mark.parametrize("place", ["#/overview", "#/prompts", "#/rollouts", "#/round/0/prompt/a/sample/0"])
def test_a_failure_is_said_and_not_kept(place: str, url: str, tab: Any) -> None:
    show(tab, f"{url}#/libraries")
    tab.evaluate(DAMAGE)
    tab.evaluate(f"location.hash = '{place}'")
    tab.get_by_role("heading", name="Nothing to show").wait_for()
    assert tab.locator("main .problem").inner_text() != ""
    tab.evaluate(MEND)
    tab.evaluate("location.hash = '#/libraries'")
    tab.get_by_role("heading", name="Libraries and licences").wait_for()
    tab.evaluate(f"location.hash = '{place}'")
    tab.locator("main:not([aria-busy]) article:not(:has(.problem)) h1").wait_for()
    assert tab.get_by_role("heading", name="Nothing to show").count() == 0
    tab.get_by_role("heading", name="Libraries and licences").wait_for(state="detached")
