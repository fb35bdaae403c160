"""Controls: other fillings, the same budget, nothing told that isn't known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopd.contexts.controls import CONTROLS, match_blocks, match_tokens
from mopd.contexts.peers import Source
from mopd.contexts.render import Context, Section, make_sections
from tests.mopd.contexts.peer_pools import candidate, pool_of

OTHERS = tuple(candidate(sample, True, prompt_id=prompt_id) for prompt_id in "qr" for sample in (0, 1))
HEADING = 3


def samples(name: str, outcomes: str, sample: int = 0, seed: int = 0) -> list[tuple[str, str, int]]:
    """Role, prompt and sample of each filler."""
    slots = CONTROLS[name](pool_of(outcomes, sample, seed=seed, others=OTHERS))
    return [(slot.role, slot.candidate.source.prompt_id, slot.candidate.source.sample) for slot in slots]


@given(st.sampled_from(sorted(CONTROLS)), st.text("+-?", min_size=1, max_size=8), st.integers(0, 99), st.data())
def test_no_control_shows_itself_or_anything_twice(name: str, outcomes: str, seed: int, data: st.DataObject) -> None:
    sample = data.draw(st.integers(0, len(outcomes) - 1))
    found = samples(name, outcomes, sample, seed)
    assert ("p", sample) not in [(prompt_id, peer) for _, prompt_id, peer in found]
    assert len(found) == len({one[1:] for one in found})


def test_random_peers_do_not_depend_on_outcomes() -> None:
    assert samples("random_peer", "+-+-+") == samples("random_peer", "-+-+-")
    assert {role for role, _, _ in samples("random_peer", "+-+-")} == {"peer"}
    firsts = [samples("random_peer", "+-+-", seed=seed)[0][2] for seed in range(300)]
    assert set(firsts) == {1, 2, 3}


def test_unrelated_prompts_are_never_its_own() -> None:
    found = samples("unrelated_prompt", "++++")
    assert {prompt_id for _, prompt_id, _ in found} == {"q", "r"}
    assert {role for role, _, _ in found} == {"unrelated"}
    assert len(found) == len(OTHERS)


def test_success_only_takes_the_groups_successes_first_and_tops_up_from_other_prompts() -> None:
    slots = CONTROLS["success_only"](pool_of("+-++-+", others=OTHERS))
    assert [(slot.role, slot.candidate.source.sample) for slot in slots[:3]] == [
        ("first_success", 2),
        ("second_success", 3),
        ("third_success", 5),
    ]
    assert [slot.top_up for slot in slots] == [False] * 3 + [True] * len(OTHERS)
    assert all(slot.candidate.success for slot in slots)


def test_score_ordered_peers_come_by_reward_ties_by_sample() -> None:
    pool = pool_of("")
    rewards = (0.0, 0.5, 1.0, 0.5)
    peers = tuple(candidate(sample, reward == 1.0, reward=reward) for sample, reward in enumerate(rewards))
    slots = CONTROLS["score_ordered"](type(pool)(peers, seed=0))
    assert [slot.candidate.source.sample for slot in slots] == [2, 1, 3, 0]


def sections(*lengths: int) -> tuple[Section, ...]:
    """Fillers of so many words."""
    return tuple(
        Section("peer", Source(0, "p", sample), " ".join(["w"] * length)) for sample, length in enumerate(lengths)
    )


def count(shown: tuple[Section, ...]) -> int:
    return sum(HEADING + len(section.text.split()) for section in shown)


def imitated(tokens: int, num_sections: int = 2) -> Context:
    return Context([], [0] * tokens, sections(*[1] * num_sections), ())


@pytest.mark.parametrize(("num_sections", "expected"), [(0, 0), (2, 2), (9, 3)])
def test_blocks_are_matched_by_number(num_sections: int, expected: int) -> None:
    fillers = sections(5, 5, 5)
    assert match_blocks(fillers, imitated(1, num_sections), count) == fillers[:expected]


@pytest.mark.parametrize(
    ("target", "lengths"),
    [
        (20, [5, 9]),
        (19, [5, 8]),
        (12, [5, 1]),
        (11, [5]),
        (8, [5]),
        (7, [4]),
        (3, []),
        (99, [5, 20, 6]),
    ],
)
def test_tokens_are_matched_to_a_heading_and_a_word(target: int, lengths: list[int]) -> None:
    taken = match_tokens(sections(5, 20, 6), imitated(target), count)
    assert [len(section.text.split()) for section in taken] == lengths
    assert [section.cut for section in taken] == [length not in (5, 20, 6) for length in lengths]
    assert target == 99 or 0 <= target - count(taken) <= HEADING


def test_nothing_to_imitate_is_matched_by_nothing() -> None:
    assert match_tokens(sections(5), imitated(50, 0), count) == ()


def test_fillers_are_put_in_the_order_of_the_roles() -> None:
    shown = make_sections(CONTROLS["success_only"](pool_of("+++", others=OTHERS)))
    assert [section.role for section in shown] == ["first_success", "second_success"] + ["unrelated"] * len(OTHERS)
