"""The plan of a run: every shard it will have, with the key that names its content, before anything is computed.

A key hashes the stage, its version, the settings that decide its output, the model, the keys of its inputs, the seed
and the shard's index. A shard is done when a valid manifest stands under its key that names as its parents the content
of the shards it was made from, as they are now.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from flows.plan.conditions import CONTROL, candidate_settings, control_settings, settings_of
from flows.plan.guards import GuardShards, needed_guards, plan_guards
from flows.plan.shard import ContextShards, EvaluationPlan, Judged, RoundPlan, Shard
from flows.plan.stage import STAGES, key_tree
from mopd.groups import Candidates
from mopd.models.teachers import has_weights
from mopd.seeds import derive_seed
from mopd.settings import Settings
from mopd.settings.condition import AutoVariant
from storage.errors import StorageError
from storage.keys import JsonText, json_text, shard_key
from storage.lookup import looking_once
from storage.policies import has_trainer_state
from storage.runs import RUN_FILE, RunFolder

DIGESTS = ("model_digest", "tasks_digest", "num_heldout", "teacher_digest")
"""What a plan depends on beside the settings, as run.json has it."""

TRAINER = "trainer"
"""Folder in a policy's folder with teacher and optimizer; what storage may remove later."""


@dataclass(frozen=True)
class RunPlan:
    """What a run will have: a pure function of its settings and of the digests of its model and tasks."""

    settings: Settings
    model_digest: str
    tasks_digest: str
    num_heldout: int
    teacher_digest: str | None
    """Of an external teacher."""
    earlier: tuple[tuple[int, RunPlan], ...] = ()
    """Of a fork, or of a run that was redone: the plan that rounds below a number follow, in rising order; the other
    rounds follow this one."""

    @classmethod
    def of(cls, folder: RunFolder) -> RunPlan:
        """The plan of a run folder. Raises StorageError for one that `mopd run` didn't make."""
        names = DIGESTS
        absent = [name for name in names if name not in folder.document]
        if absent:
            raise StorageError(
                f"{folder.address}: was not made by mopd run ({RUN_FILE} has no {', '.join(absent)}); "
                "mopd sql reads it, another command needs a run of mopd run"
            )
        digests = {name: folder.document[name] for name in names}
        return _planned_once(cls(settings_of(folder), **digests, earlier=_earlier(folder)))

    def at(self, round: int) -> RunPlan:
        """The plan that a round, and the evaluation of its policy, follow: in a fork maybe an ancestor's."""
        return next((plan for below, plan in self.earlier if round < below), self)

    def forked(self, round: int, plan: RunPlan) -> RunPlan:
        """`plan` from `round` on; before it, this one."""
        kept = [(below, one) for below, one in self.earlier if below < round]
        last = [(round, replace(self.at(round - 1), earlier=()))] if round else []
        return replace(plan, earlier=(*kept, *last))

    def shards(self) -> list[Shard]:
        """Everything that the run may have: of each round all its candidates, of each policy its evaluation."""
        parts: list[RoundPlan | EvaluationPlan | GuardShards] = [*self.rounds, *self._any_evaluations.values()]
        parts += self.guards
        return [shard for part in parts for shard in part.all()]

    @property
    def num_train_shards(self) -> int:
        """Shards of a round's training prompts; held-out prompts come after them."""
        return _num_shards(self.settings.generate.num_prompts, self.settings.prompts_per_shard)

    def missing(self, folder: RunFolder) -> list[Shard]:
        """What is still to be made; nothing for a finished run."""
        with looking_once():
            return self.missing_of(folder, self.asked(folder))

    def asked(self, folder: RunFolder) -> list[Shard]:
        """What a finished run has: of each round what it is known to need by now, the evaluations, and the guards."""
        shards = [shard for part in self.rounds for shard in part.needed(folder).all()]
        shards += [shard for part in self.evaluations.values() for shard in part.all()]
        return shards + [shard for version in range(len(self.guards)) for shard in needed_guards(self, folder, version)]

    def missing_of(self, folder: RunFolder, shards: list[Shard]) -> list[Shard]:
        """Those of `shards` that are still to be made.

        Scores that trained their policy, and whose teacher's own weights were removed since, can't be made again and
        aren't needed.
        """
        with looking_once():
            return [shard for shard in shards if shard.find(folder) is None and self._makeable(folder, shard)]

    def _makeable(self, folder: RunFolder, shard: Shard) -> bool:
        if shard.table == "signals" and shard.input("scores").find(folder) is None:
            return self._makeable(folder, shard.input("scores"))
        if shard.table != "scores" or shard.overrides or not 0 < shard.round < len(self.rounds):
            return True
        before = self.rounds[shard.round - 1].policy.committed(folder)
        if self.rounds[shard.round].policy.find(folder) is None:
            return True
        removed = before is None or not has_trainer_state(folder, before)
        return not (removed and has_weights(shard.settings.train.teacher))

    @cached_property
    def rounds(self) -> list[RoundPlan]:
        """One plan a round."""
        return self._chain[0]

    @cached_property
    def evaluations(self) -> dict[int, EvaluationPlan]:
        """One plan for each policy version that these settings have evaluated."""
        return {version: self._evaluation_of(version) for version in self._evaluated()}

    @cached_property
    def guards(self) -> list[GuardShards]:
        """What is asked of each policy version."""
        return plan_guards(self)

    def shown_evaluations(self, folder: RunFolder) -> dict[int, EvaluationPlan]:
        """The evaluations that these settings ask for and, beside them, those that earlier settings had made.

        A run of two rounds has policy 2 evaluated; continued to a third round, it asks for policies 0 and 3.
        """
        return {
            version: part
            for version, part in self._any_evaluations.items()
            if version in self.evaluations or part.is_there(folder)
        }

    def unasked_evaluations(self) -> list[EvaluationPlan]:
        """The evaluations that these settings don't ask for; earlier ones may have."""
        return [part for version, part in self._any_evaluations.items() if version not in self.evaluations]

    @cached_property
    def _any_evaluations(self) -> dict[int, EvaluationPlan]:
        """One plan for each policy version."""
        versions = range(self.settings.rounds + 1) if self.num_heldout else ()
        return {version: self.evaluations.get(version) or self._evaluation_of(version) for version in versions}

    def _evaluation_of(self, version: int) -> EvaluationPlan:
        state = (self.rounds[version - 1].policy.flat(),) if version else ()
        return self.at(version)._evaluation(version, self._chain[1][version], state)

    @cached_property
    def _chain(self) -> tuple[list[RoundPlan], list[str]]:
        """Round after round; each is keyed by the policy that the one before it trained."""
        policies = [self.model_digest]
        rounds: list[RoundPlan] = []
        for number in range(self.settings.rounds):
            rounds.append(self.at(number)._round(number, policies[-1], rounds))
            policies.append(rounds[-1].policy.key)
        return rounds, policies

    def _round(self, number: int, model: str, rounds: list[RoundPlan]) -> RoundPlan:
        candidates = Candidates.of(self.settings.generate, self.settings.prompts_per_shard)
        shards = range(len(candidates.sizes))
        state = (rounds[-1].policy.flat(),) if rounds else ()
        prompts = [self._candidate_prompts(number, index, candidates.sizes[index]) for index in shards]
        rollouts = [self._shard("rollouts", number, index, model, (prompts[index],), policy=state) for index in shards]
        verdicts = [self._shard("verdicts", number, index, "", (rollouts[index],)) for index in shards]
        before = [verdicts[:index] if candidates.kind != "all" else [] for index in shards]
        history = _history(rounds[max(number - self.settings.condition.history_rounds, 0) :])
        judged = Judged(number, model, state, [(verdicts[index], *before[index]) for index in shards], history)
        probes, choice = self._probe(judged, rounds)
        own = self.shown(judged, shards, choice=(choice,) if choice else ())
        policy = self._shard("policies", number, 0, model, (*own.scores, *state))
        return RoundPlan(
            *(prompts, rollouts, verdicts, own.contexts, own.scores, own.signals, policy),
            updates=self._shard("updates", number, 0, "", (policy,)),
            candidates=candidates,
            control=self._control(judged),
            probes=probes,
            choice=choice if probes else None,
        )

    def shown(
        self, judged: Judged, shards: Iterable[int], *digests: str, choice: tuple[Shard, ...] = ()
    ) -> ContextShards:
        """Contexts and scores of some shards by these settings."""
        number, teacher = judged.round, () if self.teacher_digest is None else (self.teacher_digest,)
        contexts, scores, signals = [], [], []
        named = (*(shard.key for shard in judged.history), *digests)
        for index in shards:
            made_from, history = (*judged.verdicts[index], *choice), judged.history
            contexts.append(
                self._shard("contexts", number, index, self.model_digest, made_from, *named, history=history)
            )
            scores.append(self._shard("scores", number, index, judged.model, (contexts[-1], *judged.state), *teacher))
            signals.append(self._shard("signals", number, index, "", (scores[-1],)))
        return ContextShards("", contexts, scores, signals)

    def judged(self, round: int) -> Judged:
        """What answers of a round are made from beside its contexts."""
        state = (self.rounds[round - 1].policy.flat(),) if round else ()
        return Judged(round, self._chain[1][round], state, [], ())

    def with_answers(self, judged: Judged, part: ContextShards) -> ContextShards:
        """The part with what the student replies under its contexts, keyed by these settings, named as they are."""
        return replace(part, answers=[self._answers(judged, context) for context in part.contexts])

    def _answers(self, judged: Judged, context: Shard) -> Shard:
        shard = self._shard("answers", judged.round, context.shard, judged.model, (context,), policy=judged.state)
        return replace(shard, name=context.name, overrides=context.overrides)

    def rejudged(self, verdicts: Shard, other: Shard, *contexts: Shard) -> Shard:
        """What `other` verdicts of the same rollouts change; `contexts`: those under both, or none to compare."""
        return self._shard("rejudged", verdicts.round, verdicts.shard, "", (verdicts, other, *contexts))

    def by(self, settings: Settings) -> RunPlan:
        """The plan under other settings."""
        return replace(self, settings=settings, earlier=())

    def _control(self, judged: Judged) -> ContextShards | None:
        """Some groups of one shard of the round."""
        settings, groups = self.settings, self.settings.signals.control_groups
        if not groups or settings.generate.num_samples == 1:
            return None
        index = derive_seed(settings.seed, "control", judged.round) % self.num_train_shards
        return self.by(control_settings(settings)).shown(judged, [index], f"{groups} groups").named(CONTROL)

    def _probe(self, judged: Judged, rounds: list[RoundPlan]) -> tuple[list[ContextShards], Shard | None]:
        """What is tried in a round, and the choice that its contexts follow: an earlier round's where nothing is."""
        variant = self.settings.condition.variant
        if not isinstance(variant, AutoVariant):
            return [], None
        chosen = [part.choice for part in rounds if part.choice is not None]
        if judged.round % variant.every and chosen:
            return [], chosen[-1].flat()
        probes = []
        for name, settings in candidate_settings(self.settings).items():
            plan = self.by(settings)
            probes.append(plan.with_answers(judged, plan.shown(judged, range(len(judged.verdicts))).named(name)))
        tried = tuple(shard for part in probes for shard in (*part.signals, *part.answers))
        return probes, self._shard("choices", judged.round, 0, "", tried)

    def _candidate_prompts(self, number: int, index: int, size: int) -> Shard:
        """Further prompts come after the held-out ones, so that those stand where they do with `groups: all`."""
        if index < self.num_train_shards:
            return self._shard("prompts", number, index, "", (), self.tasks_digest)
        place = index + _num_shards(self.num_heldout, self.settings.prompts_per_shard)
        return self._shard("prompts", number, place, "", (), self.tasks_digest, f"{size} further prompts")

    def _evaluation(self, version: int, model: str, policy: tuple[Shard, ...]) -> EvaluationPlan:
        """Held-out prompts stand in the prompts table of the policy's version, after the training prompts' shards."""
        first = self.num_train_shards
        count = _num_shards(self.num_heldout, self.settings.prompts_per_shard)
        prompts = [self._shard("prompts", version, first + index, "", (), self.tasks_digest) for index in range(count)]
        return EvaluationPlan(
            prompts,
            [
                self._shard("evaluations", version, index, model, (prompts[index],), policy=policy)
                for index in range(count)
            ],
        )

    def _evaluated(self) -> list[int]:
        when, last = self.settings.evaluate.when, self.settings.rounds
        if when == "never" or not self.num_heldout:
            return []
        return list(range(last + 1)) if when == "every_round" else [0, last]

    def _shard(
        self,
        table: str,
        round: int,
        shard: int,
        model: str,
        inputs: tuple[Shard, ...],
        *digests: str,
        policy: tuple[Shard, ...] = (),
        history: tuple[Shard, ...] = (),
    ) -> Shard:
        """`policy`: the one it reads besides its inputs, where `model` is that one's key."""
        key = shard_key(
            table,
            version=STAGES[table].version,
            settings=self._slice_text(table, round),
            model=model,
            inputs=[*(one.key for one in inputs), *digests],
            seed=self.settings.seed,
            shard=shard,
        )
        chain = Shard(table, round, shard, key, self.settings, inputs=inputs, history=history)
        along = [chain.input(name).flat() for name in STAGES[table].reads]
        before = [one.flat() for one in (*inputs, *policy)]  # the history's are flat already
        read = (*before, *history, *along)
        return Shard(table, round, shard, key, self.settings, inputs=inputs, read=read, history=history)

    def flat_shard(self, table: str, round: int, shard: int, inputs: Iterable[Shard]) -> Shard:
        """One by these settings whose job reads each input by itself, and nothing behind them."""
        return self._shard(table, round, shard, "", tuple(one.flat() for one in inputs))

    def _slice_text(self, table: str, round: int) -> JsonText:
        """The settings that enter the keys of a table in a round, written once for all of its shards."""
        if (table, round) not in self._slices:
            self._slices[table, round] = json_text(
                {"round": round, **STAGES[table].settings(self.settings, self._tree)}
            )
        return self._slices[table, round]

    @cached_property
    def _tree(self) -> dict[str, Any]:
        return key_tree(self.settings)

    @cached_property
    def _slices(self) -> dict[tuple[str, int], JsonText]:
        return {}


@lru_cache(maxsize=2)
def _planned_once(plan: RunPlan) -> RunPlan:
    """An equal plan whose shards may be known already: a start asks for it several times."""
    return plan


def _earlier(folder: RunFolder) -> tuple[tuple[int, RunPlan], ...]:
    return tuple(
        (part["below"], RunPlan(settings_of(folder, part["settings"]), **{name: part[name] for name in DIGESTS}))
        for part in folder.earlier
    )


def _history(rounds: list[RoundPlan]) -> tuple[Shard, ...]:
    """The verdicts of rounds and the rollouts that they judge."""
    return tuple(
        shard.flat() for part in rounds for pair in zip(part.verdicts, part.rollouts, strict=True) for shard in pair
    )


def _num_shards(num_prompts: int, prompts_per_shard: int) -> int:
    return -(-num_prompts // prompts_per_shard)
