"""The scripts of others that a page has inside are put together once a host."""

from __future__ import annotations

from pathlib import Path

import pytest
import vl_convert

from flows.viewer.page.libraries import vega_script


def test_vegas_bundle_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def bundle(snippet: str) -> str:
        made.append(snippet)
        return "the script, with a sign beyond ASCII: λ"

    monkeypatch.setattr(vl_convert, "javascript_bundle", bundle)
    monkeypatch.setenv("MOPD_CACHE", str(tmp_path / "cache"))
    assert vega_script() == vega_script()
    assert len(made) == 1


def test_a_cache_that_is_no_folder_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("in the way")
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda snippet: "the script")
    monkeypatch.setenv("MOPD_CACHE", str(tmp_path / "cache"))
    assert vega_script() == "the script"
