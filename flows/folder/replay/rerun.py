"""`mopd rerun`: the run itself goes on from a stage of a round under other settings, and can be taken back.

It is a fork in place: below the round its plan follows the old settings, from there on the new ones. run.json keeps
under `redone` what it said before, so that the superseded line can be brought back until garbage collection removes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from flows.folder.open import check_inputs_unchanged
from flows.folder.replay.fork import check_finished, check_policy, check_training, describe_earlier, overridden
from flows.folder.replay.lines import Document, follow, read_committed
from flows.folder.replay.rollbacks import ROLLED_BACK
from flows.folder.tracker_libraries import check_trackers
from flows.plan.run import DIGESTS, RunPlan
from flows.plan.shard import Shard
from flows.plan.stage import STAGES, Stage
from flows.runtime.places.open import check_place
from flows.runtime.shell import shell_command
from mopd.errors import InputError
from mopd.settings import Settings
from storage.lookup import looking_once
from storage.manifests import Manifest
from storage.runs import RunFolder

GO_ON = "redo it from round"
REDONE = "redone"
"""Of run.json: for each time that a round was redone, what was asked, `before`: the document until then, `shards`: keys
of what the tables had until then, or had under another name, and `undone`: when that was brought back."""
_ASIDE = ("rejudge", "guard")
"""Stages that only say something of what is there: nothing follows from them."""
_OWN = (REDONE, "superseded")
"""What a line of a run does not bring back."""


@dataclass(frozen=True)
class Turn:
    """A run before and behind the one write that makes it follow another plan; nothing is written yet."""

    before: RunFolder
    after: RunFolder
    round: int
    """From here on the plans differ."""

    @cached_property
    def there(self) -> list[Manifest]:
        """What was committed in these rounds."""
        return list(read_committed(self.before, self.round).values())

    @property
    def superseded(self) -> list[Manifest]:
        """What is in the tables before, and not behind it."""
        gone = self.after.superseded - self.before.superseded
        return [manifest for manifest in self.there if manifest.key in gone]

    @property
    def restored(self) -> list[Manifest]:
        """What comes back into the tables."""
        back = self.before.superseded - self.after.superseded
        return [manifest for manifest in self.there if manifest.key in back]

    @property
    def renamed(self) -> list[Manifest]:
        """What stood in the tables under another name before."""
        names = dict(self.after.renamed.items() - self.before.renamed.items())
        return [one for one in self.there if one.key in names and one.key not in self.before.superseded]

    @property
    def missing(self) -> list[Shard]:
        """What is to be made then."""
        return RunPlan.of(self.after).missing(self.after)

    def save(self) -> RunFolder:
        """Write run.json; the caller holds the run. Raises StorageError where another process wrote it meanwhile."""
        self.after.save(self.before)
        return self.after


def redo(folder: RunFolder, round: int, stage: str, overrides: Sequence[str], *, why: str = "") -> RunFolder:
    """Make a run go on from a stage of a round under its settings with `overrides`; returns the run as it is then.

    Nothing is run: whoever calls this holds the run, and makes what its plan lacks. `why` is kept for people.
    Raises InputError or StorageError, one line, with nothing written, for what can't be redone.
    """
    return plan_rerun(folder, round, stage, overrides, why=why).save()


def plan_rerun(folder: RunFolder, round: int, stage: str, overrides: Sequence[str], *, why: str = "") -> Turn:
    """What `redo` would do. Raises as that does."""
    old, chosen = RunPlan.of(folder), _find_stage(stage)
    settings = overridden(folder, old.settings, list(overrides))
    _check_round(folder, old, round, chosen, settings)
    with looking_once():
        check_finished(folder, old, round, GO_ON)
    inputs = check_inputs_unchanged(folder, old, settings)
    check_policy(old, round, settings, GO_ON)
    check_place(settings, folder.store)
    check_trackers(settings)
    plan = old.forked(round, RunPlan(settings, **{name: inputs[name] for name in DIGESTS}))
    _check_earlier_stages(folder, old, plan, round, chosen, overrides)
    document = {**folder.document, **inputs, "settings": settings.model_dump(mode="json")}
    document |= {"earlier": describe_earlier(plan)}
    turn = Turn(folder, follow(folder, document, round, new_line=_count(folder) + 1), round)
    if not turn.superseded and not _changes(old, plan, round):
        raise InputError(_nothing_to_redo(folder, old.settings.seed, round, stage, overrides))
    with looking_once():
        there = [found for shard in plan.shards() if (found := shard.find(turn.after)) is not None]
    check_training(folder, turn.after, plan, there, GO_ON, old.settings.rounds - 1)
    entry = {"round": round, "from": stage, "set": list(overrides), "when": _now(), "why": why}
    return _note(turn, entry)


def plan_undo(folder: RunFolder) -> Turn:
    """What bringing back the line before the last rerun would do. Raises InputError where there is none, or none any
    more."""
    entry = next((entry for entry in reversed(folder.document.get(REDONE, [])) if not entry.get("undone")), None)
    if entry is None:
        raise InputError(f"{folder.address}: no round of it was redone, so there is nothing to bring back")
    document = {**entry["before"], REDONE: _with_undone(folder.document[REDONE], entry)}
    turn = Turn(folder, follow(folder, document, entry["round"], restored=entry["shards"]), entry["round"])
    lost = set(entry["shards"]) - {manifest.key for manifest in turn.there}
    if lost:
        raise InputError(
            f"{folder.address}: {len(lost)} of the {len(entry['shards'])} superseded shards are gone, as mopd gc "
            f"removes them; {_rerun_command(folder, entry['round'], entry['from'])} with the settings of then makes "
            "them again"
        )
    return turn


def what_is_redone(
    round: int | None, stage: str | None, overrides: Sequence[str], *, undo: bool
) -> tuple[int, str] | None:
    """Of what a rerun is asked: the round and the stage, None to take the last one back. Raises InputError for both, or
    neither."""
    if undo:
        if round is not None or stage is not None or overrides:
            raise InputError("--undo: takes back the last rerun, and goes with no other option")
        return None
    if round is None or stage is None:
        raise InputError("name what is redone: --round N --from STAGE, or --undo to take the last rerun back")
    return round, stage


def is_begun(folder: RunFolder, round: int, stage: str, overrides: Sequence[str]) -> bool:
    """Whether the run was last redone just so, and has not come to its end since: then it goes on."""
    return is_redone(folder, round, stage, overrides) and bool(RunPlan.of(folder).missing(folder))


def is_redone(folder: RunFolder, round: int, stage: str, overrides: Sequence[str]) -> bool:
    """Whether the last rerun that somebody asked for was just this one; guards may have sent the run back since."""
    entries = [entry for entry in lines_of(folder) if not entry["why"].startswith(ROLLED_BACK)]
    asked = {"round": round, "from": stage, "set": list(overrides)}
    return bool(entries) and asked.items() <= entries[-1].items()


def lines_of(folder: RunFolder) -> list[dict[str, Any]]:
    """The reruns that hold: `round`, `from`, `set`, `when`, `why` of each, the oldest first."""
    entries = [entry for entry in folder.document.get(REDONE, []) if not entry.get("undone")]
    return [{name: entry[name] for name in ("round", "from", "set", "when", "why")} for entry in entries]


def stage_names() -> list[str]:
    """What `--from` takes, in the order of a round."""
    return [stage.name for stage in STAGES.values() if stage.name not in _ASIDE]


def _find_stage(name: str) -> Stage:
    for stage in STAGES.values():
        if stage.name == name and name not in _ASIDE:
            return stage
    raise InputError(f"--from {name}: no such stage; choose from {', '.join(stage_names())}")


def _check_round(folder: RunFolder, plan: RunPlan, round: int, stage: Stage, settings: Settings) -> None:
    last = plan.settings.rounds
    if not 0 <= round < last and not (round == last and stage.table == "evaluations"):
        raise InputError(f"--round {round}: {folder.address} has rounds 0 to {last - 1}")
    if settings.rounds < last:
        fork = shell_command("fork", folder.address, "NEW", round=round, set=f"rounds={settings.rounds}")
        raise InputError(f"--set rounds={settings.rounds}: {folder.address} has {last} rounds; {fork} has fewer")


def _check_earlier_stages(
    folder: RunFolder, old: RunPlan, new: RunPlan, round: int, stage: Stage, overrides: Sequence[str]
) -> None:
    """What comes before the stage stays as it is."""
    order = list(STAGES.values())
    earlier = [each for each in order[: order.index(stage)] if _differ(old, new, round, each)]
    if earlier:
        named = [each for each in overrides if _does_change(folder, old, round, earlier[0], each)] or overrides
        raise InputError(
            f"--set {' --set '.join(named)}: changes what {earlier[0].name} makes in round {round}, which --from "
            f"{stage.name} keeps; give --from {earlier[0].name}"
        )


def _does_change(folder: RunFolder, old: RunPlan, round: int, stage: Stage, override: str) -> bool:
    """Whether an override changes a stage of the round by itself."""
    try:
        settings = overridden(folder, old.settings, [override])
    except InputError:  # it goes with another one
        return False
    return _differ(old, old.forked(round, old.by(settings)), round, stage)


def _differ(old: RunPlan, new: RunPlan, round: int, stage: Stage) -> bool:
    before, after = (
        {shard.key for shard in plan.shards() if (shard.table, shard.round) == (stage.table, round)}
        for plan in (old, new)
    )
    return before != after


def _changes(old: RunPlan, new: RunPlan, round: int) -> bool:
    """Whether anything that the old plan has from a round on is another thing in the new one."""
    before, after = ({shard.key for shard in plan.shards() if shard.round >= round} for plan in (old, new))
    return not before <= after


def _nothing_to_redo(folder: RunFolder, seed: int, round: int, stage: str, overrides: Sequence[str]) -> str:
    begin = f"{folder.address}: from {stage} of round {round} on,"
    command = shell_command("run", folder.address, set=list(overrides))
    if overrides:
        return f"{begin} {', '.join(overrides)} would change nothing; {command} goes on with it"
    return (
        f"{begin} the same settings would change nothing, since a stage gives the same again; --set what is to differ "
        f"(--from draw --set seed={seed + 1} samples anew); {command} makes what is missing, and "
        f"{shell_command('repair', folder.address)} sets aside what is damaged"
    )


def _rerun_command(folder: RunFolder, round: int, stage: str) -> str:
    return shell_command("rerun", folder.address, round=round, **{"from": stage})


def _note(turn: Turn, entry: dict[str, Any]) -> Turn:
    """run.json keeps what it said before."""
    document = turn.before.document
    entry["before"] = {name: value for name, value in document.items() if name not in _OWN}
    entry["shards"] = sorted(manifest.key for manifest in [*turn.superseded, *turn.renamed])
    entries = [*document.get(REDONE, []), entry]
    return replace(turn, after=replace(turn.after, document={**turn.after.document, REDONE: entries}))


def _with_undone(entries: list[Document], undone: Document) -> list[Document]:
    return [{**entry, "undone": _now()} if entry is undone else entry for entry in entries]


def _count(folder: RunFolder) -> int:
    return len(folder.document.get(REDONE, []))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
