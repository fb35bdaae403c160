"""Copying a policy out of a run."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from flows.plan.run import TRAINER, RunPlan
from mopd.errors import InputError
from storage.files import require_new_folder
from storage.policies import checked_folder
from storage.runs import RunFolder


def export_policy(folder: RunFolder, round: int, target: Path) -> Path:
    """Copy the policy that `round` trained to `target`, whole or not at all; returns the target.

    Raises InputError for a round that has no policy; StorageError for a target that is not empty, and for a policy
    whose bytes aren't those that were committed.
    """
    rounds = RunPlan.of(folder).rounds
    if not 0 <= round < len(rounds):
        raise InputError(f"--round {round}: the run has rounds 0 to {len(rounds) - 1}")
    policy = rounds[round].policy.committed(folder)
    if policy is None:
        raise InputError(f"--round {round}: has no policy yet; run it first")
    require_new_folder(target)
    whole = checked_folder(folder, policy)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.parent / f".{target.name}-{uuid.uuid4().hex}"
    try:
        shutil.copytree(whole, aside, ignore=shutil.ignore_patterns(TRAINER))
        aside.replace(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target
