"""`mopd condition` and `mopd score`: other contexts and scores of rollouts that are there, on a side of the run.

A side's shards have the keys that they would have in a run of the side's settings, so that a fork takes them over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from flows.command_text import shell_command
from flows.fork import check_inputs_unchanged, has_trainer_state, overridden
from flows.launch import command_session, launch
from flows.plan import DIGESTS, RunPlan
from flows.shard import RoundPlan, Shard, on_side
from flows.stage_settings import CONTROL, PROBE
from mopd.errors import InputError
from mopd.models.teachers import has_weights
from mopd.settings import Settings
from storage.manifests import manifest_paths
from storage.runs import RunFolder
from storage.sides import check_side_name, read_side


@dataclass(frozen=True)
class SidePlan(RunPlan):
    """The plan of a fork that isn't made: the round's contexts and scores stand in the side's tables."""

    side: str = ""
    own: RoundPlan | None = None
    """The round as the run itself has it."""

    @cached_property
    def rounds(self) -> list[RoundPlan]:
        """The run's rounds; the last one on the side."""
        *before, last = self._chain[0]
        assert self.own is not None, "a side is of a round"
        return [*before, _beside(last, self.own, self.side)]


@dataclass(frozen=True)
class Side:
    """One round on a side of a run, checked."""

    name: str
    overrides: list[str]
    plan: SidePlan
    round: int

    def shards(self, *, scores: bool) -> list[Shard]:
        """What `mopd condition`, or `mopd score`, makes."""
        part = self.plan.rounds[self.round]
        return [*part.contexts, *part.scores] if scores else part.contexts


def open_side(folder: RunFolder, round: int, name: str, overrides: list[str], *, scores: bool) -> Side:
    """The side `name` of the run for a round: what it was before, with `overrides`. Nothing is written.

    Raises InputError or StorageError for what can't be made: no rollouts, other settings than the side was made by, a
    teacher that was removed.
    """
    _check_free_name(name)
    run = RunPlan.of(folder)
    check_round(folder, run, round)
    kept = read_side(folder, name) or []
    sets = [*kept, *(one for one in overrides if one not in kept)]
    inputs = check_inputs_unchanged(folder, run.at(round), plan_side(folder, run, round, name, sets).plan.settings)
    side = plan_side(folder, run, round, name, sets, {key: inputs[key] for key in DIGESTS})
    check_rollouts(folder, run, side)
    _check_differs(run, side, scores=scores)
    if kept and side.overrides != kept:
        _check_name(folder, plan_side(folder, run, round, name, kept), side)
    if scores and side.plan.missing_of(folder, side.plan.rounds[round].scores):
        check_teacher(folder, run, side)
    return side


def side_command(run_dir: Path, round: int, name: str, overrides: list[str], *, scores: bool) -> int:
    """Make the contexts, and the scores where they are asked for, of a side. Returns the exit code."""
    with command_session():
        folder = RunFolder.open(run_dir)
        side = open_side(folder, round, name, overrides, scores=scores)
        if side.plan.missing_of(folder, side.shards(scores=scores)):
            launch(
                "flows.side_flow:side_flow",
                run_dir=str(folder.path),
                round=round,
                name=name,
                overrides=side.overrides,
                scores=scores,
            )
        print(_end_text(folder, side, scores=scores))
    return 0


def plan_side(
    folder: RunFolder,
    run: RunPlan,
    round: int,
    name: str,
    overrides: list[str],
    digests: dict[str, Any] | None = None,
) -> Side:
    """A side of the run with these overrides, not checked; `digests` where they are not those of the run.

    Raises InputError for settings that are impossible.
    """
    before = run.at(round)
    settings = overridden(folder, before.settings, overrides).model_copy(update={"rounds": round + 1})
    known = digests or {key: getattr(before, key) for key in DIGESTS}
    plan = run.forked(round, SidePlan(settings, **known, side=name, own=run.rounds[round]))
    assert isinstance(plan, SidePlan)
    return Side(name, overrides, plan, round)


def _beside(part: RoundPlan, own: RoundPlan, side: str) -> RoundPlan:
    """The round with its contexts, where they aren't the run's own, its scores and signals in the side's tables."""
    pairs = zip(part.contexts, own.contexts, strict=False)
    contexts = [shard if shard.key == mine.key else on_side(shard, side) for shard, mine in pairs]
    scores = [on_side(_made_from(shard, contexts), side) for shard in part.scores]
    signals = [on_side(_made_from(shard, scores), side) for shard in part.signals]
    return replace(part, contexts=contexts, scores=scores, signals=signals, control=None, probes=[], choice=None)


def _made_from(shard: Shard, moved: list[Shard]) -> Shard:
    """The shard, made from others in whichever tables those are."""
    places = {one.key: one for one in moved}
    inputs = tuple(places.get(one.key, one) for one in shard.inputs)
    read = tuple(places[one.key].flat() if one.key in places else one for one in shard.read)
    return replace(shard, inputs=inputs, read=read)


def _check_free_name(name: str) -> None:
    check_side_name(name)
    if name == CONTROL or name.startswith(PROBE):
        raise InputError(f"--name {name}: is a name of what runs make by themselves; take another one")


def check_round(folder: RunFolder, run: RunPlan, round: int) -> None:
    """Raises InputError for a round that the run won't have."""
    if not 0 <= round < run.settings.rounds:
        raise InputError(f"--round {round}: {folder.path} has rounds 0 to {run.settings.rounds - 1}")


def check_rollouts(folder: RunFolder, run: RunPlan, side: Side) -> None:
    """A side has the run's own rollouts and verdicts, and these are there."""
    own, part = run.rounds[side.round], side.plan.rounds[side.round]
    if [one.key for one in part.verdicts] != [one.key for one in own.verdicts]:
        raise InputError(
            f"--set {' --set '.join(side.overrides)}: would give other rollouts or verdicts, and a side has the run's "
            "own; fork the run instead"
        )
    if any(shard.find(folder) is None for shard in own.needed(folder).verdicts):
        raise InputError(
            f"--round {side.round}: its rollouts are not all there and judged yet; "
            f"{shell_command('run', folder.path)} first"
        )


def _check_differs(run: RunPlan, side: Side, *, scores: bool) -> None:
    own, part = run.rounds[side.round], side.plan.rounds[side.round]
    what = "scores" if scores else "contexts"
    if [one.key for one in getattr(part, what)] == [one.key for one in getattr(own, what)]:
        raise InputError(f"--name {side.name}: these are the settings of the run's own {what}; --set something else")


def _check_name(folder: RunFolder, before: Side, side: Side) -> None:
    """A side that has shards keeps the settings that these were made by."""
    for table in ("contexts", "scores"):
        old, new = (getattr(one.plan.rounds[one.round], table) for one in (before, side))
        if [one.key for one in old] != [one.key for one in new] and manifest_paths(folder, f"{table}@{side.name}"):
            raise InputError(
                f"--name {side.name}: its {table} were made with {', '.join(before.overrides)}; take another name"
            )


def check_teacher(folder: RunFolder, run: RunPlan, side: Side) -> None:
    """Scores need the round's policy, and the teacher as it was then."""
    settings: Settings = side.plan.settings
    if side.round and run.rounds[side.round - 1].policy.find(folder) is None:
        raise InputError(
            f"--round {side.round}: its policy is not trained yet; {shell_command('run', folder.path)} first"
        )
    if has_weights(settings.train.teacher) and not has_trainer_state(folder, side.round):
        raise InputError(
            f"--round {side.round}: the teacher of this round was removed (train.keep_trainer_states); score a round "
            "that still has it, or --set train.teacher to one without weights of its own, e.g. frozen"
        )


def _end_text(folder: RunFolder, side: Side, *, scores: bool) -> str:
    found = [manifest for shard in side.shards(scores=scores) if (manifest := shard.find(folder)) is not None]
    tables = {
        table: sum(manifest.rows for manifest in found if manifest.table == table)
        for table in dict.fromkeys(manifest.table for manifest in found)
    }
    rows = ", ".join(f"{count} rows in {table}" for table, count in tables.items())
    view = "side_scores" if scores else "side_contexts"
    look = shell_command("sql", folder.path, f"FROM {view} WHERE name = '{side.name}'")
    fork = shell_command("fork", folder.path, round=side.round, set=side.overrides)
    return f"{folder.path}: round {side.round}, {rows}\nto look at them: {look}\nto train on them: {fork} NEW"
