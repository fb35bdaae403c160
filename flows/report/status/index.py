"""What was said of finished rounds of many shards, so that nobody has to look at each of these again.

RUN/index/status    like the rest of the index a hint: what it says of a round counts while a listing shows the same
                    files, sizes and stamps in that round and those before it, and run.json is the same
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from flows.plan.run import RunPlan
from flows.plan.stage import STAGES
from storage.errors import StorageError
from storage.index import INDEX, MANY, describe, fingerprint
from storage.logger import LOGGER
from storage.lookup import list_round
from storage.runs import RunFolder

FORMAT = 2
"""Raise it when what is said of a round changes."""
STATUS_FILE = f"{INDEX}/status"
Entry = dict[str, Any]
"""Of `rounds` in the state of a run."""


class StatusIndex:
    """Rounds by their number; of a fork nothing is kept, as parts of it lie elsewhere."""

    def __init__(self, folder: RunFolder, plan: RunPlan) -> None:
        self._folder = folder
        self._is_worth = plan.num_train_shards >= MANY and not folder.lineage
        self._made_by = _hash_run(folder)
        self._known: dict[str, dict[str, Any]] = self._read() if self._is_worth else {}
        self._listings: dict[int, str] = {}

    def look_again(self) -> None:
        """Files may have come since the last look."""
        self._listings.clear()

    def find(self, round: int) -> Entry | None:
        """What was said of a round, where it still holds."""
        known = self._known.get(str(round))
        if known is None or known["listing"] != self._listing(round):
            return None
        entry: Entry = known["entry"]
        return entry

    def keep(self, rounds: dict[int, Entry]) -> None:
        """Keep what is said of finished rounds, if that can be."""
        new = [round for round, entry in rounds.items() if entry["finished"] and not self._has(round, entry)]
        if not self._is_worth or not new:
            return
        self._known |= {str(round): {"listing": self._listing(round), "entry": rounds[round]} for round in new}
        content = {"format": FORMAT, "made_by": self._made_by, "rounds": self._known}
        try:
            self._folder.store.replace(STATUS_FILE, json.dumps(content).encode())
        except (OSError, StorageError) as error:
            LOGGER.debug("%s is not kept: %s", STATUS_FILE, error)

    def _has(self, round: int, entry: Entry) -> bool:
        known = self._known.get(str(round))
        return known is not None and known["entry"] is entry

    def _listing(self, round: int) -> str:
        """One hash for the files of a round and of all before it, from which it may have been made."""
        if round not in self._listings:
            files = {name: fingerprint(entry) for name, entry in list_round(self._folder, round).items()}
            before = self._listing(round - 1) if round else ""
            self._listings[round] = describe({"before": before, **files})
        return self._listings[round]

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            content = json.loads(self._folder.store.read(STATUS_FILE))
            if (content["format"], content["made_by"]) == (FORMAT, self._made_by):
                rounds: dict[str, dict[str, Any]] = content["rounds"]
                return rounds
        except (OSError, StorageError, ValueError, KeyError, TypeError):
            pass
        return {}


def _hash_run(folder: RunFolder) -> str:
    """What decides, beside the files, which shards are the run's."""
    versions = {stage.table: stage.version for stage in STAGES.values()}
    return hashlib.sha256(json.dumps([folder.document, versions], sort_keys=True).encode()).hexdigest()
