"""Signals over prompts: means with bootstrap intervals, and paired differences from one variant.

A prompt counts once, whatever the size of its group. What a prompt can't answer stays out of the mean and is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from mopd.errors import InputError
from mopd.measures.estimate import Estimate, estimate_mean
from mopd.measures.signal_metrics import METRICS
from mopd.measures.signals import Row, Rows

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
class Signal:
    """One metric of one variant over the prompts of a population that have a value."""

    mean: Estimate
    difference: Estimate
    """From the reference, over prompts that both have; undefined for the reference itself, and without one."""


Signals = dict[tuple[str, str, str], Signal]
"""By variant, as the caller names it, by a name of POPULATIONS and one of SUMMARIZED."""


def summarize_signals(
    rows_by_name: Mapping[str, Rows], *, reference: str | None, num_samples: int, seed: int
) -> Signals:
    """Every metric over every population of every variant, in the order of `rows_by_name`.

    `rows_by_name`: rows of `signal_rows` by variant; a prompt that is asked in several rounds counts for each.
    `num_samples`: draws of the bootstrap. Raises InputError for a reference that isn't among the variants.
    """
    if reference is not None and reference not in rows_by_name:
        raise InputError(f"reference {reference}: not among the variants; choose one of {', '.join(rows_by_name)}")
    mean = partial(estimate_mean, num_samples=num_samples, seed=seed)
    signals: Signals = {}
    for name, rows in rows_by_name.items():
        reference_rows = [] if reference in (None, name) else rows_by_name[str(reference)]
        for population in POPULATIONS:
            own, compared = _of(population, rows), _of(population, reference_rows)
            for metric in SUMMARIZED:
                baseline = _values(compared, metric)
                values = _values(own, metric)
                paired = [value - baseline[prompt] for prompt, value in values.items() if prompt in baseline]
                signals[name, population, metric] = Signal(mean(row[metric] for row in own.values()), mean(paired))
    return signals


def _of(population: str, rows: Rows) -> dict[Prompt, Row]:
    """The rows of a population by round and prompt."""
    chosen = [row for row in rows if POPULATIONS[population](row)]
    by_prompt = {(row["round"], row["prompt_id"]): row for row in chosen}
    assert len(by_prompt) == len(chosen), "two rows of a variant are of one prompt"
    return dict(sorted(by_prompt.items()))


def _values(rows: dict[Prompt, Row], metric: str) -> dict[Prompt, float]:
    return {prompt: row[metric] for prompt, row in rows.items() if row[metric] is not None}
