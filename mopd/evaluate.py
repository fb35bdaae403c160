"""Held-out numbers: mean@k, pass@k and maj@k with bootstrap intervals over prompts.

Outcomes are True, False, or None where the verifier crashed. None stays out of every mean and is counted.
What can't be computed is None, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from mopd.measures.estimate import Interval, bootstrap_interval
from mopd.settings import EvaluateSettings

Row = dict[str, Any]
Outcomes = Sequence[bool | None]


@dataclass(frozen=True)
class EvaluationSummary:
    """mean@k, pass@k and maj@k in [0, 1] with their 95 % intervals; None where undefined."""

    mean_at_k: float | None
    mean_interval: Interval | None
    pass_at_k: float | None
    pass_interval: Interval | None
    k: int
    num_prompts: int
    num_null: int
    """Samples without a verdict, left out."""
    num_mean_prompts: int
    """Prompts in mean@k: those with a verdict at all."""
    num_pass_prompts: int
    """Prompts in pass@k: those with at least k verdicts."""
    maj_at_k: float | None
    maj_interval: Interval | None
    num_maj_prompts: int
    """Prompts in maj@k: those with at least k verdicts, of a verifier that says what it found in a reply."""
    num_maj_cut: int
    """Prompts with more than k verdicts, of which the first k by sample index vote."""


def summarize_evaluation(rows: list[Row], settings: EvaluateSettings, seed: int) -> EvaluationSummary:
    """The summary of one policy's evaluation rows; k is `settings.num_samples`.

    Rows have `prompt_id`, `sample` and `success`; maj@k is read from what `majorities` names besides.
    """
    k = settings.num_samples
    prompts = list(outcomes_by_prompt(rows).values())
    means = _defined([prompt_mean(outcomes) for outcomes in prompts])
    passes = _defined([prompt_pass(outcomes, k) for outcomes in prompts])
    votes = _defined(list(majorities(rows, k).values()))

    def interval(values: list[float]) -> Interval | None:
        return bootstrap_interval(values, num_samples=settings.bootstrap_samples, seed=seed)

    return EvaluationSummary(
        mean_at_k=_mean(means),
        mean_interval=interval(means),
        pass_at_k=_mean(passes),
        pass_interval=interval(passes),
        k=k,
        num_prompts=len(prompts),
        num_null=sum(row["success"] is None for row in rows),
        num_mean_prompts=len(means),
        num_pass_prompts=len(passes),
        maj_at_k=_mean(votes),
        maj_interval=interval(votes),
        num_maj_prompts=len(votes),
        num_maj_cut=sum(len(_verdicts(outcomes)) > k for outcomes in prompts) if votes else 0,
    )


def mean_at_k(prompts: Sequence[Outcomes]) -> float | None:
    """The share of successes a prompt, averaged over prompts; None without any verdict."""
    return _mean(_defined([prompt_mean(outcomes) for outcomes in prompts]))


def pass_at_k(prompts: Sequence[Outcomes], k: int) -> float | None:
    """The unbiased pass@k averaged over prompts with at least k verdicts; None when there are none."""
    return _mean(_defined([prompt_pass(outcomes, k) for outcomes in prompts]))


def prompt_mean(outcomes: Outcomes) -> float | None:
    """The share of successes among the verdicts of one prompt."""
    return _mean([float(outcome) for outcome in outcomes if outcome is not None])


def prompt_pass(outcomes: Outcomes, k: int) -> float | None:
    """1 - C(n-c, k) / C(n, k) for c successes in n verdicts (arXiv 2107.03374); None when n < k."""
    assert k >= 1, "pass@k needs k >= 1"
    verdicts = _verdicts(outcomes)
    n, c = len(verdicts), sum(verdicts)
    return 1.0 - comb(n - c, k) / comb(n, k) if n >= k else None


def majorities(rows: Sequence[Row], k: int) -> dict[str, float | None]:
    """maj@k of each prompt: the mean success of the replies that gave the most frequent answer among the first k.

    Replies are taken by sample index, those without a verdict left out; None with fewer than k. A reply's vote is its
    `prediction`, letter for letter; of answers that are equally frequent, the mean counts. Where nobody votes, the
    prompt counts 0, but None where its verifier (`verifier`, where the rows have it) never says what it found. What
    ran in a `sandbox` is a program and no vote.
    """
    assert k >= 1, "maj@k needs k >= 1"
    voting = {row.get("verifier") for row in rows if _vote(row) is not None}
    return {
        prompt: prompt_majority([(_vote(row), row["success"]) for row in samples], k)
        if samples[0].get("verifier") in voting
        else None
        for prompt, samples in _by_prompt(rows).items()
    }


def prompt_majority(samples: Sequence[tuple[str | None, bool | None]], k: int) -> float | None:
    """maj@k of one prompt from (vote, outcome) in the order of samples; 0 where nobody votes, None with n < k."""
    judged = [(vote, float(success)) for vote, success in samples if success is not None][:k]
    if len(judged) < k:
        return None
    ballots: dict[str, list[float]] = {}
    for vote, success in judged:
        if vote is not None:
            ballots.setdefault(vote, []).append(success)
    most = max(map(len, ballots.values()), default=0)
    return _mean([success for ballot in ballots.values() if len(ballot) == most for success in ballot]) or 0.0


def outcomes_by_prompt(rows: Sequence[Row]) -> dict[str, list[bool | None]]:
    """Outcomes by the prompt's id, both in an order that does not depend on the order of the rows."""
    return {prompt: [row["success"] for row in samples] for prompt, samples in _by_prompt(rows).items()}


def _by_prompt(rows: Sequence[Row]) -> dict[str, list[Row]]:
    prompts: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row["prompt_id"], int(row["sample"]))):
        prompts.setdefault(row["prompt_id"], []).append(row)
    return prompts


def _vote(row: Row) -> str | None:
    return row.get("prediction") if row.get("sandbox") is None else None


def _verdicts(outcomes: Outcomes) -> list[bool]:
    return [bool(outcome) for outcome in outcomes if outcome is not None]


def _defined(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
