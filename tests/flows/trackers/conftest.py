"""A small run to be sent, and trackers that keep to this machine."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.runs import RUN_FILE, RunFolder
from tests.flows.rounds_by_jobs import make_run


@pytest.fixture(scope="session", autouse=True)
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where all trackers write; some read that when they are imported, so it is one place for all tests."""
    place = tmp_path_factory.mktemp("trackers")
    variables = {
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(place),
        "WANDB_SILENT": "true",
        "TRACKIO_DIR": str(place / "trackio"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{place}/mlflow.db",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": str(place / "artifacts"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield place


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rounds, two optimizer steps each, and the evaluation of the first and the last policy."""
    path = tmp_path_factory.mktemp("runs") / "made"
    make_run(path, "rounds=2", "train.updates_per_round=2", "evaluate.when=first_and_last")
    return path


@pytest.fixture
def run(made: Path, tmp_path: Path) -> RunFolder:
    """A run of its own in every tracker, with the same content."""
    path = tmp_path / "run"
    shutil.copytree(made, path)
    document = {**json.loads((path / RUN_FILE).read_text()), "created": os.urandom(8).hex()}
    (path / RUN_FILE).write_text(json.dumps(document))
    return RunFolder.open(path)
