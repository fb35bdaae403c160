"""Forks: runs that take over shards of another run by reference: their manifests name the run that has the data.

FORK/run.json, `lineage`     where the fork comes from; `homes`: the runs that hold what it took over, by name
ANCESTOR/forks/NAME.json     what a fork took over from this run: garbage collection and training leave it alone
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from storage.errors import StorageError
from storage.json_files import parse_json
from storage.logger import LOGGER
from storage.manifests import POLICIES, Manifest, round_of
from storage.runs import RUN_FILE, RunFolder, new_run
from storage.stores.base import Store

NOTES = "forks"


def create_fork(
    parent: RunFolder, store: Store, document: dict[str, Any], lineage: dict[str, Any], taken: Sequence[Manifest]
) -> RunFolder:
    """A new run in `store` that has the manifests `taken`, whole or not at all; their `table` is that of the new run.

    `lineage` is completed by where the parent is. Raises StorageError where something lies there already.
    """
    require_new(store)
    manifests = [replace(manifest, home=manifest.home or _home_name(parent)) for manifest in taken]
    address = store.address
    lineage = {**_describe_origin(parent, address), **lineage, **_describe_homes(parent, address, manifests)}
    draft = RunFolder(store, {**document, "lineage": lineage})
    files = {manifest.name_in(draft): manifest.to_json().encode() for manifest in manifests}
    notes = _write_notes(parent, store, manifests)
    try:
        store.create_all({**files, RUN_FILE: new_run(store, draft.document)})
    except BaseException:
        for home, name in notes:
            home.remove(name)
        raise
    return RunFolder.open(store)


def require_new(store: Store) -> None:
    """Raises StorageError where something lies already."""
    if not store.is_empty():
        raise StorageError(f"{store.address}: is there already and not empty; name a new folder")


def _describe_origin(parent: RunFolder, address: str) -> dict[str, str]:
    """The parent as `lineage` and `lineage.homes` name a run, for the fork at `address`."""
    return {
        "path": parent.address,
        "relative": parent.store.path_from(address),
        "run_id": parent.run_id,
        "created": str(parent.document.get("created")),
    }


def _describe_homes(parent: RunFolder, address: str, manifests: Sequence[Manifest]) -> dict[str, Any]:
    """The runs that hold what was taken over."""
    homes = {
        name: _describe_origin(parent if name == _home_name(parent) else RunFolder.open(parent.home(name)), address)
        for name in sorted({manifest.home for manifest in manifests})
    }
    return {"homes": homes}


def _home_name(run: RunFolder) -> str:
    """A run's name among a fork's homes: two folders of one name are told apart by when they were made."""
    return f"{run.run_id}-{_short_hash(str(run.document.get('created')))}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _write_notes(parent: RunFolder, fork: Store, manifests: Sequence[Manifest]) -> list[tuple[Store, str]]:
    """Leave a note in each run that something is taken from; a run that can't be written to keeps nothing for us."""
    written, address = [], fork.address
    for name in sorted({manifest.home for manifest in manifests}):
        home = parent.store if name == _home_name(parent) else parent.home(name)
        taken = [manifest for manifest in manifests if manifest.home == name]
        policies = [manifest.round for manifest in taken if manifest.table == POLICIES]
        note = {
            "fork": address,
            "relative": fork.path_from(home.address),
            "policy": max(policies, default=None),
            "files": sorted(manifest.file for manifest in taken),
        }
        file = f"{NOTES}/{address.rpartition('/')[2]}-{uuid.uuid4().hex[:8]}.json"  # nobody removes another's
        try:
            home.replace(file, json.dumps(note, indent=1).encode())
        except (OSError, StorageError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            LOGGER.warning("%s: can't be noted that %s uses it (%s): keep what it holds", home.address, address, reason)
        else:
            written.append((home, file))
    return written


def read_fork_notes(run: RunFolder) -> list[dict[str, Any]]:
    """What forks took over from this run: `fork` (an address), `files`, and `policy`, the last round of a policy."""
    notes = []
    for name in run.store.list_files(f"{NOTES}/"):
        try:
            notes.append(parse_json(run.store.read(name)))
        except FileNotFoundError:  # of a fork that could not be made
            continue
        except StorageError:  # the store, not the note
            raise
        except ValueError as error:
            file = f"{run.address}/{name}"
            raise StorageError(f"{file} is damaged ({error}): remove it if no fork needs this run any more") from error
    return notes


def find_dependent_fork(run: RunFolder, round: int) -> str | None:
    """A fork that has yet to train on from the policy of `round`, and needs its trainer state; None without one."""
    for note in read_fork_notes(run):
        if note["policy"] != round:
            continue
        for place in dict.fromkeys(note.get(name, note["fork"]) for name in ("relative", "fork")):
            fork = run.store.beside(place)  # both may have been moved together
            trained = any(round_of(name) == round + 1 for name in fork.list_files(f"{POLICIES}/"))
            if fork.stat(RUN_FILE) is not None and not trained:
                return fork.address
    return None
