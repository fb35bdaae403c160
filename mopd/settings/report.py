"""Settings of how a run is shown, and where it is told of beside its own folder."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mopd.settings.base import Frozen, NonNegativeInt

TrackerName = Literal["tensorboard", "wandb", "trackio", "mlflow"]


class ReportSettings(Frozen):
    """The run's page, and what is told elsewhere of how it goes (docs/trackers.md)."""

    page: bool = True
    """Whether the run leaves its page, `report.html`, in its folder when it ends (docs/report.md)."""
    trackers: tuple[TrackerName, ...] = ()
    """Which are sent settings, curves and some completions after each round; each takes the extra of its name. Where
    its server is, and who may write there, each knows from its own environment variables."""
    project: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")] = "mopd"
    """What the runs stand under in `wandb` and `trackio`; in `mlflow` it is called an experiment."""
    completions: NonNegativeInt = 16
    """Rollouts of each round that are sent with what the teacher was shown, and the verdict; 0: none."""
