"""The page that a run leaves when it ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import prefect.artifacts
import pytest

from flows.folder.open import run_lock
from flows.plan.guards import SAMPLED
from flows.runtime.exit_code import RunStopped
from flows.viewer import leave
from flows.viewer.leave import REPORT_FILE, artifact_key, leaving_report, report_link
from mopd.settings import parse_settings
from storage.runs import RunFolder
from tests.flows.folder.replay.test_rollback import breach, until
from tests.flows.plan.test_plan import run_of
from tests.flows.viewer.test_report_file import data_of


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "a run", {"settings": parse_settings({}).model_dump(mode="json")})


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Prefect is told."""
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(prefect.artifacts, "create_link_artifact", lambda **link: told.append(link))
    return told


def refuse(*_: Any, **__: Any) -> None:
    raise ZeroDivisionError("a mistake of ours")


def be_killed(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_run_that_a_guard_ends_leaves_a_page_that_says_so(tmp_path: Path, links: list[dict[str, Any]]) -> None:
    folder, _ = run_of(tmp_path / "a run", {"rounds": 2, "guards.on_breach": "stop"})
    until(folder, 1, SAMPLED, **breach("stop"))
    said: list[str] = []
    with run_lock(folder), pytest.raises(RunStopped), leaving_report(folder, said.append):
        raise RunStopped("a guard")
    overview = data_of((folder.path / REPORT_FILE).read_text())["a run/overview"]
    assert overview["state"] == {"kind": "stopped", "text": "not finished, stopped by entropy at policy 1"}
    assert said == []
    place = f"{folder.address}/{REPORT_FILE}, or live: mopd view '{folder.address}'"
    link = {"key": "mopd-report-a-run", "link": report_link(folder), "link_text": REPORT_FILE, "description": place}
    assert links == [link]


@pytest.mark.parametrize(("fault", "why"), [(refuse, "a mistake of ours"), (be_killed, "killed by SIGKILL")])
def test_a_page_that_can_not_be_made_costs_a_line(
    fault: Any, why: str, run: RunFolder, monkeypatch: pytest.MonkeyPatch, links: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(leave, "write_page", fault)
    said: list[str] = []
    with leaving_report(run, said.append):
        pass
    [line] = said
    assert line.startswith(f"{run.address}: its page could not be written (") and why in line
    assert line.endswith(f"); mopd report '{run.address}' tries again")
    assert links == []


def test_where_prefect_is_away_the_page_is_there(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leave, "in_own_process", lambda *_, **__: [])
    monkeypatch.setattr(prefect.artifacts, "create_link_artifact", refuse)
    said: list[str] = []
    with leaving_report(run, said.append):
        pass
    assert said == [f"{run.address}/{REPORT_FILE}: is written; Prefect could not be told of it (a mistake of ours)"]


def test_neither_an_error_nor_who_wants_none_leaves_a_page(run: RunFolder, links: list[dict[str, Any]]) -> None:
    said: list[str] = []
    with pytest.raises(OSError), leaving_report(run, said.append):
        raise OSError("disk full")
    with leaving_report(run, said.append, wanted=False):
        pass
    assert (said, links, (run.path / REPORT_FILE).exists()) == ([], [], False)


def test_its_link_is_what_a_browser_takes(run: RunFolder) -> None:
    assert report_link(run) == f"{Path(run.address).parent.as_uri()}/a%20run/report.html"


def test_its_key_is_one_that_prefect_takes() -> None:
    assert [artifact_key(name) for name in ("demo", "Run_7.b (1)", "été")] == [
        "mopd-report-demo",
        "mopd-report-run-7-b-1",
        "mopd-report-t",
    ]
