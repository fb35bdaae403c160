"""A finished run that the jobs made once, and copies of it to be damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flows.folder.keep import repair
from flows.report.sql.knowledge import leave_catalog
from storage.runs import RunFolder
from tests.flows.rounds_by_jobs import make_run

SETTINGS = ("rounds=2", "train.keep_trainer_states=1", "evaluate.when=first_and_last")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run."""
    run = make_run(tmp_path_factory.mktemp("whole") / "run", *SETTINGS)
    leave_catalog(run)
    return run


@pytest.fixture
def run(whole: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A copy of it."""
    monkeypatch.setattr(repair, "check_inputs_unchanged", lambda *_: None)
    shutil.copytree(whole.path, tmp_path / "run")
    return RunFolder.open(tmp_path / "run")
