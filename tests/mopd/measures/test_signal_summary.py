"""Means over prompts, their intervals, paired differences, and made-up teachers whose right answer is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from mopd.errors import InputError
from mopd.measures.estimate import Estimate, bootstrap_interval
from mopd.measures.signal_metrics import METRICS
from mopd.measures.signal_summary import POPULATIONS, SUMMARIZED, Signal, summarize_signals
from mopd.measures.signals import Row, Rows, signal_rows
from mopd.settings.variants import NoPeers
from tests.mopd.measures.signal_samples import group, joined

NOTHING = NoPeers(kind="none")
DRAWS = {"num_samples": 1000, "seed": 5}


def row(
    prompt_id: str, auc: float | None, share: float | None = 0.5, *, round: int = 0, population: str = "all"
) -> Row:
    """A signal row whose metrics are all `auc`."""
    keys = {"round": round, "prompt_id": prompt_id, "population": population, "success_share": share}
    return {**keys, **dict.fromkeys(SUMMARIZED, auc)}


def found(
    rows_by_name: dict[str, Rows],
    name: str,
    population: str,
    metric: str = "success_auc",
    *,
    reference: str | None = None,
) -> Signal:
    return summarize_signals(rows_by_name, reference=reference, **DRAWS)[name, population, metric]


def test_every_variant_population_and_metric_has_an_estimate_in_order() -> None:
    rows = {"b": [row("p", 0.5)], "a": [row("p", 0.5)]}
    signals = summarize_signals(rows, reference=None, **DRAWS)
    expected = [(name, population, metric) for name in "ba" for population in POPULATIONS for metric in SUMMARIZED]
    assert list(signals) == expected
    assert list(POPULATIONS) == ["all", "sections", "mixed", "hard", "medium", "easy"]
    assert (*METRICS, "context_tokens", "response_tokens", "cut_share", "sections_share") == SUMMARIZED


def test_nulls_stay_out_of_the_mean_and_are_counted() -> None:
    rows = {"v": [row("a", 0.25), row("b", None), row("c", 0.75), row("d", None)]}
    one = found(rows, "v", "all").mean
    assert (one.value, one.num, one.num_null) == (0.5, 2, 2)
    nothing = found({"v": [row("b", None)]}, "v", "all").mean
    assert nothing == Estimate(None, None, None, 0, 1)


def test_populations() -> None:
    shares = {"none": 0.0, "hard": 1 / 3, "medium": 0.34, "top": 2 / 3, "easy": 0.7, "full": 1.0, "unjudged": None}
    rows = {"v": [row(name, 0.5, share) for name, share in shares.items()]}
    rows["v"] += [row("hard", 0.9, 1 / 3, population="sections")]
    counts = {population: found(rows, "v", population).mean.num for population in POPULATIONS}
    assert counts == {"all": 7, "sections": 1, "mixed": 4, "hard": 1, "medium": 2, "easy": 1}
    assert found(rows, "v", "sections").mean.value == 0.9


def test_intervals_are_those_of_evaluations() -> None:
    values = np.random.default_rng(0).random(50).tolist()
    one = found({"v": [row(f"{index:02d}", value) for index, value in enumerate(values)]}, "v", "all").mean
    assert one.value == pytest.approx(np.mean(values))
    assert one.interval == bootstrap_interval(values, **DRAWS)
    assert found({"v": [row("p", 0.5)]}, "v", "all").mean.interval is None


def test_differences_are_paired_over_prompts_that_both_have() -> None:
    rows = {
        "none": [row("a", 0.5), row("b", 0.25), row("lost", 0.0), row("c", None)],
        "positive": [row("a", 0.75), row("b", 0.75), row("c", 1.0), row("new", 1.0)],
    }
    one = found(rows, "positive", "all", reference="none")
    assert one.mean.value == 0.875
    assert one.difference == Estimate(0.375, 0.25, 0.5, 2)
    first = found(rows, "none", "all", reference="none")
    assert first.difference == Estimate(None, None, None, 0)
    alone = found(rows, "positive", "all")
    assert alone.difference == Estimate(None, None, None, 0)


def test_a_prompt_of_two_rounds_counts_twice_and_is_paired_by_round() -> None:
    rows = {"none": [row("p", 0.0), row("p", 0.5, round=1)], "v": [row("p", 1.0, round=1), row("p", 0.25)]}
    one = found(rows, "v", "all", reference="none")
    assert one.difference == Estimate(0.375, 0.25, 0.5, 2)


def test_estimates_follow_from_rows_and_seed_alone() -> None:
    rows = {"v": [row(f"{index}", index / 7) for index in range(8)]}
    backwards = {"v": rows["v"][::-1]}
    assert summarize_signals(rows, reference=None, **DRAWS) == summarize_signals(backwards, reference=None, **DRAWS)
    other = summarize_signals(rows, reference=None, num_samples=1000, seed=6)
    assert other != summarize_signals(rows, reference=None, **DRAWS)


def test_an_unknown_reference_is_refused() -> None:
    with pytest.raises(InputError, match="reference plain: not among the variants; choose one of none, v"):
        summarize_signals({"none": [], "v": []}, reference="plain", **DRAWS)


def test_two_rows_of_one_prompt_are_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="of one prompt"):
        summarize_signals({"v": [row("p", 0.5), row("p", 0.5)]}, reference=None, **DRAWS)


Scores = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Of successes and lengths."""


def simulated(teacher: Scores, policy: Scores, *, num_prompts: int = 160, seed: int = 0) -> Rows:
    """Signal rows of groups of eight whose wrong replies are twice as long on average."""
    rng = np.random.default_rng(seed)
    groups = []
    for prompt in range(num_prompts):
        successes = rng.random(8) < rng.uniform(0.2, 0.8)
        lengths = 1 + rng.poisson(np.where(successes, 20, 40))
        groups.append(
            group(
                "".join("+" if success else "-" for success in successes),
                [float(score) for score in teacher(successes, lengths)],
                prompt_id=f"{prompt:03d}",
                lengths=lengths.tolist(),
                policy=policy(successes, lengths).tolist(),
            )
        )
    return signal_rows(*joined(*groups), NOTHING)


def noisy(beta: float, sigma: float, seed: int) -> Scores:
    """beta for a success, and normal noise."""
    rng = np.random.default_rng(seed)
    return lambda successes, lengths: -5 + beta * successes + sigma * rng.standard_normal(len(successes))


def by_length(successes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The longer, the less likely."""
    return -0.1 * lengths


@pytest.mark.parametrize(("beta", "sigma"), [(0.0, 1.0), (0.5, 1.0), (1.0, 0.5), (-0.5, 1.0)])
def test_the_auc_of_a_shift_by_beta_in_normal_noise(beta: float, sigma: float) -> None:
    """A success outscores a failure with probability Phi(beta / (sqrt(2) sigma))."""
    one = found({"v": simulated(noisy(beta, sigma, seed=1), by_length)}, "v", "mixed").mean
    expected = (1 + math.erf(beta / (2 * sigma))) / 2
    assert one.interval is not None
    low, high = one.interval
    assert low < expected < high
    assert high - low < 0.09
    assert one.num > 130 and one.num_null == 0


def test_a_better_teacher_is_told_from_a_worse_one() -> None:
    rows = {f"{beta}": simulated(noisy(beta, 1.0, seed=int(10 * beta)), by_length) for beta in (0.0, 0.5, 1.0)}
    expected = {beta: (1 + math.erf(float(beta) / 2)) / 2 for beta in rows}
    for beta in ("0.5", "1.0"):
        one = found(rows, beta, "mixed", reference="0.0").difference
        assert one.interval is not None
        low, high = one.interval
        assert 0 < low < expected[beta] - 0.5 < high


def test_a_teacher_that_goes_by_length_is_exposed() -> None:
    """Its AUC is high because right replies are short. That of length is the same, and nothing is left of it in what
    training pushes towards, nor against a teacher that read the prompt alone."""
    rows = {"none": simulated(by_length, by_length), "v": simulated(lambda *of: by_length(*of) - 1, by_length)}
    auc, length, gain = (
        found(rows, "v", "mixed", name, reference="none") for name in ("success_auc", "length_auc", "gain_auc")
    )
    assert auc.mean.value is not None and auc.mean.value > 0.95
    assert length.mean == auc.mean
    assert (gain.mean.value, auc.difference.value) == (pytest.approx(0.5, abs=0.02), 0.0)
    assert auc.difference.interval == (0.0, 0.0)
    assert found(rows, "v", "mixed", "length_spearman").mean.value == pytest.approx(-1.0)
