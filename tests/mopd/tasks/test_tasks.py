"""Generated tasks: right answers, a clean split, an even walk."""

from __future__ import annotations

import json
import random
from collections import Counter
from math import prod
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mopd.errors import InputError
from mopd.settings.tasks import NumberTasks
from mopd.tasks import draw as draw_module
from mopd.tasks.draw import Task, TaskSplit, draw_prompts, load_tasks, prompt_rows
from mopd.tasks.questions import NUMBER_QUESTIONS
from mopd.verifiers import VERIFIERS, Problem

ANSWERS: dict[str, Any] = {
    "larger": max,
    "larger_bare": max,
    "largest_of_three": max,
    "first_of_three": lambda operands: operands[0],
    "last_of_three": lambda operands: operands[-1],
    "sum": sum,
    "sum_ten": sum,
    "product": prod,
    "next_number": lambda operands: operands[0] + 1,
}
NUM_PROBLEMS = {
    "larger": 4005,
    "largest_of_three": 117_480,
    "sum": 210,
    "sum_ten": 80,
    "product": 66,
    "next_number": 998,
}


def split_of(*questions: str, seed: int = 0, **changes: Any) -> TaskSplit:
    return load_tasks(NumberTasks(questions=questions, **changes), seed)


def problems(tasks: list[Task]) -> set[tuple[str, tuple[int, ...]]]:
    """Computed from the questions alone: the family's operation, operands in any order."""
    return {
        (NUMBER_QUESTIONS[task.metadata["question"]].operation, tuple(sorted(task.metadata["operands"])))
        for task in tasks
    }


def test_the_default_question() -> None:
    (task,) = split_of("larger", num_train=1, num_heldout=1).train
    a, b = task.metadata["operands"]
    assert task.messages == [
        {"role": "user", "content": f"Which number is larger, {a} or {b}? Answer with the number only."}
    ]
    assert task == Task(
        id=f"larger-{min(a, b)}-{max(a, b)}",
        messages=task.messages,
        answer=str(max(a, b)),
        verifier="last_number",
        dataset="numbers",
        metadata={"question": "larger", "operands": [a, b]},
    )


@pytest.mark.parametrize("name", NUMBER_QUESTIONS)
def test_answers_are_right_and_operands_are_in_the_question(name: str) -> None:
    for task in split_of(name, num_train=12, num_heldout=50).heldout:
        operands = task.metadata["operands"]
        assert task.answer == str(ANSWERS[name](operands))
        assert all(str(operand) in task.messages[0]["content"] for operand in operands)
        assert VERIFIERS[task.verifier].judge(task.answer, Problem(task.answer)).reward == 1.0
        assert task.id.startswith(f"{name}-")


@pytest.mark.parametrize(("name", "count"), NUM_PROBLEMS.items())
def test_number_of_problems(name: str, count: int) -> None:
    listed = NUMBER_QUESTIONS[name].problems()
    assert len(listed) == len(set(listed)) == count


@settings(max_examples=25)
@given(
    st.lists(st.sampled_from(["larger", "larger_bare", "sum", "sum_ten", "product"]), min_size=1, unique=True),
    st.integers(1, 8),
    st.integers(0, 2**32),
)
def test_no_problem_is_on_both_sides(names: list[str], num_heldout: int, seed: int) -> None:
    split = split_of(*names, seed=seed, num_train=30, num_heldout=num_heldout)
    assert not problems(split.train) & problems(split.heldout)
    assert len(split.train) == 30
    assert len(split.heldout) == num_heldout
    ids = [task.id for task in split.train + split.heldout]
    assert len(ids) == len(set(ids))


def test_a_problem_asked_in_two_ways_is_one_problem() -> None:
    """Every second sum is held out: no training question of the other family may ask it."""
    split = split_of("sum", "sum_ten", num_train=100, num_heldout=60)
    assert not problems(split.train) & problems(split.heldout)


@pytest.mark.parametrize("names", [("larger", "sum", "product"), ("product", "sum_ten")])
def test_sizes_are_even_over_families(names: tuple[str, ...]) -> None:
    split = split_of(*names, num_train=20, num_heldout=10)
    for tasks in (split.train, split.heldout):
        counts = Counter(task.metadata["question"] for task in tasks)
        assert set(counts) == set(names)
        assert max(counts.values()) - min(counts.values()) <= 1


def test_same_seed_same_tasks_whatever_the_global_random_state() -> None:
    first = split_of("larger", "sum", seed=3, num_train=20)
    random.seed(1)
    state = random.getstate()
    assert split_of("larger", "sum", seed=3, num_train=20) == first
    assert random.getstate() == state
    assert split_of("larger", "sum", seed=4, num_train=20) != first


def test_the_number_of_training_tasks_does_not_change_the_held_out_ones() -> None:
    assert split_of("larger", num_train=10).heldout == split_of("larger", num_train=500).heldout


def test_every_problem_can_be_used() -> None:
    split = split_of("product", num_train=50, num_heldout=16)
    assert len(problems(split.train) | problems(split.heldout)) == 66


def test_more_problems_than_exist() -> None:
    with pytest.raises(InputError, match=r"product has only 50 problems left where 51 are asked for; lower tasks\."):
        split_of("product", num_train=51, num_heldout=16)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "name at least one family of larger, "),
        (("largest",), "'largest' is unknown; choose one of first_of_three, "),
        (("sum", "sum"), "'sum' is named twice"),
    ],
)
def test_impossible_families(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=r"^tasks\.questions: " + message):
        split_of(*names)


def test_the_verifier_is_chosen() -> None:
    assert {task.verifier for task in split_of("sum", num_train=5, verifier="only_number").train} == {"only_number"}


def tasks(count: int) -> list[Task]:
    return [Task(str(index), [{"role": "user", "content": "?"}], "1", "last_number", "d") for index in range(count)]


def draw(num_tasks: int, round: int, num_prompts: int, seed: int = 0) -> list[str]:
    rows = draw_prompts(tasks(num_tasks), run="r", round=round, seed=seed, num_prompts=num_prompts, split="train")
    return [row["prompt_id"] for row in rows]


@settings(max_examples=60)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32))
def test_every_task_once_before_any_twice_and_none_twice_in_a_round(
    num_tasks: int, num_prompts: int, seed: int
) -> None:
    num_prompts = min(num_prompts, num_tasks)
    counts: Counter[str] = Counter(dict.fromkeys(map(str, range(num_tasks)), 0))
    drawn: list[str] = []
    for round in range(8):
        prompts = draw(num_tasks, round, num_prompts, seed)
        assert len(set(prompts)) == num_prompts
        drawn += prompts
    for prompt_id in drawn:
        assert counts[prompt_id] == min(counts.values())
        counts[prompt_id] += 1


def test_rounds_and_seeds_differ_and_repeat() -> None:
    assert draw(50, 0, 8) == draw(50, 0, 8)
    assert draw(50, 0, 8) != draw(50, 1, 8)
    assert draw(50, 0, 8) != draw(50, 0, 8, seed=1)
    assert draw(8, 0, 8) != draw(8, 1, 8)


def test_too_few_tasks() -> None:
    with pytest.raises(InputError, match=r"generate\.num_prompts: 4 prompts a round need .* there are 3"):
        draw(3, 0, 4)


def test_prompt_rows() -> None:
    (task,) = split_of("sum", num_train=1).train
    (row,) = prompt_rows([task], run="r", round=2, split="heldout")
    assert row == {
        "run": "r",
        "round": 2,
        "prompt_id": task.id,
        "dataset": "numbers",
        "split": "heldout",
        "messages": task.messages,
        "verifier": "last_number",
        "answer": task.answer,
        "tests": None,
        "metadata": json.dumps(task.metadata, sort_keys=True),
    }


def test_a_round_drawn_part_by_part_is_the_same_and_walked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    walks: list[int] = []
    walk = draw_module._walk
    monkeypatch.setattr(draw_module, "_walk", lambda *given, until: walks.append(until) or walk(*given, until=until))
    given: dict[str, Any] = {"run": "r", "round": 5, "seed": 77, "num_prompts": 6, "num_further": 4, "split": "train"}
    whole = draw_prompts(tasks(13), **given)
    parts = [draw_prompts(tasks(13), **given, part=slice(first, first + 3)) for first in range(0, 10, 3)]
    assert [row for part in parts for row in part] == whole
    assert len(walks) == 1
