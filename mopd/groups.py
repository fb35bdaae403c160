"""What follows from the verdicts of a group, before any teacher is paid for: whether it is trained on, its advantages.

`generate.groups` says which groups of a round are trained on.

A round asks its `num_prompts` prompts first, the same ones as with `groups: all`; then further prompts, a shard after
another, until `num_prompts` groups are useful or `max_oversample` times as many prompts were asked. A further shard is
asked only when it is certain to be needed: when those before it could not fill the round even if every group that is
not judged yet were useful. So nothing is sampled in vain, and what is sampled follows from the verdicts alone, however
often a run was interrupted. The first `num_prompts` useful groups, in the order of their shards, are trained on; what
the last shard has beyond them stays in the tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mopd.settings import GenerateSettings

Rows = list[dict[str, Any]]

USEFUL: dict[str, Callable[[set[bool]], bool]] = {
    "all": lambda outcomes: True,
    "any_success": lambda outcomes: True in outcomes,
    "mixed": lambda outcomes: len(outcomes) == 2,
}
"""By `generate.groups.kind`: whether a group with these outcomes is useful. A rollout without a verdict adds none."""


@dataclass(frozen=True)
class Candidates:
    """The groups that a round may ask, shard by shard, and what it looks for among them."""

    kind: str
    """A name of USEFUL."""
    wanted: int
    """Useful groups that the round should have."""
    sizes: tuple[int, ...]
    """Groups of each candidate shard: those of `num_prompts` first, then further ones, which begin a new shard."""

    @classmethod
    def of(cls, settings: GenerateSettings, prompts_per_shard: int) -> Candidates:
        """The candidates of each round of a run."""
        parts = (settings.num_prompts, num_further(settings))
        sizes = [min(prompts_per_shard, part - first) for part in parts for first in range(0, part, prompts_per_shard)]
        return cls(settings.groups.kind, settings.num_prompts, tuple(sizes))

    def prompts(self, shard: int) -> slice:
        """Which of the round's prompts, in the order in which they are drawn, are in the shard."""
        first = sum(self.sizes[:shard])
        return slice(first, first + self.sizes[shard])

    def shards_needed(self, useful: Sequence[int | None]) -> int:
        """How many shards, from the first on, are certain to be needed. Knowing more never makes it less.

        `useful`: the useful groups of each shard; None where it is not judged yet and may have nothing but them.
        """
        most = 0
        for shard, (num_useful, size) in enumerate(zip(useful, self.sizes, strict=True)):
            if most >= self.wanted:
                return shard
            most += size if num_useful is None else num_useful
        return len(self.sizes)


def num_further(settings: GenerateSettings) -> int:
    """Prompts that a round may ask beyond `num_prompts`, up to `max_oversample` times as many together, rounded up."""
    if settings.groups.kind == "all":
        return 0
    most = settings.num_prompts * settings.groups.max_oversample
    return math.ceil(round(most, 6)) - settings.num_prompts  # as floats, 10 * 1.1 is more than 11


def group_outcomes(verdicts: Rows) -> dict[str, set[bool]]:
    """The different outcomes of each group, by prompt id, in the order of the rows."""
    outcomes: dict[str, set[bool]] = {}
    for row in verdicts:
        group = outcomes.setdefault(row["prompt_id"], set())
        if row["success"] is not None:
            group.add(row["success"])
    return outcomes


def useful_groups(verdicts: Rows, kind: str) -> list[str]:
    """The prompt ids of the useful groups, in the order of the rows."""
    return [prompt for prompt, outcomes in group_outcomes(verdicts).items() if USEFUL[kind](outcomes)]


KINDS = {(False,): "none", (False, True): "mixed", (True,): "all"}
"""What a group is called whose verdicts are these: how many of them are successes."""


def group_kinds(verdicts: Rows) -> dict[str, str | None]:
    """The kind of each group, by prompt id; None where nothing of it is judged."""
    return {prompt: KINDS.get(tuple(sorted(outcomes))) for prompt, outcomes in group_outcomes(verdicts).items()}


def group_advantages(verdicts: Rows, *, normalize_std: bool) -> list[float | None]:
    """Group-relative advantage of each verdict: reward minus the group's mean, over its standard deviation.

    Rollouts without a reward get None and do not enter the group's statistics; a group of equal rewards gets zeros.
    """
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(verdicts):
        if row["reward"] is not None:
            groups.setdefault(row["prompt_id"], []).append(index)
    advantages: list[float | None] = [None] * len(verdicts)
    for members in groups.values():
        rewards = np.array([verdicts[index]["reward"] for index in members], dtype=np.float64)
        equal = rewards.max() == rewards.min()  # the mean of equal rewards may differ from them by rounding
        centred = np.zeros_like(rewards) if equal else rewards - rewards.mean()
        if normalize_std and not equal:
            centred = centred / rewards.std()
        for index, value in zip(members, centred, strict=True):
            advantages[index] = float(value)
    return advantages
