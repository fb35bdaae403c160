"""The runs that are served: those that the command's words name, now."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence

from flows.viewer.documents.directory import directory
from flows.viewer.documents.measures import analyses
from flows.viewer.documents.viewed import Json, viewed_runs
from flows.viewer.server.live import LiveRun, RunGone
from flows.viewer.words import find_runs, split_words
from mopd.errors import InputError
from storage.errors import StorageError
from storage.runs import RunFolder, is_run

LIST_PAUSE = 2.0
"""Seconds between two looks for runs that came or went, where these take little."""
PAUSE_FACTOR = 20
TICK_SECONDS = 0.2


class ServedRuns:
    """Runs by their ids, each live; they come and go as they do on disk."""

    def __init__(self, words: Sequence[str], memory_gigabytes: float | None = None) -> None:
        """`memory_gigabytes`: that questions of one run may take. Raises InputError for words that name no run."""
        self._words, self._reports = split_words(words)
        self._memory_gigabytes = memory_gigabytes
        self._live: dict[tuple[str, str], LiveRun] = {}
        """By address and id."""
        self._problem: str | None = None
        self._faults: set[str] = set()
        self.edition = 0
        """Another number whenever the list of runs is another one."""
        self._looked, self._took = 0.0, 0.0
        folders, self._measured = find_runs(self._words)
        self._list(folders)

    def find(self, id: str) -> LiveRun:
        """A run by its id. Raises RunGone."""
        for live in self.all():
            if live.id == id:
                return live
        raise RunGone(f"no run that is served is called {id}: it was removed, or is called otherwise now")

    def some(self, ids: Sequence[str] | None) -> list[LiveRun]:
        """Those of a list of ids, all for None. Raises RunGone, also where there is none at all."""
        lives = self.all() if ids is None else [self.find(id) for id in ids]
        if not lives:
            raise RunGone("no run is served now: those that were are gone")
        return lives

    def all(self) -> list[LiveRun]:
        """In the order of the words."""
        return list(self._live.values())

    def directory(self) -> Json:
        """What the page knows before it asks for anything."""
        known = {"made": None, "edition": self.edition, "measures": len(self.reports())}
        return {**directory([live.viewed for live in self.all()], self.left_out()), **known}

    def reports(self) -> list[Json]:
        """What was measured of the runs, and lies in them, then what the words name."""
        return [*(report for live in self.all() for report in analyses(live.viewed)), *self._measured, *self._reports]

    def left_out(self) -> list[str]:
        """A line for each shard that answers had to leave out, and one where the runs can no longer be listed."""
        lives = self.all()
        lines = [
            f"{live.id}: {line}" if len(lives) > 1 else line for live in lives for line in live.viewed.shown_problems
        ]
        return [*([self._problem] if self._problem else []), *lines]

    def close(self) -> None:
        """Nothing more is asked."""
        for live in self.all():
            live.viewed.catalog.close()
        self._live = {}

    def look_on(self, ended: threading.Event) -> None:
        """Look at all of it, now and again, until it has ended."""
        while not ended.wait(TICK_SECONDS):
            if time.monotonic() - self._looked > max(LIST_PAUSE, PAUSE_FACTOR * self._took):
                self._try(self.look)
            for live in self.all():
                if live.is_due():
                    self._try(live.look)

    def look(self) -> None:
        """Look for runs that came or went."""
        began = time.monotonic()
        try:
            self._list(self._open())
        finally:
            self._looked = time.monotonic()
            self._took = self._looked - began

    def _open(self) -> list[RunFolder]:
        try:
            folders, self._measured = find_runs(self._words)
        except (InputError, StorageError, OSError) as error:
            self._problem = " ".join(str(error).split())
            return [live.viewed.folder for live in self.all() if not _is_gone(live.viewed.folder)]
        self._problem = None
        return folders

    def _try(self, look: Callable[[], None]) -> None:
        """A fault of ours, said once in the terminal, ends no other look, nor the next one."""
        try:
            look()
        except Exception as error:
            if repr(error) not in self._faults:
                self._faults.add(repr(error))
                traceback.print_exception(error)

    def _list(self, folders: Sequence[RunFolder]) -> None:
        named = {(run.folder.address, run.id): run.folder for run in viewed_runs(list(folders))}
        if named.keys() != self._live.keys():
            self._live = {
                key: self._live.get(key) or LiveRun(folder, key[1], self._memory_gigabytes)
                for key, folder in named.items()
            }
            self.edition += 1


def _is_gone(folder: RunFolder) -> bool:
    """Whether nothing is there any more; what can't be reached may be."""
    try:
        return not is_run(folder.store)
    except (StorageError, OSError):
        return False
