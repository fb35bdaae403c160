"""Shaping tasks on their way into files: a stable split, and code tasks with some of their tests hidden."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any

from mopd.errors import InputError
from mopd.seeds import derive_seed
from mopd.tasks.task import Task

TRAIN = "train"
ALL = "all"


def parse_shares(text: str) -> dict[str, float]:
    """ "train=0.9,test=0.1" as shares that add up to 1. Raises InputError."""
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = part.strip().partition("=")
        if not re.fullmatch(r"[A-Za-z0-9_]+", name) or name in shares or not _is_share(share):
            raise InputError(f"--split {text}: write names and shares above 0, each once, e.g. train=0.9,test=0.1")
        shares[name] = float(share)
    if not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6):
        raise InputError(f"--split {text}: the shares add up to {sum(shares.values()):g}; make that 1")
    return shares


def split_tasks(tasks: list[Task], shares: dict[str, float], seed: int) -> dict[str, list[Task]]:
    """Tasks by split, in their order. Raises InputError when a split stays empty.

    Where a task goes depends on its question and the seed alone: added rows move no other, and what asks the same
    stays together. Shares are therefore met about, not exactly.
    """
    parts: dict[str, list[Task]] = {name: [] for name in shares}
    for task in tasks:
        parts[_part(shares, derive_seed(seed, "split", *task.question))].append(task)
    empty = [name for name, part in parts.items() if not part]
    if empty:
        raise InputError(f"--split: {', '.join(empty)} gets none of {len(tasks)} tasks; give more or another --seed")
    return parts


def hide_tests(tasks: list[Task], share: float, seed: int) -> list[Task]:
    """The tasks, each without that share of its tests, rounded down, and with at least one; others as they are.

    Which tests go depends on task and seed alone; those that stay keep their order. Raises InputError when no task has
    tests.
    """
    if not any(count_tests(task) for task in tasks):
        raise InputError("--hide-tests: no task has tests; leave the option out")
    return [_hide(task, share, seed) if count_tests(task) else task for task in tasks]


def count_tests(task: Task) -> int | None:
    """Number of a code task's tests; None where a task has none."""
    inputs = _tests(task).get("inputs")
    return len(inputs) if isinstance(inputs, list) else None


def shape_tasks(
    tasks: list[Task], *, shares: dict[str, float] | None, hide: float | None, seed: int
) -> dict[str | None, list[Task]]:
    """Tasks by the ending of their file's name; None: the name as it is.

    Tests are hidden from the split `train`; without a split, from the file itself, and a second one, `all`, keeps them.
    """
    if shares is None:
        return {None: tasks} if hide is None else {None: hide_tests(tasks, hide, seed), ALL: tasks}
    if hide is not None and TRAIN not in shares:
        raise InputError(f"--hide-tests: hides tests from the split {TRAIN}, and --split names none; name one so")
    parts: dict[str | None, list[Task]] = {}
    for name, part in split_tasks(tasks, shares, seed).items():
        parts[name] = hide_tests(part, hide, seed) if hide is not None and name == TRAIN else part
    return parts


def _hide(task: Task, share: float, seed: int) -> Task:
    tests = _tests(task)
    count = len(tests["inputs"])
    order = sorted(range(count), key=lambda index: derive_seed(seed, "hide_tests", task.id, index))
    kept = sorted(order[: max(1, count - math.floor(count * share))])
    for name in ("inputs", "outputs"):
        if len(tests.get(name) or []) == count:
            tests[name] = [tests[name][index] for index in kept]
    return replace(task, tests=json.dumps(tests, ensure_ascii=False))


def _tests(task: Task) -> dict[str, Any]:
    tests = json.loads(task.tests) if task.tests else {}
    return tests if isinstance(tests, dict) else {}


def _part(shares: dict[str, float], drawn: int) -> str:
    """The split whose part of [0, 1) holds the drawn number."""
    place, end = drawn / 2**63, 0.0
    for name, share in shares.items():
        end += share
        if place < end:
            return name
    return name


def _is_share(text: str) -> bool:
    try:
        return 0.0 < float(text) <= 1.0
    except ValueError:
        return False
