"""The promises of peer selection, one test each, and the golden groups."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopd.peers import VARIANTS, Draw, Group, Peers, select_peers, variant

GOLDEN = Path(os.environ.get("MOPD_GOLDEN", Path(__file__).parents[2] / "../shared/golden")) / "peer_selection.json"
OUTCOMES = st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=10)


def select(name: str, outcomes: list[bool | None], sample: int = 0, seed: int = 0, **switches: Any) -> Peers:
    return select_peers(name, outcomes, sample, rng_seed=seed, **switches)


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"no golden numbers: {GOLDEN} is absent (set MOPD_GOLDEN)")
def test_golden_groups() -> None:
    for case in json.loads(GOLDEN.read_text()):
        for expected in case["expected"]:
            check_golden(case["success"], expected)


def check_golden(outcomes: list[bool | None], expected: dict[str, Any]) -> None:
    sample = expected["rollout"]
    always = select("contrastive", outcomes, sample)
    sparing = select("contrastive", outcomes, sample, show_failure="when_no_success")
    assert Group(tuple(outcomes)).failures(sample) == expected["failure_candidates"]
    for peers in (always, sparing):
        assert peers.first_success == expected["primary_success"]
        assert peers.second_success == expected["another_success"]
    assert (always.failure is not None) == expected["failure_used_always"]
    assert (sparing.failure is not None) == expected["failure_used_when_no_success"]
    assert always.failure is None or always.failure in expected["failure_candidates"]


def test_names() -> None:
    assert set(VARIANTS) >= {"none", "success", "positive", "contrastive", "failure"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", Peers()),
        ("success", Peers(first_success=2)),
        ("positive", Peers(first_success=2, second_success=4)),
        ("contrastive", Peers(first_success=2, second_success=4, failure=1)),
        ("failure", Peers(failure=1)),
    ],
)
def test_what_each_variant_shows(name: str, expected: Peers) -> None:
    assert select(name, [True, False, True, None, True, True]) == expected


@given(st.sampled_from(sorted(VARIANTS)), OUTCOMES, st.integers(0, 2**63 - 1), st.data())
def test_roles_are_true_distinct_and_never_itself(name: str, outcomes: Any, seed: int, data: st.DataObject) -> None:
    sample = data.draw(st.integers(0, len(outcomes) - 1))
    peers = select(name, outcomes, sample, seed)
    shown = [peer for peer in (peers.first_success, peers.second_success, peers.failure) if peer is not None]
    assert sample not in shown
    assert len(shown) == len(set(shown))
    assert all(outcomes[peer] is True for peer in (peers.first_success, peers.second_success) if peer is not None)
    assert peers.failure is None or outcomes[peers.failure] is False


def test_itself_may_be_its_peer_when_asked() -> None:
    assert select("positive", [True, True], exclude_self=False) == Peers(0, 1)
    assert select("failure", [False], exclude_self=False) == Peers(failure=0)


def test_no_success() -> None:
    assert select("positive", [True, False, False]) == Peers()
    assert select("contrastive", [True, False, False]).failure in (1, 2)


def test_all_success() -> None:
    assert select("contrastive", [True] * 4, 1) == Peers(0, 2)
    assert select("failure", [True] * 4, 1) == Peers()


def test_one_rollout_has_no_peers() -> None:
    for name in VARIANTS:
        assert select(name, [True]) == select(name, [False]) == Peers()


def test_without_a_verdict_it_is_neither_success_nor_failure() -> None:
    assert select("contrastive", [None, None, None], 1) == Peers()
    assert select("contrastive", [True, None, False], 1) == Peers(first_success=0, failure=2)


def test_failure_is_hidden_by_a_success_that_the_variant_does_not_show() -> None:
    assert select("failure", [False, True, False], show_failure="when_no_success") == Peers()
    assert select("failure", [True, False, False], show_failure="when_no_success").failure in (1, 2)


def test_failures_are_drawn_evenly_and_by_the_seed_alone() -> None:
    outcomes: list[bool | None] = [True, False, False, True, False]
    draws = [select("contrastive", outcomes, 0, seed).failure for seed in range(3000)]
    assert draws == [select("contrastive", outcomes, 0, seed).failure for seed in range(3000)]
    counts = Counter(draws)
    assert set(counts) == {1, 2, 4}
    assert all(abs(count - 1000) < 130 for count in counts.values())  # five standard deviations


def test_adding_a_variant_is_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mopd.peers.VARIANTS", dict(VARIANTS))

    @variant
    def last_success(group: Group, sample: int, draw: Draw) -> Peers:
        return Peers(first_success=group.successes(sample)[-1])

    assert select("last_success", [True, True, True], 2) == Peers(first_success=1)
