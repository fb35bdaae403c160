"""trackio: a run of a project, in files on this host, on a server or in a Space, as its own variables say.

It warns where others raise. What lies in its database here is read back: nothing is put there twice, nothing is lost.
A server or a Space isn't asked; what these did not take, trackio keeps, and sends the next time.
"""

from __future__ import annotations

import os
from typing import Any

import trackio
from trackio import SQLiteStorage
from trackio.utils import get_storage_mode

from flows.trackers.tracker import COLUMNS, COMPLETIONS, Chapter, TrackedRun

Place = tuple[int, frozenset[str]]
"""Of an entry of its log: the step, and the names in it."""
_ADDED = {"timestamp", "step"}
"""To the names of an entry that is read."""


class Trackio:
    """A run there, which is gone on with by its name."""

    def __init__(self, run: TrackedRun) -> None:
        self._project, self._name = run.project, f"{run.name}-{run.id[:6]}"
        self._readable = is_readable()
        self._known = self._read()
        self._written: set[Place] = set()
        self._run = trackio.init(
            run.project,
            name=self._name,
            config=run.settings,
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def write(self, chapter: Chapter) -> None:
        """An entry a point, and one with the table."""
        for point in chapter.points:
            self._log(point.step, dict(point.values))
        if chapter.completions:
            self._log(chapter.round, {COMPLETIONS: trackio.Table(columns=list(COLUMNS), data=chapter.table)})

    def close(self) -> None:
        """Wait until all is written. Raises OSError where it is not."""
        self._run.finish()
        if self._readable and (lost := self._written - self._read()):
            raise OSError(f"{len(lost)} of {len(self._written)} entries of its log could not be written")

    def _log(self, step: int, values: dict[str, Any]) -> None:
        place = (step, frozenset(values))
        if values and place not in self._known:
            self._run.log(values, step=step)
            self._written.add(place)

    def _read(self) -> set[Place]:
        """The entries that its database has."""
        entries = SQLiteStorage.get_logs(self._project, self._name) if self._readable else []
        return {(entry["step"], frozenset(entry.keys() - _ADDED)) for entry in entries}


def is_readable() -> bool:
    """Whether the log is a database on this host."""
    is_away = any(os.environ.get(name) for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"))
    return not is_away and get_storage_mode() == "sqlite"
