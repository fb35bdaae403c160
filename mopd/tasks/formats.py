"""Row formats: one small reader each, recognised by the fields of a row.

A reader turns a record into a Task. An empty `id` asks for one made from the content.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mopd.registry import Registry
from mopd.tasks.fields import (
    Record,
    RowError,
    answer_text,
    json_text,
    mapping,
    number_text,
    optional_text,
    read_messages,
    text,
    user,
    whole_number,
)
from mopd.tasks.task import SOLUTION, SOLUTION_FIELDS, Message, Task
from mopd.verifiers.code.scripts import human_eval_tests
from mopd.verifiers.reply import boxed_answer

Reader = Callable[[Record, str], Task]
"""(record without nulls, name of its source) -> Task. Raises RowError."""

OWN_FIELDS = ("id", "prompt", "messages", "answer", "tests", "verifier", "dataset", "metadata", *SOLUTION_FIELDS)
VERIFIERS_BY_KIND = {"tooluse": "tool_use"}
"""The paper's kinds that are named otherwise here."""
NO_TESTS = "-"
"""What the paper's rows hold where there are none."""
BOXED = "Reason step by step, and put the final answer in \\boxed{}."
"""The verifier `math` wants a box, and the rows of competitions don't ask for one."""
WHOLE_FUNCTION = (
    "Complete this Python function. Reply with the whole program, imports and helpers included, in one fenced block."
)

_CALCULATOR = re.compile(r"<<[^<>]*>>")
"""GSM8K's marks: `48/2 = <<48/2=24>>24`."""


@dataclass(frozen=True)
class Format:
    """A row format: the fields that give a row away, and its reader."""

    fields: tuple[str, ...]
    read: Reader

    def recognises(self, record: Record) -> bool:
        """Whether the record has all fields that make this format."""
        return all(name in record for name in self.fields)


FORMATS: Registry[Format] = Registry("row format")
"""The first that recognises a row reads it."""


def row_format(*fields: str) -> Callable[[Reader], Reader]:
    """Registers a reader under its function's name, for rows that have all of `fields`."""

    def register(read: Reader) -> Reader:
        FORMATS.add(read.__name__, Format(fields, read))
        return read

    return register


def read_record(record: Record, source: str) -> Task:
    """The task of a record in whichever format it has; null fields count as absent. Raises RowError."""
    fields = {name: value for name, value in record.items() if value is not None}
    for known in FORMATS.values():
        if known.recognises(fields):
            return known.read(fields, source)
    raise RowError(
        f"fields {', '.join(fields) or '(none)'}: no format that is known; docs/tasks.md lists those that are, and "
        "how to name a reader of yours"
    )


@row_format("verifier")
def own(record: Record, source: str) -> Task:
    """Our own: `prompt` or `messages`, `verifier`, `answer` or `tests`; `id`, `dataset`, `solution` and `metadata` may
    be there."""
    for name in record:
        if name not in OWN_FIELDS:
            raise RowError(f"{name}: no such field; put it under metadata or remove it")
    return Task(
        id=optional_text(record, "id") or "",
        messages=read_messages(record),
        answer=answer_text(record, "answer") if "answer" in record else "",
        verifier=optional_text(record, "verifier") or "",
        dataset=optional_text(record, "dataset") or source,
        metadata={**mapping(record, "metadata"), **_solution(record)},
        tests=json_text(record, "tests"),
    )


@row_format("prompt", "kind")
def paper(record: Record, source: str) -> Task:
    """The paper's: `kind` is the verifier, `idx` counts within `dataset`; `description`, `embedding` are left."""
    dataset = optional_text(record, "dataset") or source
    messages = [*_system(record), user(text(record, "prompt"))]
    kind, idx = text(record, "kind"), whole_number(record, "idx")
    return Task(
        # The parts of a data set (biology, chemistry) count anew from 0: the question tells them apart.
        id="" if idx is None else f"{dataset}/{idx}-{digest([messages])[:6]}",
        messages=messages,
        answer=json_text(record, "answer") or "",
        verifier=VERIFIERS_BY_KIND.get(kind, kind),
        dataset=dataset,
        metadata={**_keep(record, "idx", "kind", "elo"), **_solution(record)},
        tests=None if record.get("tests") == NO_TESTS else json_text(record, "tests"),
    )


@row_format("prompt", "entry_point", "test")
def human_eval(record: Record, source: str) -> Task:
    """HumanEval's: a function to complete, and a test program whose `check` is called with it."""
    name, prompt = text(record, "entry_point"), text(record, "prompt")
    try:
        tests = human_eval_tests({"prompt": prompt, "test": text(record, "test"), "entry_point": name})
    except SyntaxError as error:
        raise RowError(f"test: not Python ({error}); mend it") from error
    return Task(
        id=optional_text(record, "task_id") or "",
        messages=[user(f"{WHOLE_FUNCTION}\n\n```python\n{prompt.strip()}\n```")],
        answer="",
        verifier="code",
        dataset=source,
        metadata={**_keep(record, "canonical_solution"), **_whole_program(record)},
        tests=tests,
    )


@row_format("prompt", "tests")
def code(record: Record, source: str) -> Task:
    """A program to write: `tests` is JSON, see `mopd.verifiers.code.tests`."""
    dataset = optional_text(record, "dataset") or source
    return Task(
        id=optional_text(record, "id") or _numbered(record, "idx", dataset),
        messages=[*_system(record), user(text(record, "prompt"))],
        answer="",
        verifier="code",
        dataset=dataset,
        metadata={**mapping(record, "metadata"), **_solution(record)},
        tests=json_text(record, "tests"),
    )


@row_format("problem", "answer")
def competition(record: Record, source: str) -> Task:
    """AIME's and AMC's: `problem`, `answer`."""
    return Task(
        id=_numbered(record, "id", source),
        messages=[user(f"{text(record, 'problem')}\n\n{BOXED}")],
        answer=number_text(record, "answer"),
        verifier="math",
        dataset=source,
        metadata={**_keep(record, "url"), **_solution(record)},
    )


@row_format("problem", "solution")
def competition_math(record: Record, source: str) -> Task:
    """MATH's: `problem`, and a `solution` whose last \\boxed{} is the answer."""
    solution = text(record, "solution")
    answer = boxed_answer(solution)
    if not answer:
        raise RowError("solution: has no answer in \\boxed{}; add it, or a field answer")
    return Task(
        id="",
        messages=[user(f"{text(record, 'problem')}\n\n{BOXED}")],
        answer=answer,
        verifier="math",
        dataset=source,
        metadata={**_keep(record, "level", "type"), SOLUTION: solution},
    )


@row_format("question", "answer")
def gsm8k(record: Record, source: str) -> Task:
    """GSM8K's: the final answer stands after `####`, behind the solution; its marks for a calculator are left out."""
    solution, marked, answer = text(record, "answer").rpartition("####")
    if not marked or not answer.strip():
        raise RowError("answer: has no final answer after ####, as GSM8K's rows do; add it, or name a tasks.reader")
    return Task(
        id=_numbered(record, "idx", source),
        messages=[user(text(record, "question"))],
        answer=answer.strip(),
        verifier="numeric",
        dataset=source,
        metadata={SOLUTION: _CALCULATOR.sub("", solution).strip()} if solution.strip() else {},
    )


@row_format("input", "target")
def mawps(record: Record, source: str) -> Task:
    """MAWPS's: `input`, and the number `target`."""
    return Task(
        id="",
        messages=[user(text(record, "input"))],
        answer=number_text(record, "target"),
        verifier="numeric",
        dataset=source,
    )


# A prompt and nothing else that is known: our own, with a mistake in it, or to be judged by tasks.verifier.
FORMATS.add("prompt alone", Format(("prompt",), own))
FORMATS.add("messages alone", Format(("messages",), own))


def digest(content: Any) -> str:
    """sha256 of a JSON value, in hex."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _system(record: Record) -> list[Message]:
    """The system message, verbatim, where there is one."""
    system = record.get("system")
    if isinstance(system, str) and not system.strip():
        return []
    return [] if system is None else [{"role": "system", "content": text(record, "system")}]


def _numbered(record: Record, name: str, dataset: str) -> str:
    number = whole_number(record, name)
    return "" if number is None else f"{dataset}/{number}"


def _solution(record: Record) -> Record:
    """The worked solution, where the row has one under either name: for teachers, see `mopd.tasks.task`."""
    values = [record.get(name) for name in SOLUTION_FIELDS]
    solutions = [value for value in values if isinstance(value, str) and value.strip()]
    if len(solutions) > 1:
        raise RowError(f"{', '.join(SOLUTION_FIELDS)}: both given; keep one of them")
    return {SOLUTION: solutions[0]} if solutions else {}


def _whole_program(record: Record) -> Record:
    """HumanEval's solution goes on where the prompt ends; a reply is asked for as a whole program."""
    body = optional_text(record, "canonical_solution")
    return {} if body is None else {SOLUTION: f"```python\n{record['prompt'].strip()}\n{body.rstrip()}\n```"}


def _keep(record: Record, *names: str) -> Record:
    return mapping({"metadata": {name: record[name] for name in names if name in record}}, "metadata")
