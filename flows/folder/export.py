"""A policy out of a run: its files, and a copy of them."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from flows.plan.run import RunPlan
from flows.plan.shard import RoundPlan
from mopd.errors import InputError
from storage.errors import StorageError
from storage.lookup import collected_problems
from storage.manifests import Manifest, is_removable
from storage.policies import checked_folder
from storage.runs import RunFolder
from storage.stores.files import require_new_folder

Files = Mapping[str, Path | bytes]
"""By name within a folder: a file of this host, or what is to be in it."""


def exported_policy(folder: RunFolder, round: int) -> Manifest:
    """The policy that `round` trained. Raises InputError for a round that has none, StorageError for a damaged one."""
    rounds = RunPlan.of(folder).rounds
    if not 0 <= round < len(rounds):
        raise InputError(f"--round {round}: the run has rounds 0 to {len(rounds) - 1}")
    policy = find_policy(folder, rounds[round])
    if policy is None:
        raise InputError(f"--round {round}: has no policy yet; run it first")
    return policy


def find_policy(folder: RunFolder, part: RoundPlan) -> Manifest | None:
    """The policy that a round trained; None where it has none yet. Raises StorageError for a damaged one."""
    with collected_problems() as problems:
        policy = part.policy.committed(folder)
    if problems:
        raise StorageError(problems[0])
    return policy


def policy_files(folder: RunFolder, round: int) -> dict[str, Path]:
    """The files of the policy that `round` trained, trainer state apart.

    Raises InputError for a round that has no policy; StorageError for one whose bytes aren't those that were committed.
    """
    policy = exported_policy(folder, round)
    whole = checked_folder(folder, policy)
    return {name: whole / name for name in policy.files if not is_removable(name)}


def export_files(files: Files, target: Path) -> Path:
    """Put the files into a new folder, whole or not at all; returns it. Raises StorageError where it is not empty."""
    require_new_folder(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.parent / f".{target.name}-{uuid.uuid4().hex}"
    try:
        for name, content in files.items():
            path = aside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                shutil.copy2(content, path)
        aside.replace(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target
