"""Arms beside each other: means over seeds and prompts, and paired differences, with bootstrap intervals.

An arm has, for each seed, one number a prompt (`Values`). Seeds are alike in weight, and so are the prompts of a seed.
What can't be computed is None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mopd.evaluate import Interval, majorities, outcomes_by_prompt, prompt_mean, prompt_pass
from mopd.seeds import derive_seed

Floats = np.ndarray[Any, Any]
Values = Mapping[str, float]
"""One number a prompt, by the prompt's id."""

METHOD = (
    "Means over seeds of means over held-out prompts. 95 % intervals: hierarchical percentile bootstrap, seeds drawn "
    "first, then prompts within each drawn seed (for all seeds at once where they are asked the same ones). "
    "Differences are paired: same seed, same prompt."
)
FEW_SEEDS = 5
"""Below so many seeds, drawing from them understates how much seeds differ."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds of means over prompts, with its 95 % interval; None where undefined."""

    value: float | None
    interval: Interval | None
    num_seeds: int
    num_prompts: int
    """Of all seeds together."""


@dataclass(frozen=True)
class Outcome:
    """One policy of one run: a number a prompt for each metric; prompts without enough verdicts are left out."""

    mean: Values
    """The share of successes, of prompts with a verdict."""
    passed: Values
    """The unbiased pass@k, of prompts with at least k verdicts."""
    num_null: int
    """Samples without a verdict."""
    majority: Values = field(default_factory=dict)
    """maj@k, of prompts with at least k verdicts whose verifier says what it found (`mopd.evaluate.majorities`)."""


def outcome_of(rows: Sequence[dict[str, Any]], k: int) -> Outcome:
    """The numbers of each prompt from one policy's evaluation rows; these have what `summarize_evaluation` reads."""
    prompts = outcomes_by_prompt(rows)
    return Outcome(
        mean=_defined({prompt: prompt_mean(outcomes) for prompt, outcomes in prompts.items()}),
        passed=_defined({prompt: prompt_pass(outcomes, k) for prompt, outcomes in prompts.items()}),
        num_null=sum(row["success"] is None for row in rows),
        majority=_defined(majorities(rows, k)),
    )


def _defined(values: Mapping[str, float | None]) -> Values:
    return {prompt: value for prompt, value in values.items() if value is not None}


def estimate(seeds: Sequence[Values], *, num_samples: int, rng_seed: int) -> Estimate:
    """The mean over seeds of the means over prompts; seeds without any number are left out."""
    there = [values for values in seeds if values]
    return Estimate(
        value=float(np.mean([np.mean(list(values.values())) for values in there])) if there else None,
        interval=hierarchical_interval(there, num_samples=num_samples, rng_seed=rng_seed),
        num_seeds=len(there),
        num_prompts=sum(map(len, there)),
    )


def difference(arm: Mapping[int, Values], first: Mapping[int, Values], *, num_samples: int, rng_seed: int) -> Estimate:
    """`arm` minus `first`, both by seed, over the seeds and prompts that both have."""
    paired = [
        {prompt: value - first[seed][prompt] for prompt, value in values.items() if prompt in first[seed]}
        for seed, values in sorted(arm.items())
        if seed in first
    ]
    return estimate(paired, num_samples=num_samples, rng_seed=rng_seed)


def hierarchical_interval(
    seeds: Sequence[Values], *, num_samples: int, rng_seed: int, level: float = 0.95
) -> Interval | None:
    """Percentile interval of the mean of means: seeds are drawn, then prompts within each seed that was drawn.

    Where all seeds have the same prompts, these are drawn once for all of them: a prompt that is hard is hard for
    every seed. One seed: over its prompts alone. None for fewer than two numbers in all.
    """
    if sum(map(len, seeds)) < 2:
        return None
    rng = np.random.default_rng(derive_seed(rng_seed, "comparison"))
    ids = sorted(seeds[0])
    crossed = all(sorted(values) == ids for values in seeds)
    tables = [np.asarray([values[prompt] for prompt in sorted(values)], dtype=np.float64) for values in seeds]
    drawn_BS = rng.integers(len(tables), size=(num_samples, len(tables)))
    means_B = _crossed_means(tables, drawn_BS, rng) if crossed else _nested_means(tables, drawn_BS, rng)
    low, high = np.quantile(means_B, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _nested_means(tables: list[Floats], drawn_BS: Floats, rng: np.random.Generator) -> Floats:
    """Of each of the B draws of S seeds, the mean over these; each has prompts of its own drawn, every time anew."""
    means_BS = np.empty(drawn_BS.shape)
    for seed, values_P in enumerate(tables):
        where_BS = drawn_BS == seed
        prompts_NP = rng.integers(values_P.size, size=(int(where_BS.sum()), values_P.size))
        means_BS[where_BS] = values_P[prompts_NP].mean(axis=1)
    return means_BS.mean(axis=1)


def _crossed_means(tables: list[Floats], drawn_BS: Floats, rng: np.random.Generator) -> Floats:
    """The same where each of the B draws has one draw of prompts, for all its seeds."""
    values_SP = np.stack(tables)
    prompts_BP = rng.integers(values_SP.shape[1], size=(len(drawn_BS), values_SP.shape[1]))
    return np.mean([values_SP[seed_B[:, None], prompts_BP].mean(axis=1) for seed_B in drawn_BS.T], axis=0)


@dataclass(frozen=True)
class Point:
    """One arm after so many rounds, over all seeds that have got there."""

    arm: str
    policy: int
    """Rounds of training that the policy has had."""
    mean: Estimate
    """mean@k."""
    mean_difference: Estimate | None
    """From the first arm; None for that one itself."""
    passed: Estimate
    """pass@k."""
    passed_difference: Estimate | None
    num_null: int
    """Samples without a verdict, left out."""


Outcomes = Mapping[str, Mapping[int, Mapping[int, Outcome]]]
"""By arm (the first one first), seed and policy."""


def compare_arms(outcomes: Outcomes, *, num_samples: int, rng_seed: int) -> list[Point]:
    """One point for each policy of each arm that was evaluated for a seed at least, arm after arm."""
    first = next(iter(outcomes), None)

    def point(arm: str, policy: int) -> Point:
        ours, theirs = (_at(outcomes[name], policy) for name in (arm, first or arm))

        def both(metric: str) -> tuple[Estimate, Estimate | None]:
            mine, others = ({seed: getattr(one, metric) for seed, one in at.items()} for at in (ours, theirs))
            draws = {"num_samples": num_samples, "rng_seed": rng_seed}
            return estimate(list(mine.values()), **draws), None if arm == first else difference(mine, others, **draws)

        return Point(arm, policy, *both("mean"), *both("passed"), sum(one.num_null for one in ours.values()))

    return [point(arm, policy) for arm, seeds in outcomes.items() for policy in sorted(set().union(*seeds.values()))]


def _at(seeds: Mapping[int, Mapping[int, Outcome]], policy: int) -> dict[int, Outcome]:
    return {seed: policies[policy] for seed, policies in sorted(seeds.items()) if policy in policies}
