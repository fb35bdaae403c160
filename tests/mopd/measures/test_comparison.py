"""Means over seeds, paired differences and their intervals, on rows that can be reckoned by hand."""

from __future__ import annotations

import pytest

from mopd.measures.comparison import outcome_of, paired_difference
from mopd.measures.estimate import Values, estimate_mean_of_seeds, hierarchical_interval

DRAWS = {"num_samples": 400, "seed": 7}


def test_outcome_of_rows_leaves_null_out_and_counts_it() -> None:
    outcomes = {"a": [True, False, True, False], "b": [True, None, True, True], "c": [None] * 4}
    rows = [
        {"prompt_id": prompt, "sample": sample, "success": success}
        for prompt, successes in outcomes.items()
        for sample, success in enumerate(successes)
    ]
    found = outcome_of(rows[::-1], k=4)
    assert found.metrics == {"mean": {"a": 0.5, "b": 1.0}, "pass": {"a": 1.0}, "maj": {}}
    assert found.num_null == 5


def test_outcome_of_rows_that_say_what_they_found_has_the_majority() -> None:
    answers = {"a": ["7", "7", "8"], "b": ["8", "8", "7"], "c": ["7", "7", None]}
    rows = [
        {"prompt_id": prompt, "sample": sample, "success": None if found is None else found == "7", "prediction": found}
        for prompt, found_there in answers.items()
        for sample, found in enumerate(found_there)
    ]
    assert outcome_of(rows, k=3).metrics["maj"] == {"a": 1.0, "b": 0.0}


def test_every_seed_weighs_the_same() -> None:
    found = estimate_mean_of_seeds([{"a": 0.0, "b": 0.5, "c": 1.0}, {"d": 0.75}, {}], **DRAWS)
    assert found.value == (0.5 + 0.75) / 2
    assert found.num == 4


def test_without_numbers_there_is_no_estimate() -> None:
    found = estimate_mean_of_seeds([{}, {}], **DRAWS)
    assert (found.value, found.interval, found.num) == (None, None, 0)


@pytest.mark.parametrize(
    ("seeds", "interval"),
    [
        ([{"a": 0.5}], None),  # one number says nothing of its spread
        ([{"a": 0.5, "b": 0.5, "c": 0.5}], (0.5, 0.5)),
        ([{"a": 0.0, "b": 1.0}], (0.0, 1.0)),  # one seed: prompts alone; both drawn alike in half of the cases
        ([{"a": 0.0, "b": 0.0}, {"c": 1.0, "d": 1.0}], (0.0, 1.0)),  # prompts agree: seeds alone
        ([{"a": 0.0, "b": 0.0}, {"a": 1.0, "b": 1.0}], (0.0, 1.0)),
        ([{"a": 0.25, "b": 0.25}] * 3, (0.25, 0.25)),
    ],
)
def test_intervals_that_follow_from_the_draws(seeds: list[Values], interval: tuple[float, float] | None) -> None:
    assert hierarchical_interval(seeds, **DRAWS) == interval


def test_prompts_that_all_seeds_share_are_drawn_once_for_all() -> None:
    """Eight seeds that agree about two prompts know no more about prompts than one seed does."""
    shared = [{"a": 0.0, "b": 1.0}] * 8
    own = [{f"a{seed}": 0.0, f"b{seed}": 1.0} for seed in range(8)]
    assert hierarchical_interval(shared, **DRAWS) == (0.0, 1.0)
    low, high = hierarchical_interval(own, **DRAWS) or (None, None)
    assert low is not None and high is not None
    assert 0.1 < low < 0.4 and 0.6 < high < 0.9  # sixteen halves: a standard deviation of 1/8 about 1/2


def test_draws_follow_from_the_seed_alone() -> None:
    seeds = [{"a": 0.1, "b": 0.7, "c": 0.4}, {"d": 0.9, "e": 0.2}]
    backwards = [dict(reversed(values.items())) for values in seeds]
    assert hierarchical_interval(seeds, **DRAWS) == hierarchical_interval(backwards, **DRAWS)
    assert hierarchical_interval(seeds, **DRAWS) != hierarchical_interval(seeds, num_samples=400, seed=8)


def test_differences_are_taken_on_the_same_seed_and_prompt() -> None:
    first = {0: {"a": 0.5, "b": 0.25, "lost": 0.0}, 1: {"c": 1.0}, 3: {"e": 0.0}}
    arm = {0: {"a": 0.75, "b": 0.5}, 1: {"c": 0.5, "new": 1.0}, 2: {"d": 1.0}}
    found = paired_difference(arm, first, **DRAWS)
    assert found.value == (0.25 - 0.5) / 2
    assert found.num == 3
    assert found.interval == (-0.5, 0.25)


def test_a_constant_lead_is_certain_however_much_prompts_differ() -> None:
    first = {seed: {f"{seed}-{prompt}": prompt / 8 for prompt in range(4)} for seed in range(3)}
    arm = {seed: {prompt: value + 0.125 for prompt, value in values.items()} for seed, values in first.items()}
    found = paired_difference(arm, first, **DRAWS)
    assert (found.value, found.interval) == (0.125, (0.125, 0.125))
