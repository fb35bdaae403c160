"""Which groups are useful, how many shards of candidates a round needs, and which prompts they hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopd.errors import InputError
from mopd.groups import Candidates, group_advantages, group_kinds, num_further, useful_groups
from mopd.settings.generate import AllGroups, GenerateSettings, UsefulGroups
from mopd.tasks.draw import Task, draw_prompts

OUTCOMES: dict[str, list[bool | None]] = {
    "both": [True, False],
    "right": [True, True],
    "wrong": [False, None],
    "unjudged": [None, None],
}


def settings_of(num_prompts: int = 10, **groups: Any) -> GenerateSettings:
    return GenerateSettings.model_validate({"num_prompts": num_prompts, "groups": groups or "all"})


@pytest.mark.parametrize(
    ("kind", "useful"),
    [("all", ["both", "right", "wrong", "unjudged"]), ("any_success", ["both", "right"]), ("mixed", ["both"])],
)
def test_which_groups_are_useful(kind: str, useful: list[str]) -> None:
    rows = [{"prompt_id": name, "success": outcome} for name, group in OUTCOMES.items() for outcome in group]
    assert useful_groups(rows, kind) == useful


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        ("all", AllGroups()),
        ("mixed", UsefulGroups(kind="mixed", max_oversample=2.0)),
        ({"kind": "any_success", "max_oversample": 3}, UsefulGroups(kind="any_success", max_oversample=3.0)),
    ],
)
def test_a_name_alone_is_a_choice_with_its_defaults(given: Any, settings: Any) -> None:
    assert GenerateSettings.model_validate({"groups": given}).groups == settings


@pytest.mark.parametrize(
    ("groups", "further"),
    [
        ({"kind": "all"}, 0),
        ({"kind": "mixed", "max_oversample": 1.0}, 0),
        ({"kind": "mixed", "max_oversample": 1.1}, 1),  # 11.000000000000002 as a float
        ({"kind": "mixed", "max_oversample": 1.11}, 2),
        ({"kind": "any_success"}, 10),
    ],
)
def test_how_many_further_prompts_there_may_be(groups: dict[str, Any], further: int) -> None:
    assert num_further(settings_of(10, **groups)) == further


def test_further_prompts_begin_a_new_shard() -> None:
    candidates = Candidates.of(settings_of(10, kind="mixed"), 4)
    assert candidates.sizes == (4, 4, 2, 4, 4, 2)
    assert [candidates.prompts(shard) for shard in (0, 2, 3)] == [slice(0, 4), slice(8, 10), slice(10, 14)]
    assert Candidates.of(settings_of(10), 4).sizes == (4, 4, 2)


@pytest.mark.parametrize(
    ("useful", "needed"),
    [
        ([None, None, None, None, None], 2),  # those of num_prompts, whatever comes of them
        ([4, None, None, None, None], 2),
        ([3, None, None, None, None], 3),  # one is lacking already
        ([3, 4, None, None, None], 3),
        ([4, 4, None, None, None], 2),
        ([4, 4, 4, 4, 4], 2),  # what lies beyond decides nothing
        ([0, 0, None, None, None], 4),
        ([0, 0, 3, None, None], 5),
        ([0, 0, 0, 0, 0], 5),
    ],
)
def test_shards_are_needed_as_soon_as_those_before_can_not_suffice(useful: list[int | None], needed: int) -> None:
    assert Candidates("mixed", 8, (4, 4, 4, 4, 4)).shards_needed(useful) == needed


@given(st.data(), st.lists(st.integers(1, 4), min_size=1, max_size=8), st.integers(1, 12))
def test_whatever_is_judged_first_the_same_shards_are_asked(data: Any, sizes: list[int], wanted: int) -> None:
    candidates = Candidates("mixed", wanted, tuple(sizes))
    truth = [data.draw(st.integers(0, size)) for size in sizes]
    known: list[int | None] = [None] * len(sizes)
    while waiting := [shard for shard in range(candidates.shards_needed(known)) if known[shard] is None]:
        shard = data.draw(st.sampled_from(waiting))
        known[shard] = truth[shard]
    asked = [shard for shard, found in enumerate(known) if found is not None]
    assert asked == list(range(candidates.shards_needed(truth)))  # type: ignore[arg-type]
    assert sum(truth[shard] for shard in asked[:-1]) < wanted


def draw(num_tasks: int, round: int, num_prompts: int, num_further: int = 0) -> list[str]:
    tasks = [Task(str(index), [{"role": "user", "content": "?"}], "1", "exact", "d") for index in range(num_tasks)]
    rows = draw_prompts(
        tasks, run="r", round=round, seed=0, num_prompts=num_prompts, num_further=num_further, split="train"
    )
    return [row["prompt_id"] for row in rows]


@pytest.mark.parametrize("round", range(5))
def test_further_prompts_follow_those_of_all_groups_and_none_is_drawn_twice(round: int) -> None:
    assert draw(13, round, 4, 9)[:4] == draw(13, round, 4)
    assert draw(13, round, 4, 9)[:7] == draw(13, round, 4, 3)
    assert len(set(draw(13, round, 4, 9))) == 13
    assert draw(13, round, 4, 9)[4:] != draw(13, round + 1, 4, 9)[4:]


def test_too_few_tasks_for_further_prompts_is_one_line() -> None:
    with pytest.raises(
        InputError, match=r"groups\.max_oversample: up to 8 prompts a round \(generate\.num_prompts: 4\) .* there are 7"
    ):
        draw(7, 0, 4, 4)


def verdicts(*rewards: float | None) -> list[dict[str, Any]]:
    return [{"prompt_id": "p", "reward": reward} for reward in rewards]


def test_advantage_is_relative_to_the_group() -> None:
    assert group_advantages(verdicts(1.0, 0.0, 0.0, 0.0), normalize_std=False) == [0.75, -0.25, -0.25, -0.25]
    assert group_advantages(verdicts(1.0, 0.0), normalize_std=True) == [1.0, -1.0]


def test_a_null_reward_has_no_advantage_and_stays_out_of_the_mean() -> None:
    assert group_advantages(verdicts(1.0, None, 0.0), normalize_std=False) == [0.5, None, -0.5]


def test_equal_rewards_give_zero() -> None:
    for rewards in ((1.0, 1.0), (0.1,) * 3, (0.7,) * 6):  # the mean of three 0.1 is not 0.1
        assert group_advantages(verdicts(*rewards), normalize_std=True) == [0.0] * len(rewards)


def test_a_group_is_of_a_kind_where_anything_of_it_is_judged() -> None:
    outcomes = {"a": (True, True), "b": (True, False), "c": (False, None), "d": (True, None), "e": (None, None)}
    rows = [{"prompt_id": name, "success": success} for name, group in outcomes.items() for success in group]
    assert group_kinds(rows) == {"a": "all", "b": "mixed", "c": "none", "d": "all", "e": None}
