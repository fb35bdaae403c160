"""What is seen of a run at one moment: its state from manifests, who holds it, and what that process says it is at."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from flows.folder.progress_file import read_progress
from flows.report.status.guards import stopped_text
from flows.report.status.state import StatusReader
from storage.runs import RunFolder
from storage.stores import lease
from storage.stores.base import Holder, Store


class State(NamedTuple):
    """How a run ended, or that it goes on."""

    kind: Literal["finished", "stopped", "running", "unfinished"]
    text: str


@dataclass(frozen=True)
class Look:
    """A run at one moment."""

    status: dict[str, Any]
    """As `mopd status --json` prints it."""
    holder: Holder
    progress: dict[str, Any] | None
    """Of the process that holds it; None where none does, or it has not said anything yet."""

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return bool(self.status["finished"])

    @property
    def state(self) -> State:
        """How it ended, or who runs it."""
        return state_of(self.status, self.holder)


def state_of(status: dict[str, Any], holder: Holder, *, is_watched: bool = True) -> State:
    """Its end comes before who holds it: what ended is held for a while yet, also by who only looks into it.

    `is_watched`: whether the holder was looked at for a while; else the words say where one look can't tell.
    """
    if status["finished"]:
        return State("finished", "finished")
    if stopped := stopped_text(status["guards"]):
        return State("stopped", f"not finished, {stopped}")
    if not holder.held:
        return State("unfinished", "not finished, and nobody runs it")
    text = f"run by {holder.text}"
    if holder.beat and not is_watched:
        text += ", unless that process died: of a run in a bucket one look can't tell"
    return State("running", text)


class Looker:
    """Looks at a run, cheaply from the second time on."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._reader = StatusReader(folder)
        self._holding = HolderWatch(folder.store)

    def look(self) -> Look:
        """The run now. The holder is looked at first: one that ends meanwhile has left all that it made."""
        holder = self._holding.look()
        progress = read_progress(self._folder) if holder.held else None
        return Look(self._reader.read(), holder, progress)


class HolderWatch:
    """Who holds a run, by looks one after the other: of a lease in a bucket one alone can't tell."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._beat, self._since = "", time.monotonic()

    def look(self) -> Holder:
        """Who holds it now; nobody, where a lease that is written again and again no longer is."""
        holder, now = self._store.holder(), time.monotonic()
        if holder.beat != self._beat:
            self._beat, self._since = holder.beat, now
        is_silent = holder.beat and now - self._since > lease.PATIENCE_SECONDS
        return Holder(holder.text, held=holder.held and not is_silent, beat=holder.beat)
