"""Families of questions about small numbers, for runs that need a task a very small model can learn.

A family is one function from operands to a question and its answer, registered with every problem it can pose. A
*problem* is an operation with its operands regardless of their order: `larger` and `larger_bare` ask about the same
problems, and 27 or 40 is the problem 40 or 27. The split into train and held-out is one of problems.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement

from mopd.errors import InputError
from mopd.registry import Registry

Operands = tuple[int, ...]
Problem = tuple[str, Operands]
"""An operation and its operands in rising order."""

TWO_DIGITS = range(10, 100)


@dataclass(frozen=True)
class Family:
    """A way of asking: `ask(*operands) -> (question, answer)` over the problems that `enumerate_operands` lists."""

    name: str
    operation: str
    enumerate_operands: Callable[[], Iterator[Operands]]
    ask: Callable[..., tuple[str, int]]

    def problems(self) -> list[Problem]:
        """Every problem of this family, each once."""
        return [(self.operation, tuple(sorted(operands))) for operands in self.enumerate_operands()]


@dataclass(frozen=True)
class Question:
    """One problem as it is asked; `operands` in the order of the question."""

    family: str
    problem: Problem
    operands: Operands
    text: str
    answer: str

    @property
    def id(self) -> str:
        """Readable and unique, e.g. `larger-27-40`: a family asks a problem once."""
        return "-".join([self.family, *map(str, self.problem[1])])


NUMBER_QUESTIONS: Registry[Family] = Registry("family of questions")


def question(
    enumerate_operands: Callable[[], Iterator[Operands]], *, name: str | None = None, operation: str | None = None
) -> Callable[[Callable[..., tuple[str, int]]], Callable[..., tuple[str, int]]]:
    """Registers a family, by default under its function's name; `operation`: the family it shares its problems with."""

    def register(ask: Callable[..., tuple[str, int]]) -> Callable[..., tuple[str, int]]:
        family = name or ask.__name__
        NUMBER_QUESTIONS.add(family, Family(family, operation or family, enumerate_operands, ask))
        return ask

    return register


def _pairs() -> Iterator[Operands]:
    return combinations(TWO_DIGITS, 2)


def _triples() -> Iterator[Operands]:
    return combinations(TWO_DIGITS, 3)


@question(_pairs)
def larger(a: int, b: int) -> tuple[str, int]:
    return f"Which number is larger, {a} or {b}? Answer with the number only.", max(a, b)


@question(_pairs, operation="larger")
def larger_bare(a: int, b: int) -> tuple[str, int]:
    return f"Which is larger, {a} or {b}?", max(a, b)


@question(_triples)
def largest_of_three(a: int, b: int, c: int) -> tuple[str, int]:
    return f"Which number is the largest, {a}, {b} or {c}? Answer with the number only.", max(a, b, c)


@question(_triples)
def first_of_three(a: int, b: int, c: int) -> tuple[str, int]:
    return f"Here are three numbers: {a}, {b}, {c}. Which one comes first in the list?", a


@question(_triples)
def last_of_three(a: int, b: int, c: int) -> tuple[str, int]:
    return f"Here are three numbers: {a}, {b}, {c}. Which one comes last in the list?", c


@question(lambda: combinations_with_replacement(range(1, 21), 2), name="sum")
def sum_small(a: int, b: int) -> tuple[str, int]:
    return f"What is {a} + {b}?", a + b


@question(lambda: ((10, number) for number in range(10, 90)), operation="sum")
def sum_ten(a: int, b: int) -> tuple[str, int]:
    return f"What is {max(a, b)} + 10?", a + b


@question(lambda: combinations_with_replacement(range(2, 13), 2))
def product(a: int, b: int) -> tuple[str, int]:
    return f"What is {a} times {b}?", a * b


@question(lambda: ((number,) for number in range(1, 999)))
def next_number(a: int) -> tuple[str, int]:
    return f"Which number comes right after {a}?", a + 1


def draw_questions(name: str, count: int, *, rng: random.Random, avoid: set[Problem]) -> list[Question]:
    """`count` different problems of the family `name`, none of them in `avoid`, operands in random order.

    Raises InputError when fewer are left.
    """
    family = NUMBER_QUESTIONS[name]
    problems = [problem for problem in family.problems() if problem not in avoid]
    if count > len(problems):
        raise InputError(
            f"tasks.questions: {name} has only {len(problems)} problems left where {count} are asked for; "
            "lower tasks.num_train or tasks.num_heldout, or add a family"
        )
    return [_ask(family, problem, rng) for problem in rng.sample(problems, count)]


def _ask(family: Family, problem: Problem, rng: random.Random) -> Question:
    operands = tuple(rng.sample(problem[1], len(problem[1])))
    text, answer = family.ask(*operands)
    return Question(family.name, problem, operands, text, str(answer))
