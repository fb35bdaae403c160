"""What a tracker is: one run in it is opened, or gone on with, and written to chapter by chapter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from storage.stores.base import Store

Axis = Literal["round", "update"]
"""What a point stands at: the round, which is the version of the policy that samples it, or the optimizer step, counted
over the whole run."""
UPDATE: Axis = "update"
ROUND: Axis = "round"
COMPLETIONS = "completions"
"""The name of the table of a round's completions."""
COLUMNS = ("round", "prompt_id", "sample", "prompt", "reply", "context", "success", "reward", "feedback", "error")
"""Of that table, in this order."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Point:
    """Numbers at one place of an axis; each name is of one axis alone: `update/…` of the optimizer steps."""

    axis: Axis
    step: int
    values: dict[str, float]


@dataclass(frozen=True)
class Chapter:
    """A part of a run that is there: a policy's evaluation, what its guards said, or a round with its updates."""

    name: str
    """E.g. `round 3`: one of a kind in a run."""
    round: int
    seconds: float
    """When the last of it was made, since the epoch: the same whenever it is sent."""
    points: list[Point]
    completions: list[Row] = field(default_factory=list)

    @property
    def num_rows(self) -> int:
        """Points and tables."""
        return len(self.points) + bool(self.completions)

    @property
    def table(self) -> list[list[Any]]:
        """Its completions, the values of each in the order of COLUMNS."""
        return [[row[name] for name in COLUMNS] for row in self.completions]


@dataclass(frozen=True)
class TrackedRun:
    """A run as a tracker knows it."""

    id: str
    """The same in every process that goes on with it."""
    name: str
    """For people."""
    project: str
    settings: Row
    """By dotted name."""
    store: Store
    """Where the run itself lies."""
    num_chapters: int = 0
    """That were sent before."""
    num_rows: int = 0
    """The same of their points and tables."""


class Tracker(Protocol):
    """A run in a tracker, open to be written to. Whatever goes wrong is raised."""

    def write(self, chapter: Chapter) -> None:
        """Add a chapter. One that was written before, and not noted, adds nothing, as far as the library allows."""

    def close(self) -> None:
        """What was written is safe when this returns."""


OpenTracker = Callable[[TrackedRun], Tracker]
