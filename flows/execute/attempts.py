"""Attempts at a shard: which one it is, and a note in the run of each that fails."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property

from flows.plan.shard import Shard
from flows.plan.stage import Stage
from flows.runtime.messages import worker_of
from flows.runtime.worker import WorkerStopped
from storage.failures import Failure, count_failures, note_failure
from storage.manifests import KEY_LETTERS
from storage.runs import RunFolder

MOST_SHOWN = 500
"""Characters of an error."""


class Attempts:
    """Of a run, those before this process counted."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    @cached_property
    def _failed(self) -> Counter[str]:
        return count_failures(self._folder)

    @contextmanager
    def at(self, stage: Stage, shard: Shard) -> Iterator[Shard]:
        """The shard with the number of this attempt; what ends it is raised on, and noted."""
        key = shard.key[:KEY_LETTERS]
        number = self._failed[key] + 1
        try:
            yield replace(shard, attempt=number)
        except WorkerStopped:
            raise  # on purpose, as the run is ending
        except Exception as error:
            self._failed[key] += 1
            note_failure(self._folder, _describe(stage, shard, number, error))
            raise


def _describe(stage: Stage, shard: Shard, number: int, error: Exception) -> Failure:
    worker = worker_of(error)
    return Failure(
        stage=stage.name,
        table=shard.table,
        round=shard.round,
        shard=shard.shard,
        key=shard.key,
        attempt=number,
        error=_line(error),
        replica=worker and worker.name,
        log=worker and worker.log,
        host=platform.node(),
        created=datetime.now(UTC).isoformat(),
    )


def _line(error: Exception) -> str:
    """What it is called, and what it says, in one line."""
    line = " ".join(f"{type(error).__name__}: {error}".split())
    return line if len(line) <= MOST_SHOWN else f"{line[:MOST_SHOWN]}…"
