"""Settings and completions as Markdown, for trackers that show text."""

from __future__ import annotations

import json

from flows.trackers.tracker import Row

TEXTS = ("prompt", "context", "reply", "feedback", "error")
"""Cells of a completion that a model, or a task, wrote."""


def settings_text(settings: Row) -> str:
    """A line a setting."""
    return fenced("\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in settings.items()))


def completion_text(row: Row) -> str:
    """A completion: the verdict, then its texts."""
    head = f"**{row['prompt_id']}, sample {row['sample']}**: {_verdict(row)}"
    return "\n\n".join([head, *(f"{name}\n\n{fenced(row[name])}" for name in TEXTS if row[name])])


def fenced(text: str) -> str:
    """Text that is shown as it is: indented, so that nothing in it ends the block."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _verdict(row: Row) -> str:
    outcome = {True: "success", False: "failure", None: "no verdict"}[row["success"]]
    return outcome if row["reward"] is None else f"{outcome}, reward {row['reward']:g}"
