"""Forks: runs that take over shards of another run by reference: their manifests name the run that has the data.

FORK/run.json, `lineage`     where the fork comes from; `homes`: the runs that hold what it took over, by name
ANCESTOR/forks/NAME.json     what a fork took over from this run: garbage collection and training leave it alone
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from storage.errors import StorageError
from storage.files import (
    fsync_path,
    fsync_tree,
    make_folder,
    naming,
    remove,
    require_new_folder,
    write_durably,
    write_replacing,
)
from storage.manifests import LOGGER, POLICIES, Manifest, manifest_path
from storage.runs import RUN_FILE, RunFolder

NOTES = "forks"


def create_fork(
    parent: RunFolder, path: Path, document: dict[str, Any], lineage: dict[str, Any], taken: Sequence[Manifest]
) -> RunFolder:
    """A new run in `path` that has the manifests `taken`, whole or not at all; their `table` is that of the new run.

    `lineage` is completed by where the parent is. Raises StorageError when `path` is there already and not empty.
    """
    path = path.resolve()
    require_new_folder(path)
    manifests = [replace(manifest, home=manifest.home or _home_name(parent)) for manifest in taken]
    lineage = {**_describe_origin(parent, path), **lineage, **_describe_homes(parent, path, manifests)}
    notes = _write_notes(parent, path, manifests)
    try:
        return _publish(path, {**document, "run_id": path.name, "lineage": lineage}, manifests)
    except BaseException:
        for note in notes:
            note.unlink(missing_ok=True)
        raise


def _publish(path: Path, document: dict[str, Any], manifests: Sequence[Manifest]) -> RunFolder:
    """Written aside, then renamed: a killed fork leaves a hidden folder, never half a run."""
    make_folder(path.parent)
    aside = path.parent / f".{path.name}-{os.getpid()}.fork"
    remove(aside)
    try:
        with naming(aside):
            draft = RunFolder.create(aside, document)
        for manifest in manifests:
            file = manifest_path(draft, manifest.table, manifest.round, manifest.shard, manifest.key)
            make_folder(file.parent)
            write_durably(file, manifest.to_json().encode())
        fsync_tree(aside)
        aside.replace(path)
        fsync_path(path.parent)
    finally:
        remove(aside)
    return RunFolder.open(path)


def _describe_origin(parent: RunFolder, path: Path) -> dict[str, str]:
    """The parent as `lineage` and `lineage.homes` name a run, for the fork in `path`."""
    return {
        "path": str(parent.path),
        "relative": os.path.relpath(parent.path, path),
        "run_id": parent.run_id,
        "created": str(parent.document.get("created")),
    }


def _describe_homes(parent: RunFolder, path: Path, manifests: Sequence[Manifest]) -> dict[str, Any]:
    """The runs that hold what was taken over, and which of them holds which round's policy."""
    homes = {
        name: _describe_origin(parent if name == _home_name(parent) else RunFolder.open(parent.home(name)), path)
        for name in sorted({manifest.home for manifest in manifests})
    }
    policies = {str(manifest.round): manifest.home for manifest in manifests if manifest.table == POLICIES}
    return {"homes": homes, "policies": policies}


def _home_name(run: RunFolder) -> str:
    """A run's name among a fork's homes: two folders of one name are told apart by when they were made."""
    return f"{run.run_id}-{_short_hash(str(run.document.get('created')))}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _write_notes(parent: RunFolder, path: Path, manifests: Sequence[Manifest]) -> list[Path]:
    """Leave a note in each run that something is taken from; a run that can't be written to keeps nothing for us."""
    written = []
    for name in sorted({manifest.home for manifest in manifests}):
        home = parent.path if name == _home_name(parent) else parent.home(name)
        taken = [manifest for manifest in manifests if manifest.home == name]
        policies = [manifest.round for manifest in taken if manifest.table == POLICIES]
        note = {
            "fork": str(path),
            "policy": max(policies, default=None),
            "files": sorted(manifest.file for manifest in taken),
        }
        file = home / NOTES / f"{path.name}-{_short_hash(str(path))}.json"
        try:
            make_folder(file.parent)
            write_replacing(home, file, json.dumps(note, indent=1).encode())
        except OSError as error:
            LOGGER.warning("%s: can't be noted that %s uses it (%s): keep what it holds", home, path, error.strerror)
        else:
            written.append(file)
    return written


def read_fork_notes(run: RunFolder) -> list[dict[str, Any]]:
    """What forks took over from this run: `fork` (a path), `files`, and `policy`, the last round of a policy."""
    notes = []
    for path in sorted((run.path / NOTES).glob("*.json")):
        try:
            note = json.loads(path.read_bytes())
        except ValueError as error:
            raise StorageError(f"{path} is damaged ({error}): remove it if no fork needs this run any more") from error
        notes.append(note)
    return notes


def find_dependent_fork(run: RunFolder, round: int) -> Path | None:
    """A fork that has yet to train on from the policy of `round`, and needs its trainer state; None without one."""
    for note in read_fork_notes(run):
        fork = Path(note["fork"])
        trained = any((fork / POLICIES).glob(f"round={round + 1:04d}-*.json"))
        if note["policy"] == round and (fork / RUN_FILE).is_file() and not trained:
            return fork
    return None
