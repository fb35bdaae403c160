"""Estimates as text, and the means behind them."""

from __future__ import annotations

import pytest

from mopd.measures.estimate import UNDEFINED, Estimate, bootstrap_interval, estimate_mean

DRAWS = {"num_samples": 200, "seed": 0}


@pytest.mark.parametrize(
    ("estimate", "arguments", "text"),
    [
        (Estimate(0.4167, 0.3512, 0.4798, 29), (), "0.417 [0.351, 0.480]"),
        (Estimate(0.4167, 0.3512, 0.4798, 29), (".1f", 100, " %"), "41.7 % [35.1, 48.0]"),
        (Estimate(-0.0001, -0.25, 0.25, 29), ("+z.1f", 100), "+0.0 [-25.0, +25.0]"),
        (Estimate(0.5, None, None, 1), ("z.2f",), "0.50"),
        (UNDEFINED, (), None),
    ],
)
def test_an_estimate_is_said_with_its_ends(estimate: Estimate, arguments: tuple[str, ...], text: str | None) -> None:
    assert estimate.text(*arguments) == text


def test_what_has_no_number_is_left_out_and_counted() -> None:
    found = estimate_mean([0.25, None, 0.75], **DRAWS)
    assert (found.value, found.num, found.num_null) == (0.5, 2, 1)
    assert found.interval == bootstrap_interval([0.25, 0.75], **DRAWS)
    assert estimate_mean([None], **DRAWS) == Estimate(None, None, None, 0, 1)
