"""What is asked of each policy version of a run: which shards of guards there are, and what they are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.plan.shard import Shard
from storage.runs import RunFolder

if TYPE_CHECKING:
    from flows.plan.run import RunPlan

TRAINED, SAMPLED = 0, 1
"""Numbers of a policy's two shards in `guards`."""
GRADIENT_ROUNDS = 10
"""Rounds whose gradient norms a round's is compared with: the latest before it."""


@dataclass(frozen=True)
class GuardShards:
    """What is asked of one policy version: once it is trained, and once it has sampled a round."""

    trained: Shard
    sampled: Shard | None
    """None for the last policy, which samples no round."""

    def all(self) -> list[Shard]:
        """Both, as far as there are two."""
        return [self.trained, *([self.sampled] if self.sampled else [])]


def plan_guards(plan: RunPlan) -> list[GuardShards]:
    """Those of every policy version, by the settings that its round follows: each from what was asked before it."""
    guards: list[GuardShards] = []
    for version in range(plan.settings.rounds + 1):
        guards.append(_guards_of(plan, version, guards[-1:]))
    return guards


def _guards_of(plan: RunPlan, version: int, before: list[GuardShards]) -> GuardShards:
    own, asked = plan.at(version), [shard for guards in before for shard in guards.all()]
    evaluations = plan.evaluations[version].evaluations if version in plan.evaluations else []
    updates = [part.updates for part in plan.rounds[max(version - 1 - GRADIENT_ROUNDS, 0) : version]]
    trained = own.flat_shard("guards", version, TRAINED, [*evaluations, *updates, *asked])
    if version == plan.settings.rounds:
        return GuardShards(trained, None)
    part = plan.rounds[version]
    made = [*part.rollouts, *part.verdicts, *part.contexts]
    return GuardShards(trained, own.flat_shard("guards", version, SAMPLED, [*made, trained, *asked]))


def needed_guards(plan: RunPlan, folder: RunFolder, version: int) -> list[Shard]:
    """Those of one version, made from the shards that its round is certain to need."""
    guards = plan.guards[version]
    if guards.sampled is None:
        return guards.all()
    part = plan.rounds[version]
    count = len(part.needed(folder).rollouts)
    spare = [*part.rollouts[count:], *part.verdicts[count:], *part.contexts[count:]]
    return [guards.trained, guards.sampled.without(spare)]
