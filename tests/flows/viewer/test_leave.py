"""The page that a run leaves when it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.runtime.exit_code import RunStopped
from flows.viewer import leave
from flows.viewer.leave import leaving_report, report_link
from mopd.settings import parse_settings
from storage.runs import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "a run", {"settings": parse_settings({}).model_dump(mode="json")})


def refuse(*_: Any, **__: Any) -> None:
    raise ZeroDivisionError("a mistake of ours")


def test_a_page_that_can_not_be_made_costs_a_line(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leave, "make_report", refuse)
    said: list[str] = []
    with leaving_report(run, said.append):
        pass
    assert said == [
        f"{run.address}: its page could not be written (a mistake of ours); mopd report '{run.address}' tries again"
    ]


def test_an_error_leaves_no_page_and_a_guard_does(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leave, "make_report", refuse)
    said: list[str] = []
    with pytest.raises(OSError), leaving_report(run, said.append):
        raise OSError("disk full")
    assert said == []
    with pytest.raises(RunStopped), leaving_report(run, said.append):
        raise RunStopped("a guard")
    assert len(said) == 1


def test_its_link_is_what_a_browser_takes(run: RunFolder) -> None:
    assert report_link(run) == f"{Path(run.address).parent.as_uri()}/a%20run/report.html"
