"""Several contexts of one round's rollouts beside each other, and their plan.

What is there is used, by its keys: the run's own contexts and scores, its probe's, and those of anybody who asked for
the same. So `mopd analyze signal`, `mopd probe`, training and `mopd score` share their shards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from flows.execute.work import Rows, read_shard
from flows.folder.open import check_inputs_unchanged
from flows.folder.replay.fork import overridden
from flows.folder.replay.other_contexts import (
    check_rollouts,
    check_round,
    check_teacher,
    plan_contexts,
    refuse_superseded,
    split_place,
)
from flows.plan.conditions import CONTROL, candidate_settings, named_conditions
from flows.plan.run import DIGESTS, RunPlan
from flows.plan.shard import ContextShards, Shard
from mopd.contexts.summaries import instruction_of
from mopd.errors import InputError
from mopd.settings import Settings
from mopd.settings.context_choice import ContextChoice
from storage.runs import RunFolder


@dataclass(frozen=True)
class Analysis:
    """Contexts of one round, checked and ready to be made."""

    round: int
    run: RunPlan
    parts: dict[str, ContextShards]
    """By context, in the order that was asked for; of the candidate shards that the round needs."""
    conditions: dict[str, Settings]
    """The settings of each."""

    @property
    def settings(self) -> Settings:
        """Those of the round itself."""
        return self.run.at(self.round).settings

    def missing(self, folder: RunFolder) -> list[Shard]:
        """What is still to be made."""
        return self.run.missing_of(folder, [shard for part in self.parts.values() for shard in part.all()])

    def rows(self, folder: RunFolder, table: str, columns: Sequence[str] | None = None) -> dict[str, Rows]:
        """A table's rows, by context. Raises StorageError where a shard has gone."""
        return {name: _read(folder, getattr(part, table), columns) for name, part in self.parts.items()}

    def verdicts(self, folder: RunFolder, columns: Sequence[str] | None = None) -> Rows:
        """The verdicts of the round."""
        return _read(folder, self.run.rounds[self.round].needed(folder).verdicts, columns)

    def names(self, folder: RunFolder) -> dict[str, str]:
        """What the rows of each context have in the column `condition`."""
        made = {name: part.contexts[0].find(folder) for name, part in self.parts.items()}
        return {name: manifest.name for name, manifest in made.items() if manifest is not None}


def open_analysis(
    folder: RunFolder, round: int, choices: list[ContextChoice], overrides: list[str], *, answers: bool = False
) -> Analysis:
    """The contexts of a round, planned and checked; with `answers`, what the student replies under them too.

    Nothing is written. Raises InputError or StorageError, one line, for a round without rollouts, a context that needs
    what they lack, a teacher that was removed, or a single prompt.
    """
    run, (overrides, _) = RunPlan.of(folder), split_place(overrides)
    check_round(folder, run, round)
    settings = run.at(round).settings
    base = overridden(folder, settings, overrides)
    inputs = check_inputs_unchanged(folder, run.at(round), base)
    digests = {key: inputs[key] for key in DIGESTS}
    taken = candidate_settings(settings)
    taken |= {name: overridden(folder, settings, made_by) for name, made_by in named_conditions(folder).items()}
    analysis = Analysis(round, run, {}, {})
    for choice in choices:
        chosen = [*overrides, *choice.overrides, *asked_alike(base, choice, folder.address)]
        name = _name_for(overridden(folder, settings, chosen), choice.name, taken)
        contexts = plan_contexts(folder, run, round, name, chosen, digests)
        check_rollouts(folder, run, contexts)
        refuse_superseded(folder, [*contexts.shards.scores, *contexts.shards.signals], chosen)
        if run.missing_of(folder, contexts.shards.scores):
            check_teacher(folder, run, contexts)
        part = _with_answers(run, round, contexts.shards, contexts.settings) if answers else contexts.shards
        analysis.parts[choice.name], analysis.conditions[choice.name] = part, contexts.settings
    _check_prompts(folder, run, round)
    return analysis


def _name_for(settings: Settings, wanted: str, taken: dict[str, Settings]) -> str:
    """A name that stands for these settings already, or a free one: the wanted one, where nobody took it."""
    same = (name for name, known in taken.items() if known == settings)
    numbered = (wanted if number == 1 else f"{wanted}-{number}" for number in count(1))
    free = (name for name in numbered if name not in (CONTROL, *taken))
    name = next(same, None) or next(free)
    taken[name] = settings
    return name


def _read(folder: RunFolder, shards: list[Shard], columns: Sequence[str] | None) -> Rows:
    return [row for shard in shards for row in read_shard(folder, shard, columns)]


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


def _with_answers(run: RunPlan, round: int, part: ContextShards, settings: Settings) -> ContextShards:
    """The part with the student's answers, keyed by the settings of its contexts."""
    answered = run.at(round).by(settings).with_answers(run.judged(round), part)
    return answered.known_as({shard.key: shard for shard in run.rounds[round].all()})


def _check_prompts(folder: RunFolder, run: RunPlan, round: int) -> None:
    """Intervals are over prompts: one is not enough."""
    shards = run.rounds[round].needed(folder).verdicts
    groups = sum(int(manifest.info["groups"]) for shard in shards if (manifest := shard.find(folder)) is not None)
    if groups < 2:
        raise InputError(
            f"--round {round}: {folder.address} has one prompt in it, and intervals are over prompts; "
            "analyze a run of two prompts or more"
        )
