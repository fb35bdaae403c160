"""A run with every tracker, offline, and a second command that goes on with it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from mopd.settings.report import TrackerName
from tests.e2e.commands import ROOT
from tests.e2e.harness import FAKE, TINY, Prefect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
NAMES = get_args(TrackerName)
CHAPTERS = ["guards of policy 0", "guards of round 0", "round 0", "guards of policy 1", "guards of round 1", "round 1"]


@pytest.fixture
def mopd(prefect: Prefect, tmp_path: Path) -> Callable[..., str]:
    """A command as a process of its own, with trackers that keep to this folder."""
    place = {
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(tmp_path),
        "TRACKIO_DIR": str(tmp_path / "trackio"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
    }

    def run(*words: str | Path) -> str:
        command = [sys.executable, "-m", "flows.cli", *map(str, words)]
        environment = {**prefect.env, **place, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def tracked(run: Path, name: str) -> dict[str, Any]:
    """The one run in a tracker that the run is."""
    (only,) = json.loads((run / "trackers" / f"{name}.json").read_text())["runs"]
    assert isinstance(only, dict)
    return only


def test_every_tracker_is_sent_a_run_that_is_gone_on_with(mopd: Callable[..., str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    trackers = f"report.trackers=[{','.join(NAMES)}]"
    settings = (*FAKE, "--set", trackers, "--set", "evaluate.when=never")
    mopd("run", TINY, "--run", run, *settings, "--set", "rounds=1")
    before = {name: tracked(run, name) for name in NAMES}
    mopd("run", run, "--set", "rounds=2")
    mopd("track", run)  # what a slow machine had no time for at the end
    after = {name: tracked(run, name) for name in NAMES}
    assert all(set(sent["chapters"]) == {*CHAPTERS, "guards of policy 2"} for sent in after.values())
    assert {name: sent["id"] for name, sent in after.items()} == {name: sent["id"] for name, sent in before.items()}
    assert count(tmp_path / "trackio" / "mopd.db", "metrics WHERE CAST(metrics AS TEXT) LIKE '%round/pass_rate%'") == 2
    assert count(tmp_path / "mlflow.db", "metrics WHERE key = 'update/loss'") == 4
    assert len(list((run / "trackers" / "tensorboard" / "run").iterdir())) == 1 + len(CHAPTERS) + 1
    assert list(tmp_path.glob(f"wandb/offline-run-*-{after['wandb']['id']}"))


def count(database: Path, rows: str) -> int:
    with sqlite3.connect(database) as connection:
        (number,) = connection.execute(f"SELECT count(*) FROM {rows}").fetchone()
    return int(number)
