"""A tracker that isn't installed is refused before anything is made."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import get_args

import pytest

from flows.cli import main
from flows.trackers import installed
from flows.trackers.installed import TRACKERS
from mopd.settings.report import TrackerName
from tests.flows.rounds_by_jobs import TINY

ROOT = Path(__file__).parents[3]


def test_every_tracker_has_an_extra_that_brings_it() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert tuple(TRACKERS) == get_args(TrackerName)
    for name, library in TRACKERS.items():
        assert any(extras[name][0].startswith(package) for package in library.packages)


def test_one_that_is_not_installed_stops_a_run_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def version(package: str) -> str:
        if package.startswith("mlflow"):
            raise PackageNotFoundError(package)
        return "1"

    monkeypatch.setattr(installed, "version", version)
    words = ["run", str(TINY), "--run", str(tmp_path / "run"), "--set", "report.trackers=[tensorboard,mlflow]"]
    assert main(words) == 2
    line = "mopd: report.trackers: mlflow is not installed; pip install 'mopd[mlflow]', or leave mlflow out\n"
    assert capsys.readouterr().err == line
    assert not (tmp_path / "run").exists()


def test_another_name_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", str(TINY), "--run", str(tmp_path / "run"), "--set", "report.trackers=[comet]"]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "report.trackers" in error and "'tensorboard', 'wandb', 'trackio' or 'mlflow'" in error
    assert error.count("\n") == 1
