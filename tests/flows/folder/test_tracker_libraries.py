"""A tracker that isn't installed is refused before anything is made."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import get_args

import pytest

from flows.cli import main
from flows.folder import tracker_libraries
from flows.folder.open import open_run
from flows.folder.replay.fork import fork_run
from flows.folder.replay.rerun import plan_rerun
from flows.folder.tracker_libraries import LIBRARIES, require_installed
from mopd.errors import InputError
from mopd.settings import load_settings
from mopd.settings.report import TrackerName
from storage.runs import RunFolder
from tests.flows.rounds_by_jobs import SMALL, TINY, inputs, make_run

ROOT = Path(__file__).parents[3]


def test_every_tracker_has_an_extra_that_brings_it() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert tuple(LIBRARIES) == get_args(TrackerName)
    for name, library in LIBRARIES.items():
        assert any(extras[name][0].startswith(package) for package in library.packages)


@pytest.fixture
def without_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package.startswith("mlflow"):
            raise PackageNotFoundError(package)
        return "1"

    monkeypatch.setattr(tracker_libraries, "version", version)
    monkeypatch.setattr("flows.folder.open.inputs_of", lambda settings, *_: inputs(settings))


@pytest.mark.usefixtures("without_mlflow")
def test_one_that_is_not_installed_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """Be it a new run, one that goes on, one that is redone, or a fork."""
    run = make_run(tmp_path / "run", "rounds=2")
    asked = "report.trackers=[tensorboard,mlflow]"
    settings, before = load_settings(TINY, [*SMALL, "rounds=2", asked]), run.document
    for ask in (
        lambda: open_run(settings, tmp_path / "new", config="tiny"),
        lambda: open_run(settings, run.address, config="tiny"),
        lambda: plan_rerun(run, 1, "train", ["train.learning_rate=0.01", asked]),
        lambda: fork_run(run.address, 1, ["train.learning_rate=0.01", asked], tmp_path / "new"),
    ):
        with pytest.raises(InputError) as raised:
            ask()
        line = "report.trackers: mlflow is not installed; pip install 'mopd[mlflow]', or leave mlflow out"
        assert str(raised.value) == line
    assert not (tmp_path / "new").exists()
    assert RunFolder.open(run.address).document == before


@pytest.mark.usefixtures("without_mlflow")
def test_it_is_named_as_it_was_named() -> None:
    with pytest.raises(InputError, match=r"^--to: mlflow is not installed"):
        require_installed(["tensorboard", "mlflow"], "--to")


def test_another_name_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", str(TINY), "--run", str(tmp_path / "run"), "--set", "report.trackers=[comet]"]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "report.trackers" in error and "'tensorboard', 'wandb', 'trackio' or 'mlflow'" in error
    assert error.count("\n") == 1
