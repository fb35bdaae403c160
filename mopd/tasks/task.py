"""What a task is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, str]
"""{"role": ..., "content": ...}, as chat templates take it."""

SOLUTION = "solution"
"""Where a task's metadata has its worked solution: for teachers, never for students."""
SOLUTION_FIELDS = (SOLUTION, "demonstration")
"""What rows call it."""


@dataclass(frozen=True)
class Task:
    """A problem with what is needed to judge a reply to it."""

    id: str
    messages: list[Message]
    answer: str
    """Empty where there is none, as for code."""
    verifier: str
    dataset: str
    metadata: dict[str, Any] = field(default_factory=dict)
    tests: str | None = None
    """Tests of a code task, as JSON text."""

    @property
    def question(self) -> tuple[str, ...]:
        """What the user says, without case and white space: tasks that share it ask the same."""
        texts = (message["content"] for message in self.messages if message["role"] == "user")
        return tuple(" ".join(text.casefold().split()) for text in texts)


@dataclass(frozen=True)
class TaskSplit:
    """Tasks to train on, and tasks that are never trained on."""

    train: list[Task]
    heldout: list[Task]


def task_record(task: Task) -> dict[str, Any]:
    """A task in our own row format, without what it lacks."""
    (first, *further) = task.messages
    prompt = {"messages": task.messages} if further or first["role"] != "user" else {"prompt": first["content"]}
    record = {
        "id": task.id,
        "dataset": task.dataset,
        **prompt,
        "answer": task.answer or None,
        "tests": task.tests,
        "verifier": task.verifier or None,
        "metadata": task.metadata or None,
    }
    return {name: value for name, value in record.items() if value is not None}


def solution_of(metadata: dict[str, Any]) -> str | None:
    """A task's own worked solution, or demonstration, of its metadata; None where it has none."""
    solution = metadata.get(SOLUTION)
    return solution if isinstance(solution, str) and solution.strip() else None


def record_line(record: dict[str, Any]) -> str:
    """A record as one line of JSON."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
