"""Attempts at a shard that failed, a small file each, which stays when the run has ended. No result depends on them.

failures/TABLE/round=0000/shard-00003-KEY-NAME.json     KEY as in the name of the shard's manifest, NAME unlike others
"""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from dataclasses import asdict, dataclass, fields

from storage.errors import StorageError
from storage.logger import LOGGER
from storage.manifests import KEY_LETTERS
from storage.runs import RunFolder

FAILURES = "failures"
_PLACE = f"{FAILURES}/"
_NAME = re.compile(rf"{FAILURES}/.*/shard-\d+-([^-/]+)-[^/]*\.json")


@dataclass(frozen=True)
class Failure:
    """One attempt at a shard, and what it ended with."""

    stage: str
    table: str
    round: int
    shard: int
    key: str
    attempt: int
    """From 1 on."""
    error: str
    """One line."""
    replica: str | None
    """Whose job it was, where that is known."""
    log: str | None
    """Where that one's output went, on its host or on one that shares its folders."""
    host: str
    """Where the run was."""
    created: str
    """UTC, ISO 8601."""


def note_failure(run: RunFolder, failure: Failure) -> None:
    """Keep it, if that can be: the error itself is the news, and a disk that is full may be its reason."""
    where = f"{_PLACE}{failure.table}/round={failure.round:04d}"
    name = f"{where}/shard-{failure.shard:05d}-{failure.key[:KEY_LETTERS]}-{uuid.uuid4().hex[:8]}.json"
    try:
        run.store.create(name, json.dumps(asdict(failure), indent=1, ensure_ascii=False).encode())
    except (OSError, StorageError) as error:
        LOGGER.debug("%s: a failed attempt is not kept: %s", run.address, error)


def count_failures(run: RunFolder) -> Counter[str]:
    """How many attempts at a shard failed, by the first KEY_LETTERS letters of its key."""
    return Counter(match[1] for name in run.store.list_files(_PLACE) if (match := _NAME.fullmatch(name)))


def last_failures(run: RunFolder, most: int) -> list[Failure]:
    """The newest ones, newest first; files that aren't whole are left out."""
    entries = run.store.list_files(_PLACE)
    newest = sorted(entries, key=lambda name: (entries[name].modified, name), reverse=True)[:most]
    return [failure for name in newest if (failure := _read(run, name)) is not None]


def _read(run: RunFolder, name: str) -> Failure | None:
    try:
        content = json.loads(run.store.read(name))
        return Failure(**{field.name: content[field.name] for field in fields(Failure)})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
