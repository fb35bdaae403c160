"""Tables of what run.json says, one record each. Adding one: its record in RUN_TABLES, from which all else derives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from storage.runs import RunFolder, flatten_settings
from storage.sql.columns import column_text
from storage.sql.facts import Knowledge, Rows, as_json

_TEXT, _INT = pa.string(), pa.int32()


@dataclass(frozen=True)
class RunTable:
    """A name in SQL for rows that are made of run.json."""

    name: str
    about: str
    """One line."""
    columns: dict[str, tuple[pa.DataType, str]]
    """What each holds and says, in their order, after `run`."""
    rows: Callable[[RunFolder, Knowledge], Rows]
    """Without `run`."""

    @property
    def schema(self) -> pa.Schema:
        """With `run`."""
        return pa.schema({"run": _TEXT, **{name: kind for name, (kind, _) in self.columns.items()}})

    @property
    def column_texts(self) -> dict[str, str]:
        """What each column says."""
        return {"run": column_text("rollouts", "run"), **{name: text for name, (_, text) in self.columns.items()}}


def settings_rows(run: RunFolder, knowledge: Knowledge) -> Rows:
    """One row a setting and span of rounds that follow it."""
    return [
        {"first_round": first, "last_round": last, "name": name, "value": _value_text(value)}
        for first, last, settings in knowledge.settings(run)
        for name, value in flatten_settings(settings).items()
    ]


def rerun_rows(run: RunFolder, knowledge: Knowledge) -> Rows:
    """One row a time that a round was redone."""
    return [
        {
            "round": entry["round"],
            "stage": entry["from"],
            "settings": ", ".join(entry["set"]) or None,
            "why": entry["why"] or None,
            "made": entry["when"],
            "undone": entry.get("undone"),
        }
        for entry in run.document.get("redone", [])
    ]


RUN_TABLES = (
    RunTable(
        "settings",
        "one row a setting and span of rounds that follow it",
        {
            "first_round": (_INT, "the first round that follows it"),
            "last_round": (_INT, "the last round that follows it"),
            "name": (_TEXT, "dotted, as `--set` takes it"),
            "value": (_TEXT, "text as it is, everything else as JSON"),
        },
        settings_rows,
    ),
    RunTable(
        "reruns",
        "one row a time that a round was redone, by `mopd rerun` or by a guard that rolled back",
        {
            "round": (_INT, "the round that was redone"),
            "stage": (_TEXT, "from this stage on"),
            "settings": (_TEXT, "what was set for it, as `--set` takes it; null where nothing was"),
            "why": (_TEXT, "the decision of a guard, with its numbers; null where somebody asked for it"),
            "made": (_TEXT, "when"),
            "undone": (_TEXT, "when `rerun --undo` took it back; null where it holds"),
        },
        rerun_rows,
    ),
)


def _value_text(value: Any) -> str | None:
    return value if isinstance(value, str) or value is None else as_json(value)
