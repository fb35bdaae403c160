"""Policies in a run: where their folders go, and what of them is there, as files of this host."""

from __future__ import annotations

import uuid
from pathlib import Path

from storage.errors import StorageError
from storage.manifests import KEY_LETTERS, Manifest, ancestor_error, is_removable, manifest_name
from storage.runs import RunFolder
from storage.stores.base import Damaged

WEIGHTS_ENDING = ".safetensors"


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
        if is_removable(name) == removable and (weights or not name.endswith(WEIGHTS_ENDING))
    }
    home = run.home(manifest.home)
    try:
        return home.local_folder(manifest.file, files)
    except Damaged as error:
        file = f"{home.address}/{error}"
        if manifest.home:
            raise ancestor_error(run, f"{file} is damaged or missing") from error
        name = manifest_name(run, manifest.table, manifest.round, manifest.shard, manifest.key)
        raise StorageError(
            f"{file} is damaged or missing: remove {home.address}/{manifest.file} and {home.address}/{name}, then run "
            "again"
        ) from error


def has_trainer_state(run: RunFolder, policy: Manifest) -> bool:
    """Whether the trainer state beside a policy is still there."""
    state = {f"{policy.file}/{name}" for name in policy.files if is_removable(name)}
    return not state.isdisjoint(run.home(policy.home).list_files(f"{policy.file}/"))
