"""Several contexts of one round's rollouts beside each other: which sides of the run they stand on, and their plan.

What is there is used: the run's own contexts and scores, its probe's, and those of any side that has the settings. So
`mopd analyze signal`, `mopd probe`, training and `mopd score` share their shards.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from typing import Any

from flows.fork import check_inputs_unchanged, overridden
from flows.plan import DIGESTS, RunPlan
from flows.shard import RoundPlan, Shard, SidePart
from flows.shard_rows import Rows, read_shard
from flows.side import Side, check_rollouts, check_round, check_teacher, plan_side
from mopd.contexts.summaries import instruction_of
from mopd.errors import InputError
from mopd.settings import Settings
from mopd.settings.context_choice import ContextChoice
from storage.runs import RunFolder
from storage.sides import read_side, side_names, write_side


@dataclass(frozen=True)
class AnalysisPlan(RunPlan):
    """The plan of a run of which one round has several contexts in place of its own."""

    number: int = 0
    parts: tuple[SidePart, ...] = ()

    @cached_property
    def rounds(self) -> list[RoundPlan]:
        """The run's rounds, this one with the parts as its probes."""
        rounds = list(self._chain[0])
        rounds[self.number] = replace(
            rounds[self.number],
            probes=list(self.parts),
            contexts=[],
            scores=[],
            signals=[],
            control=None,
            choice=None,
        )
        return rounds


@dataclass(frozen=True)
class Analysis:
    """Contexts of one round, checked and ready to be made."""

    round: int
    plan: AnalysisPlan
    parts: dict[str, SidePart]
    """By context, in the order that was asked for."""
    conditions: dict[str, Settings]
    """The settings of each."""
    new_sides: dict[str, list[str]] = field(default_factory=dict)
    """Overrides of sides that have to be written before their shards are made."""

    @property
    def side(self) -> str:
        """A side whose settings for scoring are those of all; "" where the run's own are."""
        return next((part.name for part in self.parts.values() if part.name), "")

    def needed(self, folder: RunFolder) -> list[Shard]:
        """Everything that it is made of, of the shards that the round needs."""
        return [shard for part in self.plan.rounds[self.round].needed(folder).probes for shard in part.all()]

    def write_sides(self, folder: RunFolder) -> None:
        """Note what the new sides are; the caller holds the run."""
        for name, overrides in self.new_sides.items():
            write_side(folder, name, overrides)

    def rows(self, folder: RunFolder, table: str) -> dict[str, Rows]:
        """A table's rows, by context. Raises StorageError where a shard has gone."""
        parts = self.plan.rounds[self.round].needed(folder).probes
        found = [[row for shard in getattr(part, table) for row in read_shard(folder, shard)] for part in parts]
        return dict(zip(self.parts, found, strict=True))

    def verdicts(self, folder: RunFolder) -> Rows:
        """The verdicts of the round."""
        shards = self.plan.rounds[self.round].needed(folder).verdicts
        return [row for shard in shards for row in read_shard(folder, shard)]


def open_analysis(
    folder: RunFolder, round: int, choices: list[ContextChoice], overrides: list[str], *, answers: bool = False
) -> Analysis:
    """The contexts of a round, planned and checked; with `answers`, what the student replies under them too.

    Nothing is written. Raises InputError or StorageError, one line, for a round without rollouts, a context that needs
    what they lack, a teacher that was removed, or a single prompt.
    """
    run = RunPlan.of(folder)
    check_round(folder, run, round)
    base = overridden(folder, run.at(round).settings, overrides)
    inputs = check_inputs_unchanged(folder, run.at(round), base)
    opened = _Opened(folder, run, round, overrides, {key: inputs[key] for key in DIGESTS})
    parts, settings = {}, {}
    for choice in choices:
        parts[choice.name], settings[choice.name] = opened.part(choice)
    if answers:
        parts = {name: _with_answers(run, round, part, settings[name]) for name, part in parts.items()}
    plan = AnalysisPlan(
        run.settings,
        **{key: getattr(run, key) for key in DIGESTS},
        earlier=run.earlier,
        number=round,
        parts=tuple(parts.values()),
    )
    analysis = Analysis(round, plan, parts, settings, opened.new_sides)
    _check_prompts(folder, run, round)
    return analysis


class _Opened:
    """Finds the side of each context."""

    def __init__(
        self, folder: RunFolder, run: RunPlan, round: int, overrides: list[str], digests: dict[str, Any]
    ) -> None:
        self._folder, self._run, self._round, self._overrides = folder, run, round, overrides
        self._digests = digests
        self._own = run.rounds[round]
        self.new_sides: dict[str, list[str]] = {}

    def part(self, choice: ContextChoice) -> tuple[SidePart, Settings]:
        """The shards of a context, in whichever tables they stand, and its settings."""
        before = overridden(self._folder, self._run.at(self._round).settings, self._overrides)
        pinned = asked_alike(before, choice, str(self._folder.path))
        overrides = [*self._overrides, *choice.overrides, *pinned]
        side = self._plan("", overrides)
        check_rollouts(self._folder, self._run, side)
        scores = side.plan.rounds[self._round].scores
        for own in (SidePart("", self._own.contexts, self._own.scores, self._own.signals), *self._own.probes):
            if [one.key for one in own.scores] == [one.key for one in scores]:
                return replace(own, answers=[]), side.plan.settings
        name = self._side_name(choice.name, side.plan.settings, overrides)
        side = self._plan(name, overrides)
        if side.plan.missing_of(self._folder, side.plan.rounds[self._round].scores):
            check_teacher(self._folder, self._run, side)
        found = side.plan.rounds[self._round]
        return SidePart(name, found.contexts, found.scores, found.signals), side.plan.settings

    def _plan(self, name: str, overrides: list[str]) -> Side:
        return plan_side(self._folder, self._run, self._round, name, overrides, self._digests)

    def _side_name(self, wanted: str, settings: Settings, overrides: list[str]) -> str:
        """A side that has these settings, or a free name for a new one: the context's own, where nobody took it."""
        base = self._run.at(self._round).settings
        taken = {*side_names(self._folder), *self.new_sides}
        for name in sorted(taken):
            there = self.new_sides.get(name) or read_side(self._folder, name) or []
            same = overridden(self._folder, base, there).model_copy(update={"rounds": settings.rounds})
            if same == settings:
                return name
        name = next(name for number in count(1) if (name := _numbered(wanted, number)) not in taken)
        self.new_sides[name] = overrides
        return name


def asked_alike(settings: Settings, choice: ContextChoice, where: str) -> list[str]:
    """What keeps the rollouts of `settings` the same under a context: they were asked for summaries, or were not.

    Raises InputError for a context of summaries where they were not.
    """
    ask = settings.generate.ask_for_summary
    asked = instruction_of(settings)
    if ask != "auto" or choice.variant.shows_summaries == bool(asked):
        return []
    if asked:
        return ["generate.ask_for_summary=always"]
    raise InputError(
        f"--variants {choice.name}: the rollouts of {where} are not asked for summaries; leave it out, show excerpts "
        "of replies instead by --set generate.ask_for_summary=never, or begin with generate.ask_for_summary: always"
    )


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def _with_answers(run: RunPlan, round: int, part: SidePart, settings: Settings) -> SidePart:
    """The part with the student's answers, keyed by the settings of its contexts."""
    judged = run.judged(round)
    return replace(run.at(round), settings=settings, earlier=()).answers(judged, part)


def _check_prompts(folder: RunFolder, run: RunPlan, round: int) -> None:
    """Intervals are over prompts: one is not enough."""
    shards = run.rounds[round].needed(folder).verdicts
    groups = sum(int(manifest.info["groups"]) for one in shards if (manifest := one.find(folder)) is not None)
    if groups < 2:
        raise InputError(
            f"--round {round}: {folder.path} has one prompt in it, and intervals are over prompts; "
            "analyze a run of two prompts or more"
        )
