"""Splits that are stable and never part twins, and tests that are hidden the same way every time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mopd.errors import InputError
from mopd.tasks.shaping import count_tests, hide_tests, parse_shares, shape_tasks, split_tasks
from mopd.tasks.task import Task

SHARES = {"train": 0.8, "test": 0.2}


def task(name: str, question: str | None = None, tests: dict[str, Any] | None = None) -> Task:
    messages = [{"role": "user", "content": question or f"What is {name}?"}]
    return Task(name, messages, "1", "exact", "d", {}, json.dumps(tests) if tests else None)


def coded(name: str, count: int) -> Task:
    numbers = [str(number) for number in range(count)]
    return task(name, tests={"testtype": "stdin", "inputs": numbers, "outputs": numbers, "time_limit": 2})


def shown(tasks: list[Task]) -> list[list[str]]:
    return [json.loads(one.tests or "")["inputs"] for one in tasks]


TASKS = [task(f"t{number}") for number in range(300)]


def test_shares_are_met_about_and_order_is_kept() -> None:
    parts = split_tasks(TASKS, SHARES, seed=0)
    assert set(parts) == {"train", "test"}
    assert 40 <= len(parts["test"]) <= 80  # 60 expected, standard deviation 7
    assert sorted(parts["train"] + parts["test"], key=TASKS.index) == TASKS
    for part in parts.values():
        assert part == sorted(part, key=TASKS.index)


def test_added_tasks_move_no_other_and_the_seed_does() -> None:
    before = split_tasks(TASKS[:200], SHARES, seed=0)
    after = split_tasks(TASKS, SHARES, seed=0)
    assert all(set(map(id, before[name])) <= set(map(id, after[name])) for name in SHARES)
    assert split_tasks(TASKS, SHARES, seed=1) != after


def test_what_asks_the_same_stays_together() -> None:
    twins = [task(f"{number}-{twin}", f"  what IS {number}?" if twin else f"What is {number}?")
             for number in range(50) for twin in (0, 1)]  # fmt: skip
    parts = split_tasks(twins, SHARES, seed=3)
    sides = {one.id: name for name, part in parts.items() for one in part}
    assert all(sides[f"{number}-0"] == sides[f"{number}-1"] for number in range(50))


def test_an_empty_split() -> None:
    with pytest.raises(InputError, match="--split: test gets none of 1 tasks; give more or another --seed"):
        split_tasks(TASKS[:1], {"train": 0.999999, "test": 0.000001}, seed=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train", "write names and shares above 0"),
        ("train=0.9,test=0", "write names and shares above 0"),
        ("train=x,test=0.1", "write names and shares above 0"),
        ("train=0.5,train=0.5", "write names and shares above 0"),
        ("../train=1", "write names and shares above 0"),
        ("train=nan", "write names and shares above 0"),
        ("train=0.9,test=0.2", "the shares add up to 1.1; make that 1"),
    ],
)
def test_impossible_shares(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_shares(text)


def test_shares_as_written() -> None:
    assert parse_shares("train=0.9, test=0.1") == {"train": 0.9, "test": 0.1}


@pytest.mark.parametrize(("count", "share", "left"), [(4, 0.5, 2), (5, 0.5, 3), (1, 0.5, 1), (3, 0.9, 1), (10, 0.3, 7)])
def test_a_share_of_the_tests_is_hidden_and_one_stays(count: int, share: float, left: int) -> None:
    (inputs,) = shown(hide_tests([coded("a", count)], share, seed=0))
    assert len(inputs) == left
    assert inputs == sorted(inputs, key=int)


def test_hidden_tests_depend_on_task_and_seed_and_outputs_go_along() -> None:
    tasks = [coded(name, 20) for name in "abc"]
    hidden = hide_tests(tasks, 0.5, seed=0)
    assert hidden == hide_tests(tasks, 0.5, seed=0) == hide_tests(tasks[::-1], 0.5, seed=0)[::-1]
    assert hidden != hide_tests(tasks, 0.5, seed=1)
    assert shown(hidden)[0] != shown(hidden)[1]
    for one in hidden:
        tests = json.loads(one.tests or "")
        assert tests["outputs"] == tests["inputs"]
        assert (tests["testtype"], tests["time_limit"]) == ("stdin", 2)


def test_asserts_have_no_outputs_to_hide() -> None:
    tests = {"testtype": "code", "inputs": ["assert f(1)", "assert f(2)"], "outputs": [], "fn_name": "f"}
    (hidden,) = hide_tests([task("a", tests=tests)], 0.5, seed=0)
    assert count_tests(hidden) == 1
    assert json.loads(hidden.tests or "")["outputs"] == []


def test_tasks_without_tests_stay_as_they_are() -> None:
    assert hide_tests([coded("a", 2), TASKS[0]], 0.5, seed=0)[1] == TASKS[0]
    assert count_tests(TASKS[0]) is None
    with pytest.raises(InputError, match="--hide-tests: no task has tests"):
        hide_tests(TASKS, 0.5, seed=0)


def test_tests_are_hidden_from_training_alone() -> None:
    tasks = [coded(f"t{number}", 4) for number in range(50)]
    parts = shape_tasks(tasks, shares=SHARES, hide=0.5, seed=0)
    assert {name: {count_tests(one) for one in part} for name, part in parts.items()} == {"train": {2}, "test": {4}}
    whole = shape_tasks(tasks, shares=None, hide=0.5, seed=0)
    assert {name: {count_tests(one) for one in part} for name, part in whole.items()} == {None: {2}, "all": {4}}
    assert shape_tasks(tasks, shares=None, hide=None, seed=0) == {None: tasks}
    with pytest.raises(InputError, match="hides tests from the split train, and --split names none"):
        shape_tasks(tasks, shares={"a": 0.5, "b": 0.5}, hide=0.5, seed=0)
