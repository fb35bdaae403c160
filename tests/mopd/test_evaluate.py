"""mean@k, the unbiased pass@k, maj@k, intervals over prompts; what is undefined is None."""

from __future__ import annotations

import json
import os
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopd.evaluate import (
    majorities,
    mean_at_k,
    pass_at_k,
    prompt_majority,
    prompt_pass,
    summarize_evaluation,
)
from mopd.measures.estimate import bootstrap_interval
from mopd.settings import EvaluateSettings

GOLDEN = Path(os.environ.get("MOPD_GOLDEN", Path(__file__).parents[2] / "../shared/golden")) / "diversity.json"


def rows(prompts: dict[str, str]) -> list[dict[str, Any]]:
    success = {"+": True, "-": False, "?": None}
    return [
        {"prompt_id": prompt_id, "sample": sample, "success": success[mark]}
        for prompt_id, marks in prompts.items()
        for sample, mark in enumerate(marks)
    ]


@given(st.lists(st.booleans(), min_size=1, max_size=7), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_success(outcomes: list[bool], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(outcomes)))
    subsets = list(combinations(outcomes, k))
    assert prompt_pass(outcomes, k) == pytest.approx(sum(map(any, subsets)) / len(subsets), abs=1e-12)


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"no golden numbers: {GOLDEN} is absent (set MOPD_GOLDEN)")
def test_golden_pass_at_k() -> None:
    """Where n < k the file holds a convention; here it is undefined."""
    for case in json.loads(GOLDEN.read_text())["pass_at_k"]:
        outcomes = [index < case["successes"] for index in range(case["total"])]
        expected = pytest.approx(case["value"], abs=1e-12) if case["total"] >= case["k"] else None
        assert prompt_pass(outcomes, case["k"]) == expected


def test_exact_values() -> None:
    prompts = [[True, False, False, False], [True] * 4, [False] * 4]
    assert mean_at_k(prompts) == pytest.approx(1.25 / 3)
    assert pass_at_k(prompts, 2) == pytest.approx((0.5 + 1 + 0) / 3)
    assert pass_at_k(prompts, 4) == pytest.approx(2 / 3)
    assert pass_at_k(prompts, 1) == pytest.approx(mean_at_k(prompts))


def test_nulls_stay_out() -> None:
    assert mean_at_k([[True, None, None], [False, False, False], [None]]) == 0.5
    assert prompt_pass([True, None, False], 2) == 1.0
    assert prompt_pass([True, None], 2) is None
    assert mean_at_k([]) is None
    assert mean_at_k([[None]]) is None
    assert pass_at_k([[True]], 8) is None


def test_interval_agrees_with_the_normal_one_and_is_seeded() -> None:
    values = np.random.default_rng(0).random(400).tolist()
    interval = bootstrap_interval(values, num_samples=4000, seed=1)
    assert interval is not None
    half_width = 1.96 * np.std(values) / 20
    assert interval == pytest.approx((np.mean(values) - half_width, np.mean(values) + half_width), abs=0.003)
    assert interval == bootstrap_interval(values, num_samples=4000, seed=1)
    assert interval != bootstrap_interval(values, num_samples=4000, seed=2)


def test_interval_of_equal_values_and_of_too_few() -> None:
    assert bootstrap_interval([0.5, 0.5, 0.5], num_samples=10, seed=0) == (0.5, 0.5)
    assert bootstrap_interval([0.5], num_samples=10, seed=0) is None
    assert bootstrap_interval([], num_samples=10, seed=0) is None


def test_summary() -> None:
    table = rows({"a": "+-", "b": "--", "c": "?+", "d": "??"})
    summary = summarize_evaluation(table, EvaluateSettings(num_samples=2), seed=0)
    assert (summary.mean_at_k, summary.pass_at_k) == (0.5, 0.5)
    assert (summary.k, summary.num_prompts, summary.num_null) == (2, 4, 3)
    assert (summary.num_mean_prompts, summary.num_pass_prompts) == (3, 2)
    assert summary.mean_interval == (0.0, 1.0)
    assert summarize_evaluation(table[::-1], EvaluateSettings(num_samples=2), seed=0) == summary


def test_summary_of_nothing_is_none_not_zero() -> None:
    for table in ([], rows({"a": "??"})):
        summary = summarize_evaluation(table, EvaluateSettings(num_samples=2), seed=0)
        assert (summary.mean_at_k, summary.mean_interval) == (None, None)
        assert (summary.pass_at_k, summary.pass_interval) == (None, None)


@pytest.mark.parametrize(
    ("samples", "k", "expected"),
    [
        ("7+ 7+ 8- 8- 7+", 5, 1.0),
        ("7+ 8- 8- 8- 7+", 5, 0.0),
        ("7+ 8- 7+ 8-", 4, 0.5),  # a tie between two answers
        ("7+ 8- 9-", 3, 1 / 3),  # of three
        ("7+ 7+ 8- 8- 9-", 5, 0.5),  # the third answer is not among the most frequent
        ("7+ 7- 7+ 8-", 4, 2 / 3),  # one answer, judged both ways
        ("7+ .- .- .-", 4, 1.0),  # who gives no answer doesn't vote
        (".- .- .- .-", 4, 0.0),
        (".+ .+ .- .-", 4, 0.0),
        ("8- 8- 7+ 7+ 7+", 3, 0.0),  # the first k alone
        ("8? 7+ 8? 7+", 2, 1.0),  # who has no verdict doesn't vote, and isn't among the k
        ("8? 7+ 8? 7+", 3, None),
        ("7?", 1, None),
        ("", 1, None),
    ],
)
def test_majority_of_a_prompt(samples: str, k: int, expected: float | None) -> None:
    assert prompt_majority(votes(samples), k) == expected


def votes(samples: str) -> list[tuple[str | None, bool | None]]:
    """ "7+ .- 8?": an answer and whether it is right, no answer, no verdict."""
    outcome = {"+": True, "-": False, "?": None}
    return [(None if text[0] == "." else text[0], outcome[text[1]]) for text in samples.split()]


def voted(prompts: dict[str, str], **columns: Any) -> list[dict[str, Any]]:
    return [
        {"prompt_id": prompt_id, "sample": sample, "success": success, "prediction": vote, **columns}
        for prompt_id, samples in prompts.items()
        for sample, (vote, success) in enumerate(votes(samples))
    ]


def test_who_never_says_what_it_found_has_no_majority() -> None:
    spoken = voted({"a": "7+ 7+", "b": ".- .-", "c": "7?"}, verifier="numeric")
    silent = voted({"d": ".+ .+", "e": ".- .-"}, verifier="own:judge")
    assert majorities(spoken + silent, 2) == {"a": 1.0, "b": 0.0, "c": None, "d": None, "e": None}
    assert majorities(silent, 2) == {"d": None, "e": None}


def test_a_program_is_no_vote() -> None:
    assert majorities(voted({"a": "p+ p+"}, sandbox="bubblewrap"), 2) == {"a": None}


def test_samples_vote_in_their_order_not_in_that_of_the_rows() -> None:
    assert majorities(voted({"a": "8- 7+ 7+"})[::-1], 1) == {"a": 0.0}


def test_summary_has_the_majority() -> None:
    table = voted({"a": "7+ 7+", "b": "8- 7+", "c": ".- .-", "d": "7+ 7+ 7+", "e": "7?"})
    summary = summarize_evaluation(table, EvaluateSettings(num_samples=2), seed=0)
    assert summary.maj_at_k == (1.0 + 0.5 + 0.0 + 1.0) / 4
    assert summary.maj_interval is not None
    assert summary.maj_interval[0] < summary.maj_at_k < summary.maj_interval[1]
    assert (summary.num_maj_prompts, summary.num_maj_cut) == (4, 1)


def test_without_predictions_the_majority_is_undefined() -> None:
    summary = summarize_evaluation(rows({"a": "+-", "b": "+++"}), EvaluateSettings(num_samples=2), seed=0)
    assert (summary.maj_at_k, summary.maj_interval) == (None, None)
    assert (summary.num_maj_prompts, summary.num_maj_cut) == (0, 0)
