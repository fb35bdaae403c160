"""Tasks: problems to solve, generated or read from sources, split into train and held-out, drawn round by round."""

from __future__ import annotations

import json
import random
from functools import lru_cache
from typing import Any, Literal

from mopd.errors import InputError
from mopd.seeds import derive_seed
from mopd.settings.tasks import FileTasks, NumberTasks
from mopd.settings.verify import VerifySettings
from mopd.tasks.files import read_task_files, read_tasks
from mopd.tasks.questions import NUMBER_QUESTIONS, Problem, Question, draw_questions
from mopd.tasks.task import Task, TaskSplit

__all__ = ["NUMBER_QUESTIONS", "Task", "TaskSplit", "draw_prompts", "load_tasks", "prompt_rows", "read_tasks"]

Row = dict[str, Any]


def load_tasks(
    settings: NumberTasks | FileTasks,
    seed: int,
    verify: VerifySettings = VerifySettings(),  # noqa: B008 - frozen
) -> TaskSplit:
    """The tasks of a run: the same for the same settings and seed; `verify` judges those with code.

    Raises InputError for bad files or settings.
    """
    if isinstance(settings, NumberTasks):
        return _number_tasks(settings, seed)
    return read_task_files(settings, verify)


def draw_prompts(
    tasks: list[Task],
    *,
    run: str,
    round: int,
    seed: int,
    num_prompts: int,
    num_further: int = 0,
    split: Literal["train", "heldout"],
    part: slice = slice(None),
) -> list[Row]:
    """The prompt rows of a round, or of a `part` of it.

    Every task is drawn once before any is drawn twice, and never twice in one round.
    `num_further` more follow, which a round asks only as far as it lacks useful groups. They are drawn from the other
    tasks, by each round anew, beside that walk: the first `num_prompts` of every round are the same whatever is asked
    besides, and no task waits longer for its turn. A pure function of (ids in their order, round, seed, num_prompts);
    a larger `num_further` adds prompts at the end. Raises InputError when there are too few tasks.
    """
    _check_enough(len(tasks), num_prompts, num_further, split)
    order = _round_order(len(tasks), num_prompts, seed, round)[: num_prompts + num_further]
    return prompt_rows([tasks[index] for index in order[part]], run=run, round=round, split=split)


def prompt_rows(tasks: list[Task], *, run: str, round: int, split: Literal["train", "heldout"]) -> list[Row]:
    """One row of the prompts table a task, in their order."""
    return [
        {
            "run": run,
            "round": round,
            "prompt_id": task.id,
            "dataset": task.dataset,
            "split": split,
            "messages": task.messages,
            "verifier": task.verifier,
            "answer": task.answer or None,
            "tests": task.tests,
            "metadata": json.dumps(task.metadata, ensure_ascii=False, sort_keys=True),
        }
        for task in tasks
    ]


def _check_enough(num_tasks: int, num_prompts: int, num_further: int, split: str) -> None:
    if num_prompts > num_tasks:
        raise InputError(
            f"generate.num_prompts: {num_prompts} prompts a round need as many {split} tasks, and there are "
            f"{num_tasks}; lower it or add tasks"
        )
    if num_prompts + num_further > num_tasks:
        raise InputError(
            f"generate.groups.max_oversample: up to {num_prompts + num_further} prompts a round (generate.num_prompts: "
            f"{num_prompts}) need as many {split} tasks, and there are {num_tasks}; lower one of the two or add tasks"
        )


@lru_cache(maxsize=1)
def _round_order(num_tasks: int, num_prompts: int, seed: int, round: int) -> tuple[int, ...]:
    """Indices of all tasks as a round may ask them; kept, since a round is drawn shard by shard."""
    first = round * num_prompts
    drawn = _walk(num_tasks, num_prompts, seed, until=first + num_prompts)[first:]
    remaining = sorted(set(range(num_tasks)).difference(drawn))
    random.Random(derive_seed(seed, "further prompts", round)).shuffle(remaining)
    return (*drawn, *remaining)


def _walk(num_tasks: int, num_prompts: int, seed: int, *, until: int) -> list[int]:
    """The first `until` task indices of the endless walk: one seeded shuffle of all tasks after another.

    A round may begin in one shuffle and end in the next; the next then starts with tasks that the round lacks.
    """
    walk: list[int] = []
    for epoch in range(-(-until // num_tasks)):
        order = list(range(num_tasks))
        random.Random(derive_seed(seed, "prompts", epoch)).shuffle(order)
        num_begun = len(walk) % num_prompts
        begun = set(walk[len(walk) - num_begun :])
        fresh = [index for index in order if index not in begun][: num_prompts - num_begun]
        later = set(order).difference(fresh)
        walk += fresh + [index for index in order if index in later]
    return walk[:until]


def _number_tasks(settings: NumberTasks, seed: int) -> TaskSplit:
    """Held-out problems are drawn first, so that `num_train` does not change them, and train avoids them all."""
    _check_families(settings.questions)
    heldout = _draw_split(settings.questions, settings.num_heldout, "heldout", seed, avoid=set())
    train = _draw_split(
        settings.questions, settings.num_train, "train", seed, avoid={question.problem for question in heldout}
    )
    return TaskSplit(
        train=[_number_task(question, settings.verifier) for question in train],
        heldout=[_number_task(question, settings.verifier) for question in heldout],
    )


def _check_families(names: tuple[str, ...]) -> None:
    if not names:
        raise InputError(f"tasks.questions: name at least one family of {', '.join(NUMBER_QUESTIONS)}")
    for name in names:
        if name not in NUMBER_QUESTIONS:
            raise InputError(f"tasks.questions: {NUMBER_QUESTIONS.unknown(name)}")
        if names.count(name) > 1:
            raise InputError(f"tasks.questions: {name!r} is named twice; name it once")


def _draw_split(names: tuple[str, ...], count: int, split: str, seed: int, *, avoid: set[Problem]) -> list[Question]:
    """`count` questions spread evenly over the families; the first families get what does not divide."""
    share, remainder = divmod(count, len(names))
    drawn: list[Question] = []
    for place, name in enumerate(names):
        rng = random.Random(derive_seed(seed, "tasks", split, name))
        drawn += draw_questions(name, share + (place < remainder), rng=rng, avoid=avoid)
    return drawn


def _number_task(question: Question, verifier: str) -> Task:
    return Task(
        id=question.id,
        messages=[{"role": "user", "content": question.text}],
        answer=question.answer,
        verifier=verifier,
        dataset="numbers",
        metadata={"question": question.family, "operands": list(question.operands)},
    )
