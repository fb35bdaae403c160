"""mean@k, the unbiased pass@k, intervals over prompts; what is undefined is None."""

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
    bootstrap_interval,
    mean_at_k,
    pass_at_k,
    prompt_pass,
    summarize_evaluation,
)
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
