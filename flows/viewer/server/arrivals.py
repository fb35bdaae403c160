"""What comes to a run, by listings one after the other: rows of which tables, and whether it is the same run still."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from flows.report.watch.look import HolderWatch
from storage.manifests import TABLES, Manifest, round_of
from storage.runs import RUN_FILE
from storage.stores.base import Entry, Holder, Store


@dataclass(frozen=True)
class Sight:
    """A run at one moment, by what a listing says of it."""

    document: Entry | None
    """Its `run.json`; None where the run is gone."""
    manifests: Mapping[str, str]
    """Their names, with what tells that a name has got another file."""
    holder: Holder
    """Who is at work on it, without the beats that say so."""


class Watch:
    """Looks at a run again and again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._holding = HolderWatch(store)

    def look(self) -> Sight:
        """The run now. Raises StorageError where the store is away."""
        names: dict[str, str] = {}
        for table in TABLES:
            listed = self._store.list_names(f"{table}/")
            names |= {name: said for name, said in listed.items() if round_of(name) is not None}
        return Sight(self._store.stat(RUN_FILE), names, replace(self._holding.look(), beat=""))

    def count(self, before: Sight, now: Sight) -> Counter[str]:
        """Rows of each table that came between two looks."""
        came: Counter[str] = Counter()
        for name in dict(now.manifests.items() - before.manifests.items()):
            manifest = Manifest.read_whole(self._store, name)
            if manifest is not None and manifest.rows:
                came[manifest.table] += manifest.rows
        return came
