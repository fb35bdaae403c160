"""Where a run's policies lie, and what stands beside them: an adapter's base, the trainer's state, the teacher."""

from __future__ import annotations

from pathlib import Path

from flows.folder.commits import commits_of, pinned
from flows.plan.conditions import settings_of
from flows.plan.run import TRAINER
from mopd.models.folders import ADAPTER, ADAPTER_CONFIG
from mopd.models.teachers import TEACHER_FOLDER, has_weights
from mopd.settings import Settings
from storage.errors import StorageError
from storage.lookup import data_name, manifests
from storage.manifests import POLICIES
from storage.policies import checked_folder, has_trainer_state
from storage.runs import RunFolder
from storage.shards import Manifest, read_rows, remove_trainer_state


def policy_folder(folder: RunFolder, version: int) -> Path:
    """Where policy `version` lies on this host: the initial model, or what round `version - 1` trained, its bytes
    checked."""
    if version:
        return checked_folder(folder, _find_policy(folder, version))
    from mopd.hub.names import model_name
    from mopd.models.folders import resolve_model

    path = pinned(settings_of(folder), commits_of(folder)).model.path
    name = model_name(path)
    was_folder = name is not None and name.commit is None  # else the run would know its commit
    return resolve_model(Path(path).absolute() if was_folder else path)


def base_folder(folder: RunFolder, version: int) -> Path | None:
    """Where what the adapter of policy `version` is put on lies. None where it has none."""
    base = base_version(folder, version)
    return policy_folder(folder, base) if base < version else None


def base_version(folder: RunFolder, version: int) -> int:
    """What the adapter of policy `version` is put on: the newest policy without one; itself where it has none."""
    while version and has_adapter(_find_policy(folder, version)):
        version -= 1
    return version


def has_adapter(policy: Manifest) -> bool:
    """Whether a policy is an adapter that is put on an earlier one."""
    return f"{ADAPTER}/{ADAPTER_CONFIG}" in policy.files


def keeps_trainer_state(folder: RunFolder, version: int) -> bool:
    """Whether optimizer and teacher of policy `version` are there; the initial one needs none."""
    return not version or any(has_trainer_state(folder, policy) for policy in manifests(folder, POLICIES, version - 1))


def trainer_folder(folder: RunFolder, version: int) -> Path:
    """Trainer state of policy `version` > 0, its bytes checked. Raises StorageError where it was removed."""
    policy = _find_policy(folder, version)
    if not has_trainer_state(folder, policy):
        raise StorageError(
            f"{data_name(folder, policy)}/{TRAINER} was removed (train.keep_trainer_states): what needs it can't be "
            "made again; start a new run"
        )
    return checked_folder(folder, policy, removable=True) / TRAINER


def teacher_state(folder: RunFolder, settings: Settings, version: int) -> Path | None:
    """The trainer state with the weights of policy `version`'s teacher; None at first, and where it has none."""
    return trainer_folder(folder, version) if version and has_weights(settings.train.teacher) else None


def remove_old_states(folder: RunFolder, round: int, settings: Settings) -> None:
    """Remove the trainer states that aren't kept once `round` is trained."""
    kept = wanted_by_rollbacks(folder, settings, round)
    for old in range(round - settings.train.keep_trainer_states + 1):
        if old + 1 not in kept:
            remove_trainer_state(folder, old)


def wanted_by_rollbacks(folder: RunFolder, settings: Settings, round: int) -> set[int]:
    """Policies that a later guard may lead back to: the best one before `round`, and the one that this began with."""
    if not settings.guards.rolls_back:
        return set()
    shards = manifests(folder, "guards", round)
    references = [row for guards in shards for row in read_rows(folder, guards, ["reference_round"])]
    return {round, *(row["reference_round"] for row in references if row["reference_round"] is not None)}


def gather_trainer_state(out: Path) -> None:
    """Put what may be removed later under one name, apart from the policy."""
    target = out / TRAINER
    target.mkdir()
    for name in ("optimizer.safetensors", "trainer.json"):
        (out / name).rename(target / name)
    if (out / TEACHER_FOLDER).is_dir():
        (out / TEACHER_FOLDER).rename(target / TEACHER_FOLDER)


def _find_policy(folder: RunFolder, version: int) -> Manifest:
    policies = manifests(folder, POLICIES, version - 1)
    if not policies:
        raise StorageError(f"{folder.address}: round {version - 1} has no whole policy; run again to make it again")
    return policies[0]
