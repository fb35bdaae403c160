"""A server that is away is given up by the tracker's own library, which says so before its silence ends its process."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.trackers import beside
from flows.trackers.beside import tracking
from flows.trackers.notes import Notes
from mopd.settings.report import TrackerName
from storage.runs import RunFolder
from tests.flows.trackers import sending_jobs as jobs

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def to_nobody(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "send_missing", jobs.send_to_nobody)
    monkeypatch.setattr(beside, "END_SECONDS", 300.0)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("wandb", "CommError: Failed to get resume status"),
        ("mlflow", f"MlflowException: API request to {jobs.URL}/api/2.0/mlflow/experiments/get-by-name failed"),
    ],
)
def test_its_reason_is_told(run: RunFolder, name: TrackerName, reason: str) -> None:
    said: list[str] = []
    with tracking(run, [name], said.append):
        pass
    (line,) = said
    assert line.startswith(f"tracker {name}: {reason}")
    assert [sent.chapters for sent in Notes.read(run, name).runs] == [{}]


def test_trackio_keeps_what_its_server_does_not_take(run: RunFolder) -> None:
    """And sends it itself, the next time."""
    said: list[str] = []
    with tracking(run, ["trackio"], said.append):
        pass
    assert said == []
