"""Weights & Biases: a run of a project; `WANDB_MODE=offline` leaves it in files for `wandb sync`.

Each point is a row of the history under a number of its own, counted over the run: W&B drops a row whose number it has.
"""

from __future__ import annotations

import time
from typing import get_args

import wandb

from flows.trackers.tracker import COLUMNS, COMPLETIONS, Axis, Chapter, TrackedRun

BEGIN_SECONDS, END_SECONDS = 20.0, 45.0
"""How long it may take to begin, and to send what is left."""

FOLDER_SECONDS = 1.0
"""Its folder is named after the second in which it began: the next one of that second would write over it."""


class Wandb:
    """A run there, which is gone on with by its id."""

    def __init__(self, run: TrackedRun) -> None:
        self._rows = run.num_rows
        self._run = wandb.init(
            project=run.project,
            id=run.id,
            name=run.name,
            config=run.settings,
            resume="allow",
            allow_val_change=True,
            settings=_settings(),
        )
        self._begun = time.monotonic()
        for axis in get_args(Axis):
            self._run.define_metric(axis, hidden=True)

    def write(self, chapter: Chapter) -> None:
        """A row a point, each with its axis in a column."""
        for point in chapter.points:
            for group in {name.partition("/")[0] for name in point.values}:
                self._run.define_metric(f"{group}/*", step_metric=point.axis)
            self._log({point.axis: point.step, **point.values})
        if chapter.completions:
            table = wandb.Table(columns=list(COLUMNS), data=chapter.table)
            self._log({"round": chapter.round, COMPLETIONS: table})

    def close(self) -> None:
        """Wait until all is there. Raises TimeoutError."""
        self._run.finish()
        time.sleep(max(self._begun + FOLDER_SECONDS - time.monotonic(), 0.0))

    def _log(self, row: dict[str, object]) -> None:
        self._run.log(row, step=self._rows)
        self._rows += 1


def _settings() -> wandb.Settings:
    """Nothing of the process that sends, which isn't the run's, is told."""
    return wandb.Settings(
        init_timeout=BEGIN_SECONDS,
        finish_timeout=END_SECONDS,
        finish_timeout_raises=True,
        console="off",
        disable_git=True,
        disable_code=True,
        save_code=False,
        host="",
        x_disable_stats=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )
