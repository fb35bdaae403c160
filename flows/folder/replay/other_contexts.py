"""Other contexts of rollouts that are there: what they would be in a fork of the run that has other settings.

They have the keys that they would have there, so that a fork takes them over, and whoever asks for the same finds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flows.folder.open import check_inputs_unchanged
from flows.folder.policies import keeps_trainer_state
from flows.folder.replay.fork import overridden
from flows.plan.conditions import CONTROL, candidate_settings, named_conditions
from flows.plan.run import DIGESTS, RunPlan
from flows.plan.shard import ContextShards, RoundPlan, Shard
from flows.runtime.shell import shell_command
from mopd.errors import InputError
from mopd.models.teachers import has_weights
from mopd.settings import Settings
from storage.lookup import scan
from storage.runs import RunFolder

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")


@dataclass(frozen=True)
class OtherContexts:
    """A round's rollouts under other settings than the run's."""

    name: str
    """That their rows get in the tables."""
    overrides: list[str]
    settings: Settings
    part: RoundPlan
    """The round as a fork with these settings would have it."""
    shards: ContextShards
    """Under the name, but for what the run itself has; of the candidates that the round needs."""

    @property
    def round(self) -> int:
        """Whose rollouts they are shown for."""
        return self.part.policy.round

    def made_by(self, *, scores: bool) -> list[Shard]:
        """What `mopd condition`, or `mopd score`, makes."""
        return [*self.shards.contexts, *self.shards.scores] if scores else self.shards.contexts


def plan_contexts(
    folder: RunFolder,
    run: RunPlan,
    round: int,
    name: str,
    overrides: list[str],
    digests: dict[str, Any] | None = None,
) -> OtherContexts:
    """The contexts of a round under these overrides, not checked; `digests` where they are not those of the run.

    Raises InputError for settings that are impossible, and for those of before the round was redone.
    """
    plan = run.at(round)
    settings = overridden(folder, plan.settings, overrides).model_copy(update={"rounds": round + 1})
    digests = digests or {key: getattr(plan, key) for key in DIGESTS}
    part = run.forked(round, RunPlan(settings, **digests)).rounds[round]
    needed = run.rounds[round].needed(folder)
    shards = ContextShards("", part.contexts, part.scores, part.signals).first(len(needed.verdicts))
    refuse_superseded(folder, [*part.verdicts, *shards.contexts], overrides)
    shards = shards.named(name, tuple(overrides)).known_as({shard.key: shard for shard in needed.all()})
    return OtherContexts(name, overrides, settings, part, shards)


def refuse_superseded(folder: RunFolder, shards: Iterable[Shard], overrides: Sequence[str]) -> None:
    """What the run itself had is in its tables under no other name: whoever makes it would never see it."""
    gone = next((shard for shard in shards if shard.key in folder.superseded), None)
    if gone is not None:
        fork = shell_command("fork", folder.address, "NEW", round=gone.round, set=list(overrides))
        raise InputError(
            f"--round {gone.round}: its {gone.table} under these settings were the run's own until it was redone, and "
            f"are superseded; {shell_command('rerun', folder.address, '--undo')} brings them back, or {fork} makes "
            "them in another run"
        )


def split_place(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Overrides of what is made, which a name stands for, and those of where it is made this time."""
    place = [override for override in overrides if override.partition("=")[0].split(".")[0] == "place"]
    return [override for override in overrides if override not in place], place


def open_contexts(folder: RunFolder, round: int, name: str, overrides: list[str], *, scores: bool) -> OtherContexts:
    """The contexts `name` of a round: by the settings that others were made by, with `overrides`. Nothing is written.

    Raises InputError or StorageError for what can't be made: no rollouts, other settings than the name stands for, a
    teacher that was removed.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"--name {name!r}: must be up to 40 small letters, digits and any of _ . -, the first a letter or digit"
        )
    run, (overrides, _) = RunPlan.of(folder), split_place(overrides)
    check_round(folder, run, round)
    if name in (CONTROL, *candidate_settings(run.at(round).settings)):
        raise InputError(f"--name {name}: is a name of what runs make by themselves; take another one")
    earlier = named_conditions(folder).get(name, [])
    settings = overridden(folder, run.at(round).settings, [*earlier, *overrides])
    changes_nothing = settings == overridden(folder, run.at(round).settings, earlier)
    overrides = earlier if changes_nothing else [*earlier, *overrides]
    inputs = check_inputs_unchanged(folder, run.at(round), settings)
    contexts = plan_contexts(folder, run, round, name, overrides, {key: inputs[key] for key in DIGESTS})
    check_rollouts(folder, run, contexts)
    _check_differs(folder, run, contexts, scores=scores)
    if earlier and overrides != earlier:
        _check_same(folder, plan_contexts(folder, run, round, name, earlier), contexts)
    if scores:
        refuse_superseded(folder, contexts.shards.scores, overrides)
    if scores and run.missing_of(folder, contexts.shards.scores):
        check_teacher(folder, run, contexts)
    return contexts


def check_round(folder: RunFolder, run: RunPlan, round: int) -> None:
    """Raises InputError for a round that the run won't have."""
    if not 0 <= round < run.settings.rounds:
        raise InputError(f"--round {round}: {folder.address} has rounds 0 to {run.settings.rounds - 1}")


def check_rollouts(folder: RunFolder, run: RunPlan, contexts: OtherContexts) -> None:
    """Other contexts are shown for the run's own rollouts and verdicts, and these are there."""
    part = run.rounds[contexts.round]
    if _keys(contexts.part.verdicts) != _keys(part.verdicts):
        raise InputError(
            f"--set {' --set '.join(contexts.overrides)}: would give other rollouts or verdicts, and contexts are made "
            "of the run's own; fork the run instead"
        )
    if any(shard.find(folder) is None for shard in part.needed(folder).verdicts):
        raise InputError(
            f"--round {contexts.round}: its rollouts are not all there and judged yet; "
            f"{shell_command('run', folder.address)} first"
        )


def check_teacher(folder: RunFolder, run: RunPlan, contexts: OtherContexts) -> None:
    """Scores need the round's policy, and the teacher as it was then."""
    round = contexts.round
    if round and run.rounds[round - 1].policy.find(folder) is None:
        command = shell_command("run", folder.address)
        raise InputError(f"--round {round}: its policy is not trained yet; {command} first")
    if has_weights(contexts.settings.train.teacher) and not keeps_trainer_state(folder, round):
        raise InputError(
            f"--round {round}: the teacher of this round was removed (train.keep_trainer_states); score a round "
            "that still has it, or --set train.teacher to one without weights of its own, e.g. frozen"
        )


def _keys(shards: Iterable[Shard]) -> list[str]:
    return [shard.key for shard in shards]


def _check_differs(folder: RunFolder, run: RunPlan, contexts: OtherContexts, *, scores: bool) -> None:
    table = "scores" if scores else "contexts"
    if _keys(getattr(contexts.part, table)) != _keys(getattr(run.rounds[contexts.round], table)):
        return
    names = ", ".join(named_conditions(folder))
    known = f"give a name that stands for others ({names}), or " if names else ""
    raise InputError(
        f"--name {contexts.name}: these are the settings of the run's own {table}; {known}--set something else"
    )


def _check_same(folder: RunFolder, old: OtherContexts, new: OtherContexts) -> None:
    """A name that has shards keeps the settings that these were made by."""
    for table in ("contexts", "scores"):
        is_same = _keys(getattr(old.part, table)) == _keys(getattr(new.part, table))
        if not is_same and scan(folder, table, name=new.name)[0]:
            raise InputError(
                f"--name {new.name}: its {table} were made with {', '.join(old.overrides)}; take another name"
            )
