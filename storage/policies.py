"""Policies in a run: where their folders go, and what of them is there, as files of this host."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from storage.errors import DAMAGED, StorageError, damaged_error
from storage.lookup import ancestor_error, data_name
from storage.manifests import KEY_LETTERS, REMOVED, Manifest, is_removable, is_weights
from storage.runs import RunFolder
from storage.stores.base import Damaged


def policy_name(run: RunFolder, round: int) -> str:
    """Where a new policy of a round goes."""
    attempt = "" if run.store.renames else f"/{uuid.uuid4().hex[:KEY_LETTERS]}"
    return f"{run.policy_place(round)}{attempt}"


def policy_depth(run: RunFolder) -> int:
    """Parts in the name of a policy's folder: `policies/round=0000`, and an attempt's name where nothing is renamed."""
    return 2 if run.store.renames else 3


def checked_folder(run: RunFolder, manifest: Manifest, *, removable: bool = False, weights: bool = True) -> Path:
    """A policy, or (removable) its trainer state, as a folder on this host; the bytes are those committed.

    `weights`: whether they are needed; without them, what is small is there.
    Raises StorageError naming the first file that differs or is missing.
    """
    files = {
        name: entry
        for name, entry in manifest.files.items()
        if is_removable(name) == removable and (weights or not is_weights(name))
    }
    if manifest.removed and any(map(is_weights, files)):
        raise removed_error(run, manifest)
    home = run.home(manifest.home)
    try:
        return home.local_folder(manifest.file, files)
    except Damaged as error:
        if manifest.home:
            raise ancestor_error(run, f"{home.address}/{error} {DAMAGED}") from error
        raise damaged_error(run.address, str(error)) from error


def removed_error(run: RunFolder, policy: Manifest) -> StorageError:
    """What is raised for a policy whose weights were removed on purpose."""
    return StorageError(
        f"{data_name(run, policy)} of {run.address}: its weights were removed by mopd gc ({policy.removed}); the same "
        "settings in a new folder make it again"
    )


def remove_weights(run: RunFolder, policy: Manifest) -> None:
    """Remove a policy's weights and trainer state on purpose: its manifest says so before any of them goes."""
    name = policy.name_in(run)
    info = {**policy.info, REMOVED: policy.removed or datetime.now(UTC).isoformat(timespec="seconds")}
    run.store.replace(name, replace(policy, info=info).to_json().encode())
    for file in list_weights(run, policy):
        run.store.remove(file)


def list_weights(run: RunFolder, policy: Manifest) -> dict[str, int]:
    """The files of a policy's weights and trainer state that are there, and the bytes of each."""
    there = run.store.list_files(f"{policy.file}/")
    names = (f"{policy.file}/{name}" for name in policy.files if is_removable(name) or is_weights(name))
    return {name: there[name].bytes for name in names if name in there}


def has_trainer_state(run: RunFolder, policy: Manifest) -> bool:
    """Whether the trainer state beside a policy is still there."""
    state = {f"{policy.file}/{name}" for name in policy.files if is_removable(name)}
    return not state.isdisjoint(run.home(policy.home).list_files(f"{policy.file}/"))
