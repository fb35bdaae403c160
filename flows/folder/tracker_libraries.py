"""Which libraries send to trackers, and which of them are installed. Imports none of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from mopd.errors import InputError
from mopd.settings import Settings
from mopd.settings.report import TrackerName


@dataclass(frozen=True)
class Library:
    """What sends to a tracker; its extra has the tracker's name."""

    opens: str
    """`module:class` of ours (`flows.trackers`)."""
    packages: tuple[str, ...]
    """Any one of them brings it."""
    environment: dict[str, str] = field(default_factory=dict)
    """What it goes by where the environment doesn't say otherwise: its makers are told nothing, and a server that is
    away is given up after seconds."""


LIBRARIES: dict[TrackerName, Library] = {
    "tensorboard": Library("flows.trackers.tensorboard:TensorBoard", ("tensorboard",)),
    "wandb": Library("flows.trackers.wandb:Wandb", ("wandb",), {"WANDB_ERROR_REPORTING": "false"}),
    "trackio": Library("flows.trackers.trackio:Trackio", ("trackio",)),
    "mlflow": Library(
        "flows.trackers.mlflow:MLflow",
        ("mlflow", "mlflow-skinny"),
        {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        },
    ),
}


def tracker_version(name: TrackerName) -> str | None:
    """The version of the library that is installed; None where none is."""
    for package in LIBRARIES[name].packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return None


def check_trackers(settings: Settings) -> None:
    """Raises InputError where the settings name a tracker that isn't installed."""
    require_installed(settings.report.trackers, "report.trackers")


def require_installed(names: Iterable[TrackerName], named_by: str) -> None:
    """Raises InputError for the first that isn't. `named_by`: the setting, or the option, that has the names."""
    for name in names:
        if tracker_version(name) is None:
            raise InputError(f"{named_by}: {name} is not installed; pip install 'mopd[{name}]', or leave {name} out")
