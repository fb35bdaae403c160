"""Stored rollouts under another verifier: the shards that are made of them, planned and checked. Nothing is written.

The verdicts, and the contexts that follow from them, have the keys of a run that has the same settings `verify` from
that round on: a fork or a rerun takes them over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from flows.folder.replay.fork import overridden
from flows.folder.replay.other_contexts import check_round, plan_contexts
from flows.folder.replay.rerun import is_begun, lines_of
from flows.measure.reverify.judges import Judges, RoundToJudge, read_judges, recorded_judges
from flows.measure.reverify.request import AGAIN, VERIFIER, VERSION, ReverifyRequest
from flows.plan.conditions import CONTROL, candidate_settings, named_conditions
from flows.plan.run import RunPlan
from flows.plan.shard import ContextShards, RoundPlan, Shard
from flows.runtime.shell import shell_command
from flows.runtime.worker import in_own_process
from mopd.errors import InputError
from storage.lookup import looking_once
from storage.runs import RunFolder

MOST_LETTERS = 40
"""Of a name."""


class Redo(NamedTuple):
    """The rerun from `verify` on that makes other verdicts the run's."""

    name: str
    """Of what was judged."""
    round: int
    overrides: list[str]


@dataclass(frozen=True)
class Reverification:
    """Rounds of a run under another verifier."""

    name: str
    """That its rows have in the tables."""
    overrides: list[str]
    run: RunPlan
    parts: dict[int, ContextShards]
    """By round: verdicts, the contexts that follow where the run has some to compare them with, and what changed."""
    before: dict[str, set[str]]
    """The versions that judged the run's own, by verifier, as far as that was kept."""
    judges: Judges
    """Who judges now."""

    @property
    def redo(self) -> Redo:
        """What makes it the run's: from the first round on that differs."""
        return Redo(self.name, min(self.parts), self.overrides)

    @property
    def rejudged(self) -> list[Shard]:
        """What the verdicts change, round by round."""
        return [shard for part in self.parts.values() for shard in part.rejudged]

    def missing(self, folder: RunFolder) -> list[Shard]:
        """What is still to be made."""
        return self.run.missing_of(folder, [shard for part in self.parts.values() for shard in part.all()])


def begun_redo(folder: RunFolder, request: ReverifyRequest) -> Redo | None:
    """What this very request has made the run's, where the run has not come to its end since: then that goes on."""
    if not request.apply:
        return None
    run = RunPlan.of(folder)
    is_asked = overridden(folder, run.settings, request.judging()).verify == run.settings.verify
    for redone in lines_of(folder)[::-1]:
        round, overrides = redone["round"], redone["set"]
        if is_asked and request.round in (None, round) and is_begun(folder, round, "verify", overrides):
            return Redo(_choose_name(folder, run, overrides), round, overrides)
    return None


def open_reverification(folder: RunFolder, request: ReverifyRequest) -> Reverification:
    """What is to be made for a request.

    Raises InputError or StorageError, one line: for a round that isn't judged, a verifier that isn't there or can't
    judge what was asked, settings of other stages, and where nothing would change.
    """
    with looking_once():
        run, judging = RunPlan.of(folder), request.judging()
        own = _judged_rounds(folder, run, request.round)
        verdicts = [shard for part in own.values() for shard in part.verdicts]
        judges = in_own_process(read_judges, folder, _to_judge(folder, run, own, judging))
        if judges.are_same:
            judging = [override for override in judging if override.partition("=")[0] != VERIFIER]
        wanted = [shard for number, part in own.items() for shard in _other_verdicts(folder, run, part, judging)]
        is_own = _keys(wanted) == _keys(verdicts)
        overrides = [*judging, *_version(folder, request, judges, recorded_judges(folder, wanted), is_own=is_own)]
        name = _choose_name(folder, run, overrides)
        parts = {round: _plan_round(folder, run, part, name, overrides) for round, part in own.items()}
        parts = {round: part for round, part in parts.items() if _keys(part.verdicts) != _keys(own[round].verdicts)}
        return Reverification(name, overrides, run, parts, recorded_judges(folder, verdicts), judges)


def _judged_rounds(folder: RunFolder, run: RunPlan, round: int | None) -> dict[int, RoundPlan]:
    """The rounds whose rollouts are judged; of one round, that one. Raises InputError where there is none."""
    if round is not None:
        check_round(folder, run, round)
    asked = range(run.settings.rounds) if round is None else [round]
    needed = {number: run.rounds[number].needed(folder) for number in asked}
    judged = {number: part for number, part in needed.items() if all(shard.find(folder) for shard in part.verdicts)}
    if not judged:
        where = f"{folder.address}: no round" if round is None else f"--round {round}: not everything"
        raise InputError(f"{where} is judged yet; {shell_command('run', folder.address)} first")
    return judged


def _to_judge(folder: RunFolder, run: RunPlan, own: dict[int, RoundPlan], judging: list[str]) -> list[RoundToJudge]:
    rounds = []
    for number, part in own.items():
        settings = run.at(number).settings
        rounds.append(RoundToJudge(part.prompts, settings.verify, overridden(folder, settings, judging).verify))
    return rounds


def _other_verdicts(folder: RunFolder, run: RunPlan, own: RoundPlan, judging: list[str]) -> list[Shard]:
    """Verdicts of a round's shards by these settings."""
    return plan_contexts(folder, run, own.policy.round, "", judging).part.verdicts[: len(own.verdicts)]


def _version(
    folder: RunFolder, request: ReverifyRequest, judges: Judges, recorded: dict[str, set[str]], *, is_own: bool
) -> list[str]:
    """The word for the version, where verdicts under these settings are there and other versions gave them.

    `recorded`: which did, by verifier; `is_own`: these are the run's verdicts. Raises InputError where they are, and by
    this very version, and where `--again` asks for others.
    """
    if request.again:
        if not is_own:
            raise InputError("--again: asks the same verifier under the same settings; leave --verifier and --set out")
        return [AGAIN]
    if any(recorded.get(name, {text}) != {text} for name, text in judges.versions.items()):
        return [f"{VERSION}={judges.text}"]
    if is_own:
        raise InputError(
            f"{folder.address}: would change nothing, it was judged by {', '.join(judges.versions)} ({judges.text}) "
            "under these settings; name another --verifier or --set verify..., or check with --again that it says the "
            "same"
        )
    return []


def _choose_name(folder: RunFolder, run: RunPlan, overrides: list[str]) -> str:
    """The name that stands for these overrides, or a free one that tells them."""
    taken = named_conditions(folder)
    known = next((name for name, made_by in taken.items() if name and made_by == overrides), None)
    if known is not None:
        return known
    name = re.sub(r"[^a-z0-9_.]+", "-", "-".join(map(_word, overrides)).lower())[:MOST_LETTERS].strip("-_.") or "other"
    used = {CONTROL, *taken, *candidate_settings(run.settings)}
    return next(free for number in count(1) if (free := name if number == 1 else f"{name}-{number}") not in used)


def _word(override: str) -> str:
    """What a name says of an override: of a function of the user's, the last part of its module."""
    key, _, value = override.partition("=")
    if key == VERIFIER:
        return value.rpartition(".")[2] if ":" in value else value
    return value if key == VERSION else f"{key.partition('.')[2]}-{value}"


def _plan_round(folder: RunFolder, run: RunPlan, own: RoundPlan, name: str, overrides: list[str]) -> ContextShards:
    """What is made of a round; the contexts where the run has its own, and these don't follow from what a probe chose:
    that choice would be another one, and takes a device."""
    round, num_shards = own.policy.round, len(own.verdicts)
    other = plan_contexts(folder, run, round, name, overrides)
    compares = all(shard.find(folder) is not None and shard.choice is None for shard in own.contexts)
    contexts = other.shards.contexts if compares else []
    verdicts = other.part.verdicts[:num_shards]
    shown = zip(own.contexts, contexts, strict=True) if compares else [()] * num_shards
    rejudged = [
        run.at(round).rejudged(*pair, *both) for pair, both in zip(zip(own.verdicts, verdicts), shown, strict=True)
    ]
    part = ContextShards(name, contexts, [], [], verdicts=verdicts, rejudged=rejudged)
    return part.named(name, tuple(overrides))


def _keys(shards: list[Shard]) -> list[str]:
    return [shard.key for shard in shards]
