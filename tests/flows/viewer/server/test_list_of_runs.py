"""The list of runs while a run goes on: its row changes in its place, and nothing else moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from storage.runs import RunFolder
from tests.flows.viewer.server.conftest import make_run
from tests.flows.viewer.server.process import view
from tests.flows.viewer.server.test_view_command import NEWS_MILLISECONDS
from tests.storage.storage_samples import commit, make_rows

pytestmark = pytest.mark.browser

RECORD = """
window.seen = new Set();
new MutationObserver(() => seen.add(document.querySelector(".runs tbody").innerText))
    .observe(document.querySelector(".runs .table"), { childList: true, subtree: true })
"""


def commit_failures(run: RunFolder) -> None:
    rows = make_rows("verdicts", run.run_id, prompts=("other",), samples=4)
    commit(run, "verdicts", [row | {"success": False, "reward": 0.0} for row in rows], shard=1)


def test_a_row_that_changes_stays_where_it_is(tmp_path: Path, tab: Any) -> None:
    runs = [make_run(tmp_path / "runs" / name) for name in ("first", "second")]
    with view(str(tmp_path / "runs")) as (address, _):
        tab.goto(address)
        expect(tab.locator(".runs tbody .badge")).to_have_count(2)
        before = tab.locator(".runs tbody tr", has_text="first").inner_text()
        tab.get_by_role("link", name="first").focus()
        tab.evaluate(RECORD)
        commit_failures(runs[0])
        row = tab.locator(".runs tbody tr", has_text="first")
        expect(row).not_to_have_text(before, timeout=NEWS_MILLISECONDS, use_inner_text=True)
        assert [text for text in tab.evaluate("[...seen]") if "…" in text] == []
        assert tab.evaluate("document.activeElement.textContent") == "first"
        tab.goto("about:blank")
