"""The promises of peer selection, one test each, and the golden groups."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopd.contexts.controls import CONTROLS
from mopd.contexts.peers import VARIANTS, PeerPolicy, Pool, Slot
from mopd.registry import Registry
from mopd.settings.variants import (
    ControlVariant,
    FeedbackVariant,
    NoPeers,
    PeerVariant,
    ReferenceVariant,
    SummaryVariant,
)
from tests.mopd.contexts.peer_pools import candidate, pool_of

GOLDEN = Path(os.environ.get("MOPD_GOLDEN", Path(__file__).parents[3] / "../shared/golden")) / "peer_selection.json"
OUTCOMES = st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=10)
NAMES = ["none", "success", "positive", "contrastive", "failure"]


def select(name: str, outcomes: Any, sample: int = 0, settings: Any = None, **more: Any) -> dict[str, int]:
    """Samples by role."""
    return {
        slot.role: slot.candidate.source.sample for slot in VARIANTS[name](pool_of(outcomes, sample, **more), settings)
    }


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"no golden numbers: {GOLDEN} is absent (set MOPD_GOLDEN)")
def test_golden_groups() -> None:
    for case in json.loads(GOLDEN.read_text()):
        for expected in case["expected"]:
            check_golden(case["success"], expected)


def check_golden(outcomes: list[bool | None], expected: dict[str, Any]) -> None:
    sample = expected["rollout"]
    always = select("contrastive", outcomes, sample)
    sparing = select("contrastive", outcomes, sample, show_failure="when_no_success")
    candidates = [one.source.sample for one in pool_of(outcomes, sample).failures()]
    assert candidates == expected["failure_candidates"]
    for peers in (always, sparing):
        assert peers.get("first_success") == expected["primary_success"]
        assert peers.get("second_success") == expected["another_success"]
    assert ("failure" in always) == expected["failure_used_always"]
    assert ("failure" in sparing) == expected["failure_used_when_no_success"]
    assert always.get("failure") in [None, *candidates]


def test_every_kind_of_the_settings_has_its_policy() -> None:
    def kinds(*classes: Any) -> set[str]:
        return {kind for one in classes for kind in get_args(one.model_fields["kind"].annotation)}

    assert set(VARIANTS) == kinds(PeerVariant, NoPeers, FeedbackVariant, ReferenceVariant, SummaryVariant)
    assert set(CONTROLS) == kinds(ControlVariant)
    assert set(get_args(ControlVariant.model_fields["imitates"].annotation)) <= set(VARIANTS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", {}),
        ("feedback", {}),
        ("success", {"first_success": 2}),
        ("positive", {"first_success": 2, "second_success": 4}),
        ("contrastive", {"first_success": 2, "second_success": 4, "failure": 1}),
        ("failure", {"failure": 1}),
    ],
)
def test_what_each_variant_shows(name: str, expected: dict[str, int]) -> None:
    assert select(name, "+-+?++") == expected


@given(st.sampled_from(NAMES), OUTCOMES, st.integers(0, 2**63 - 1), st.data())
def test_roles_are_true_distinct_and_never_itself(name: str, outcomes: Any, seed: int, data: st.DataObject) -> None:
    sample = data.draw(st.integers(0, len(outcomes) - 1))
    peers = select(name, outcomes, sample, seed=seed)
    assert sample not in peers.values()
    assert len(peers) == len(set(peers.values()))
    assert all(outcomes[peer] is (role != "failure") for role, peer in peers.items())


def test_itself_may_be_its_peer_when_asked() -> None:
    assert select("positive", "++", exclude_self=False) == {"first_success": 0, "second_success": 1}
    assert select("failure", "-", exclude_self=False) == {"failure": 0}


def test_no_success() -> None:
    assert select("positive", "+--") == {}
    assert select("contrastive", "+--")["failure"] in (1, 2)


def test_all_success() -> None:
    assert select("contrastive", "++++", 1) == {"first_success": 0, "second_success": 2}
    assert select("failure", "++++", 1) == {}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outcome", "+-")
def test_one_rollout_has_no_peers(name: str, outcome: str) -> None:
    assert select(name, outcome) == {}


def test_without_a_verdict_it_is_neither_success_nor_failure() -> None:
    assert select("contrastive", "???", 1) == {}
    assert select("contrastive", "+?-", 1) == {"first_success": 0, "failure": 2}


def test_failure_is_hidden_by_a_success_that_the_variant_does_not_show() -> None:
    assert select("failure", "-+-", show_failure="when_no_success") == {}
    assert select("failure", "+--", show_failure="when_no_success")["failure"] in (1, 2)


def test_failures_are_drawn_evenly_and_by_the_seed_alone() -> None:
    draws = [select("contrastive", "+--+-", seed=seed)["failure"] for seed in range(3000)]
    assert draws == [select("contrastive", "+--+-", seed=seed)["failure"] for seed in range(3000)]
    counts = Counter(draws)
    assert set(counts) == {1, 2, 4}
    assert all(abs(count - 1000) < 130 for count in counts.values())  # five standard deviations


def test_successes_of_earlier_rounds_fill_the_slots_of_successes() -> None:
    earlier = (candidate(3, True, round=0), candidate(5, True, round=0))
    slots = VARIANTS["contrastive"](pool_of("--", earlier=earlier), None)
    assert [(slot.role, slot.candidate.source[::2]) for slot in slots] == [
        ("first_success", (0, 3)),
        ("second_success", (0, 5)),
        ("failure", (1, 1)),
    ]
    hidden = pool_of("--", earlier=earlier, show_failure="when_no_success")
    assert hidden.failure() is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [1, 2, 4, 5]),
        ({"num_summaries": 2}, [1, 2]),
        ({"source": "success"}, [2, 4, 5]),
        ({"source": "failure"}, [1, 6]),
    ],
)
def test_summaries_are_of_the_lowest_samples_of_their_source(changes: dict[str, Any], expected: list[int]) -> None:
    slots = VARIANTS["summary"](pool_of("+-+?++-"), SummaryVariant(kind="summary", **changes))
    assert [slot.candidate.source.sample for slot in slots] == expected
    assert {slot.role for slot in slots} == {"summary"}


def test_adding_a_variant_is_one_function() -> None:
    policies = Registry[PeerPolicy]("peer policy")

    @policies.register()
    def last_success(pool: Pool, settings: Any) -> list[Slot]:
        return [Slot("first_success", pool.successes()[-1])]

    assert [slot.candidate.source.sample for slot in policies["last_success"](pool_of("+++", 2), None)] == [1]
