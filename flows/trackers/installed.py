"""Which trackers there are, and which of them are installed. Imports none of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import cast

from flows.trackers.tracker import OpenTracker
from mopd.errors import InputError
from mopd.settings.report import TrackerName


@dataclass(frozen=True)
class Library:
    """What a tracker is made with; its extra has the tracker's name."""

    opens: str
    """`module:class` of ours."""
    packages: tuple[str, ...]
    """Any one of them brings it."""
    environment: dict[str, str] = field(default_factory=dict)
    """What it goes by where the environment doesn't say otherwise: its makers are told nothing, and a server that is
    away is given up after seconds."""


TRACKERS: dict[TrackerName, Library] = {
    "tensorboard": Library("flows.trackers.tensorboard:TensorBoard", ("tensorboard",)),
    "wandb": Library("flows.trackers.wandb:Wandb", ("wandb",), {"WANDB_ERROR_REPORTING": "false"}),
    "trackio": Library("flows.trackers.trackio:Trackio", ("trackio",)),
    "mlflow": Library(
        "flows.trackers.mlflow:MLflow",
        ("mlflow", "mlflow-skinny"),
        {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        },
    ),
}


def tracker_version(name: TrackerName) -> str | None:
    """The version of the library that is installed; None where none is."""
    for package in TRACKERS[name].packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return None


def check_installed(names: Iterable[TrackerName]) -> None:
    """Raises InputError for a tracker that isn't installed."""
    for name in names:
        if tracker_version(name) is None:
            raise InputError(
                f"report.trackers: {name} is not installed; pip install 'mopd[{name}]', or leave {name} out"
            )


def tracker_class(name: TrackerName) -> OpenTracker:
    """What opens a run in that tracker. Imports its library, in a process that does nothing else."""
    library = TRACKERS[name]
    os.environ.update({key: value for key, value in library.environment.items() if key not in os.environ})
    module, _, opens = library.opens.partition(":")
    return cast(OpenTracker, getattr(import_module(module), opens))
