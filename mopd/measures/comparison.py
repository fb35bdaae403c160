"""Arms beside each other: means over seeds and prompts, and paired differences, with bootstrap intervals.

An arm has, for each seed, one number a prompt (`Values`). Seeds are alike in weight, and so are the prompts of a seed.
What can't be computed is None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mopd.evaluate import majorities, outcomes_by_prompt, prompt_mean, prompt_pass
from mopd.measures.estimate import UNDEFINED, Estimate, Values, estimate_mean_of_seeds

METHOD = (
    "Means over seeds of means over held-out prompts. 95 % intervals: hierarchical percentile bootstrap, seeds drawn "
    "first, then prompts within each drawn seed (for all seeds at once where they are asked the same ones). "
    "Differences are paired: same seed, same prompt."
)
FEW_SEEDS = 5
"""Below so many seeds, drawing from them understates how much seeds differ."""


METRICS = ("mean", "pass", "maj")


@dataclass(frozen=True)
class Outcome:
    """One policy of one run: a number a prompt for each metric; prompts without enough verdicts are left out."""

    metrics: Mapping[str, Values]
    """By a name of METRICS. mean: the share of successes, of prompts with a verdict. pass: the unbiased pass@k, of
    prompts with at least k verdicts. maj: maj@k, of those whose verifier says what it found (`majorities`)."""
    num_null: int
    """Samples without a verdict."""


def outcome_of(rows: Sequence[dict[str, Any]], k: int) -> Outcome:
    """The numbers of each prompt from one policy's evaluation rows; these have what `summarize_evaluation` reads."""
    prompts = outcomes_by_prompt(rows)
    metrics = {
        "mean": {prompt: prompt_mean(outcomes) for prompt, outcomes in prompts.items()},
        "pass": {prompt: prompt_pass(outcomes, k) for prompt, outcomes in prompts.items()},
        "maj": majorities(rows, k),
    }
    num_null = sum(row["success"] is None for row in rows)
    return Outcome({metric: _defined(values) for metric, values in metrics.items()}, num_null)


def _defined(values: Mapping[str, float | None]) -> Values:
    return {prompt: value for prompt, value in values.items() if value is not None}


def paired_difference(
    arm: Mapping[int, Values], first: Mapping[int, Values], *, num_samples: int, seed: int
) -> Estimate:
    """`arm` minus `first`, both by seed, over the seeds and prompts that both have."""
    paired = [
        {prompt: value - first[number][prompt] for prompt, value in values.items() if prompt in first[number]}
        for number, values in sorted(arm.items())
        if number in first
    ]
    return estimate_mean_of_seeds(paired, num_samples=num_samples, seed=seed)


@dataclass(frozen=True)
class Point:
    """One arm after so many rounds, over all seeds that have got there."""

    arm: str
    policy: int
    """Rounds of training that the policy has had."""
    num_seeds: int
    """Seeds that have got there with a verdict at least."""
    estimates: Mapping[str, Estimate]
    """By metric, and by `METRIC_difference` from the first arm; undefined for that one itself."""
    num_null: int
    """Samples without a verdict, left out."""


Outcomes = Mapping[str, Mapping[int, Mapping[int, Outcome]]]
"""By arm (the first one first), seed and policy."""


def compare_arms(outcomes: Outcomes, *, metrics: Sequence[str], num_samples: int, seed: int) -> list[Point]:
    """One point for each policy of each arm that was evaluated for a seed at least, arm after arm."""
    first = next(iter(outcomes), None)
    draws = {"num_samples": num_samples, "seed": seed}

    def point(arm: str, policy: int) -> Point:
        at_arm, at_first = (_at(outcomes[name], policy) for name in (arm, first or arm))
        estimates: dict[str, Estimate] = {}
        for metric in metrics:
            values, first_values = (
                {number: outcome.metrics[metric] for number, outcome in at.items()} for at in (at_arm, at_first)
            )
            estimates[metric] = estimate_mean_of_seeds(list(values.values()), **draws)
            estimates[f"{metric}_difference"] = (
                UNDEFINED if arm == first else paired_difference(values, first_values, **draws)
            )
        num_seeds = sum(bool(outcome.metrics["mean"]) for outcome in at_arm.values())
        num_null = sum(outcome.num_null for outcome in at_arm.values())
        return Point(arm, policy, num_seeds, estimates, num_null)

    return [point(arm, policy) for arm, seeds in outcomes.items() for policy in sorted(set().union(*seeds.values()))]


def _at(seeds: Mapping[int, Mapping[int, Outcome]], policy: int) -> dict[int, Outcome]:
    return {number: policies[policy] for number, policies in sorted(seeds.items()) if policy in policies}
