"""The shards of a run, of a round, of an evaluation: what each is made from, and whether it is there.

`flows.plan.run` makes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from mopd.groups import Candidates
from mopd.settings import Settings
from storage.lookup import looking_once
from storage.manifests import manifest_name
from storage.runs import RunFolder
from storage.shards import Manifest, find_manifest


@dataclass(frozen=True)
class Shard:
    """One shard to be made: a table's, or (policies) a folder. `round` is the policy version in evaluations.

    Its key is its address: whoever plans the same content finds the same shard.
    """

    table: str
    round: int
    shard: int
    key: str
    settings: Settings = field(repr=False, compare=False)
    """What it is made by."""
    name: str = field(default="", compare=False)
    """The name that its rows get when it is made: of a context, or of a model. "" for what the run trains on."""
    overrides: tuple[str, ...] = field(default=(), compare=False)
    """What was set otherwise than in the run, as `--set` takes it, where somebody asked for that."""
    attempt: int = field(default=1, compare=False)
    """How often it has been tried, this time counted."""
    inputs: tuple[Shard, ...] = ()
    """What its key names: the shards it follows from."""
    read: tuple[Shard, ...] = ()
    """All shards that decide its content, without their own inputs."""
    history: tuple[Shard, ...] = ()
    """Of contexts: the verdicts and rollouts of earlier rounds, whose successes may be shown; in `read` too."""

    def flat(self) -> Shard:
        """The shard without its history, which would nest round by round."""
        if not (self.inputs or self.read or self.history):
            return self
        place = (self.table, self.round, self.shard, self.key, self.settings)
        return Shard(*place, name=self.name, overrides=self.overrides, attempt=self.attempt)

    def without(self, others: Iterable[Shard]) -> Shard:
        """The shard under the same key, made without some of its inputs."""
        left_out = {one.key for one in others}
        inputs, read = (tuple(one for one in shards if one.key not in left_out) for shards in (self.inputs, self.read))
        return replace(self, inputs=inputs, read=read)

    def input(self, table: str) -> Shard:
        """The input shard of `table`, looked up along the chain."""
        for shard in self.inputs:
            if shard.table == table:
                return shard
        for shard in self.inputs:
            if shard.inputs:
                return shard.input(table)
        raise KeyError(f"{self.table} is not made from {table}")

    @property
    def choice(self) -> Shard | None:
        """Of contexts that a probe chose: the shard that says which."""
        return next((one for one in self.inputs if one.table == "choices"), None)

    def parents(self, folder: RunFolder) -> list[str]:
        """`key:content` of each shard it is made from, for the manifest."""
        there = [one.committed(folder) for one in self.read]
        return [manifest.as_parent for manifest in there if manifest is not None]

    def name_in(self, folder: RunFolder) -> str:
        """Where its manifest lies, once it is there."""
        return manifest_name(folder, self.table, self.round, self.shard, self.key)

    def find(self, folder: RunFolder) -> Manifest | None:
        """Its manifest, if it is committed, whole, and made from what its parents hold now.

        A parent that is missing decides nothing before it is made again.
        """
        manifest = self.committed(folder)
        if manifest is None:
            return None
        made_from = set(manifest.parents)
        parents = [shard.committed(folder) for shard in self.read]
        changed = {parent.key for parent in parents if parent is not None and parent.as_parent not in made_from}
        return None if changed & {parent.partition(":")[0] for parent in made_from if changed} else manifest

    def committed(self, folder: RunFolder) -> Manifest | None:
        """Its manifest, if it is committed and whole, whatever it was made from."""
        return find_manifest(folder, self.table, self.round, self.shard, self.key)


@dataclass(frozen=True)
class Judged:
    """A round up to its verdicts: what all contexts of it are made from."""

    round: int
    model: str
    """What names the policy in keys."""
    state: tuple[Shard, ...]
    """That policy's shard; none for the initial model."""
    verdicts: list[tuple[Shard, ...]]
    """Of each candidate shard; where groups are selected, those of the shards before it follow."""
    history: tuple[Shard, ...]
    """Verdicts and rollouts of earlier rounds that may be shown."""


@dataclass(frozen=True)
class ContextShards:
    """A round's rollouts under one context, and what is made of that; lists run over the shards that it has."""

    name: str
    """Of the context; "" where it is what the run trains on."""
    contexts: list[Shard]
    scores: list[Shard]
    signals: list[Shard]
    answers: list[Shard] = field(default_factory=list)
    """What the student replies under these contexts; empty where nobody asks."""
    verdicts: list[Shard] = field(default_factory=list)
    """Of another verifier, which the contexts follow from; empty where that is the run's own."""
    rejudged: list[Shard] = field(default_factory=list)
    """What those verdicts change."""

    def first(self, count: int) -> ContextShards:
        """Of the first `count` shards alone."""
        return replace(self, **{table: getattr(self, table)[:count] for table in CONTEXT_TABLES})

    def all(self) -> list[Shard]:
        """Every shard of it."""
        return [shard for table in CONTEXT_TABLES for shard in getattr(self, table)]

    def named(self, name: str, overrides: tuple[str, ...] = ()) -> ContextShards:
        """The same shards under a name; what is there already keeps the name that it was made under."""
        named: dict[str, Any] = {
            table: [replace(shard, name=name, overrides=overrides) for shard in getattr(self, table)]
            for table in CONTEXT_TABLES
        }
        return replace(self, name=name, **named)

    def known_as(self, shards: dict[str, Shard]) -> ContextShards:
        """With `shards`, by key, in place of the same ones."""
        tables: dict[str, Any] = {
            table: [shards.get(shard.key, shard) for shard in getattr(self, table)] for table in CONTEXT_TABLES
        }
        return replace(self, **tables)


CONTEXT_TABLES = ("verdicts", "contexts", "scores", "signals", "answers", "rejudged")


@dataclass(frozen=True)
class RoundPlan:
    """The shards of one round, in the order of the data; lists run over the round's candidate shards.

    Which candidates it needs follows from their verdicts (`mopd.groups`); with `groups: all` it needs them all.
    """

    prompts: list[Shard]
    rollouts: list[Shard]
    verdicts: list[Shard]
    contexts: list[Shard]
    scores: list[Shard]
    signals: list[Shard]
    policy: Shard
    updates: Shard
    candidates: Candidates
    control: ContextShards | None = None
    """A few groups, shown random peers: scored, and never trained on."""
    probes: list[ContextShards] = field(default_factory=list)
    """What is tried before the round's contexts are made; nothing in most rounds."""
    choice: Shard | None = None
    """What follows from `probes`: which of them the contexts are made like."""

    def useful(self, folder: RunFolder) -> list[int | None]:
        """Useful groups of each candidate shard, by its verdicts; None where they are not there."""
        with looking_once():
            found = [shard.find(folder) for shard in self.verdicts]
        return [None if manifest is None else int(manifest.info[self.candidates.kind]) for manifest in found]

    def needed(self, folder: RunFolder) -> RoundPlan:
        """The shards that are certain to be needed, by the verdicts that are there; exact once these are all judged."""
        if self.candidates.kind == "all":
            return self
        return self._first(self.candidates.shards_needed(self.useful(folder)))

    def _first(self, count: int) -> RoundPlan:
        """The round with so many of its candidates. Keys that name all stay, but these are read."""
        tables = ("prompts", "rollouts", "verdicts", "contexts", "scores", "signals")
        first = {table: getattr(self, table)[:count] for table in tables}
        probes = [part.first(count) for part in self.probes]
        probed = [shard for part in self.probes for shard in (*part.signals[count:], *part.answers[count:])]
        choice = self.choice and self.choice.without(probed)
        policy = self.policy.without(self.scores[count:])
        return replace(self, **first, probes=probes, choice=choice, policy=policy)

    def probed(self) -> list[Shard]:
        """Every shard that the round's choice follows from, and that one."""
        shards = [shard for part in self.probes for shard in part.all()]
        return [*shards, self.choice] if self.choice is not None else shards

    def with_control(self, table: str) -> list[Shard]:
        """The round's own contexts, scores or signals, then those of its control."""
        return [*getattr(self, table), *(getattr(self.control, table) if self.control else ())]

    def all(self) -> list[Shard]:
        """Every shard of the round."""
        shown = [shard for table in ("contexts", "scores", "signals") for shard in self.with_control(table)]
        return [*self.prompts, *self.rollouts, *self.verdicts, *self.probed(), *shown, self.policy, self.updates]


@dataclass(frozen=True)
class EvaluationPlan:
    """The shards of one policy version's evaluation."""

    prompts: list[Shard]
    evaluations: list[Shard]

    def all(self) -> list[Shard]:
        """Every shard of the evaluation."""
        return [*self.prompts, *self.evaluations]

    def is_there(self, folder: RunFolder) -> bool:
        """Whether the policy was evaluated to the end."""
        return bool(self.evaluations) and all(shard.find(folder) is not None for shard in self.evaluations)
