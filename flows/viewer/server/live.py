"""A run that is served while it may go on: asked at one moment, looked at in the background, then asked at the next."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import suppress

from flows.viewer.documents.served import SERVED
from flows.viewer.documents.viewed import ViewedRun
from flows.viewer.server.arrivals import Sight, Watch
from flows.viewer.server.kept import KeptDocument
from mopd.errors import InputError
from storage.errors import StorageError
from storage.runs import RunFolder

WATCHED_SECONDS = 30.0
"""So long after somebody asked for a run it is looked at often."""
SHORT_PAUSE, LONG_PAUSE = 1.0, 20.0
"""Seconds between two looks at a run that somebody watches, and at another one."""
PAUSE_FACTOR = 20
"""A pause is at least so many times as long as the look before it: big runs, and those in buckets, take longer."""
QUICK_SECONDS = 0.5
"""A look that somebody who comes back may wait for."""
BIG = 2000
"""Shards of a run whose documents are made before anybody asks, where they are kept."""


class RunGone(InputError):
    """The run was removed, or moved, since it is served."""


class LiveRun:
    """One run: what is asked of it is answered as of its last moment, of which each look may begin another one."""

    def __init__(self, folder: RunFolder, id: str, memory_gigabytes: float | None = None) -> None:
        self.id, self.address = id, folder.address
        self._watch = Watch(folder.store)
        self._now = (ViewedRun(folder, id, memory_gigabytes=memory_gigabytes), 0)
        self._came: list[Counter[str]] = [Counter()]
        """At each moment, the rows of each table that came since the first."""
        self._sight: Sight | None = None
        self._looking = threading.Lock()
        self._asked, self._looked, self._took = -WATCHED_SECONDS, 0.0, 0.0
        self.kept = {name: KeptDocument(served.make) for name, served in SERVED.items() if served.is_kept}

    @property
    def viewed(self) -> ViewedRun:
        """The run at its last moment, for what nobody asked for."""
        return self._now[0]

    @property
    def moment(self) -> int:
        """The number of the last one, from 0 on."""
        return self._now[1]

    def view(self) -> tuple[ViewedRun, int]:
        """The run to ask, and the moment's number. Raises RunGone."""
        now = time.monotonic()
        is_back, self._asked = now - self._asked > WATCHED_SECONDS, now
        if is_back and self._took < QUICK_SECONDS:
            self.look()
        if self._sight is not None and self._sight.document is None:
            raise RunGone(f"{self.address}: the run was removed, or moved, since it is served")
        return self._now

    def came_since(self, moment: int) -> dict[str, int]:
        """Rows of each table that came since a moment."""
        before = self._came[min(max(moment, 0), len(self._came) - 1)]
        return dict(self._came[-1] - before)

    def is_due(self) -> bool:
        """Whether it is time to look at it."""
        now = time.monotonic()
        pause = SHORT_PAUSE if now - self._asked < WATCHED_SECONDS else LONG_PAUSE
        return now - self._looked > max(pause, PAUSE_FACTOR * self._took)

    def look(self) -> None:
        """Look at it, and begin another moment where it changed. What can't be reached is looked at another time."""
        with self._looking:
            began = time.monotonic()
            try:
                with suppress(StorageError, OSError):
                    self._compare(self._watch.look())
            finally:
                self._looked = time.monotonic()
                self._took = self._looked - began

    def _compare(self, sight: Sight) -> None:
        before = self._sight
        if sight == before:
            return
        if sight.document is not None:
            came = Counter[str]() if before is None else self._watch.count(before, sight)
            viewed = self.viewed.later(RunFolder.open(self.viewed.folder.store), sight.holder)
            self._came.append(self._came[-1] + came)
            self._now = (viewed, len(self._came) - 1)
            if before is None and len(sight.manifests) > BIG:
                for document in self.kept.values():
                    document.begin(*self._now)
        self._sight = sight
