"""Signals over prompts: means with bootstrap intervals, and paired differences from one variant.

A prompt counts once, whatever the size of its group. What a prompt can't answer stays out of the mean and is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from mopd.errors import InputError
from mopd.evaluate import Interval
from mopd.measures.signal_metrics import METRICS
from mopd.measures.signals import Row, Rows
from mopd.seeds import derive_seed

Prompt = tuple[int, str]
"""Round and prompt id: a prompt may be asked in several rounds."""

SUMMARIZED = (*METRICS, "context_tokens", "response_tokens", "cut_share", "sections_share")
"""Columns of signal rows that have a mean over prompts."""


def _whole_and_mixed(row: Row) -> bool:
    share = row["success_share"]
    return row["population"] == "all" and share is not None and 0 < share < 1


POPULATIONS: dict[str, Callable[[Row], bool]] = {
    "all": lambda row: row["population"] == "all",
    "sections": lambda row: row["population"] == "sections",
    "mixed": _whole_and_mixed,
    "hard": lambda row: _whole_and_mixed(row) and row["success_share"] <= 1 / 3,
    "medium": lambda row: _whole_and_mixed(row) and 1 / 3 < row["success_share"] <= 2 / 3,
    "easy": lambda row: _whole_and_mixed(row) and row["success_share"] > 2 / 3,
}
"""Which signal rows are averaged: all rollouts of every prompt; of every prompt the rollouts whose context had all
sections; all rollouts of the prompts with both outcomes, and these by their share of successes, in thirds."""


@dataclass(frozen=True)
class SignalEstimate:
    """One metric of one variant over the prompts of a population; None where undefined."""

    name: str
    """The variant, as the caller names it."""
    population: str
    """A name of POPULATIONS."""
    metric: str
    """A name of SUMMARIZED."""
    value: float | None
    """The mean over prompts."""
    interval: Interval | None
    """95 %, percentile bootstrap over prompts; None for fewer than two."""
    num_prompts: int
    """Prompts in the mean."""
    num_null: int
    """Prompts of the population that have no value."""
    difference: float | None
    """The mean over prompts that both have of this variant's value minus the reference's; None for that one itself."""
    difference_interval: Interval | None
    num_paired: int
    """Prompts in the difference."""


def summarize_signals(
    rows_by_name: Mapping[str, Rows], *, reference: str | None, num_samples: int, seed: int
) -> list[SignalEstimate]:
    """Every metric over every population of every variant, in the order of `rows_by_name`.

    `rows_by_name`: rows of `signal_rows` by variant; a prompt that is asked in several rounds counts for each.
    `num_samples`: draws of the bootstrap. Raises InputError for a reference that isn't among the variants.
    """
    if reference is not None and reference not in rows_by_name:
        raise InputError(f"reference {reference}: not among the variants; choose one of {', '.join(rows_by_name)}")
    draws = _Draws(num_samples, seed)
    found = []
    for name, rows in rows_by_name.items():
        others = [] if reference in (None, name) else rows_by_name[str(reference)]
        for population in POPULATIONS:
            own, there = _of(population, rows), _of(population, others)
            for metric in SUMMARIZED:
                mine, theirs = _values(own, metric), _values(there, metric)
                numbers = _numbers(mine, theirs, draws)
                found.append(SignalEstimate(name, population, metric, num_null=len(own) - len(mine), **numbers))
    return found


class _Draws(NamedTuple):
    """How prompts are resampled: how often, and from which seed."""

    num_samples: int
    seed: int


def _numbers(mine: dict[Prompt, float], theirs: dict[Prompt, float], draws: _Draws) -> dict[str, Any]:
    """The mean of a variant's values, and of their differences from the reference's."""
    paired = [value - theirs[prompt] for prompt, value in mine.items() if prompt in theirs]
    value, interval = _mean(list(mine.values()), draws)
    difference, difference_interval = _mean(paired, draws)
    return {
        "value": value,
        "interval": interval,
        "num_prompts": len(mine),
        "difference": difference,
        "difference_interval": difference_interval,
        "num_paired": len(paired),
    }


def _mean(values: Sequence[float], draws: _Draws) -> tuple[float | None, Interval | None]:
    """The mean of P values, and the interval that `mopd.evaluate.bootstrap_interval` gives it."""
    if len(values) < 2:
        return (values[0] if values else None), None
    values_P = np.asarray(values, dtype=np.float64)
    means_B = _counts(len(values), draws) @ values_P / len(values)
    low, high = np.quantile(means_B, [0.025, 0.975])
    return float(values_P.mean()), (float(low), float(high))


@lru_cache(maxsize=4)
def _counts(num_prompts: int, draws: _Draws) -> np.ndarray[Any, Any]:
    """[B, P]: how often each of P prompts is in each of B draws. Drawn once for all metrics, where it takes long."""
    rng = np.random.default_rng(derive_seed(draws.seed, "bootstrap"))
    drawn_BP = rng.integers(num_prompts, size=(draws.num_samples, num_prompts))
    drawn_BP += num_prompts * np.arange(draws.num_samples)[:, None]
    counts = np.bincount(drawn_BP.ravel(), minlength=drawn_BP.size)
    return counts.reshape(drawn_BP.shape).astype(np.float64)


def _of(population: str, rows: Rows) -> dict[Prompt, Row]:
    """The rows of a population by round and prompt."""
    chosen = [row for row in rows if POPULATIONS[population](row)]
    by_prompt = {(row["round"], row["prompt_id"]): row for row in chosen}
    assert len(by_prompt) == len(chosen), "two rows of a variant are of one prompt"
    return dict(sorted(by_prompt.items()))


def _values(rows: dict[Prompt, Row], metric: str) -> dict[Prompt, float]:
    return {prompt: row[metric] for prompt, row in rows.items() if row[metric] is not None}
