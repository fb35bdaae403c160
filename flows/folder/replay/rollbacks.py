"""How often a guard sent a run back to its best policy: each time it went on under a lower learning rate."""

from __future__ import annotations

from typing import Any

from mopd.settings import Settings
from storage.runs import RunFolder

ROLLED_BACK = "rolled back: "
"""How the reason of a rerun begins that a guard asked for."""


def rollbacks(folder: RunFolder) -> list[dict[str, Any]]:
    """The reruns that guards asked for and that hold, the oldest first, as run.json has them."""
    redone = folder.document.get("redone", [])
    return [entry for entry in redone if entry["why"].startswith(ROLLED_BACK) and not entry.get("undone")]


def with_lowered_rate(folder: RunFolder, settings: Settings) -> Settings:
    """Settings that a run is to be continued by: where they name the learning rate that it began with, that is the one
    that rollbacks left it, so that the command that began a run continues it too."""
    lowered = rollbacks(folder)
    if not lowered or settings.train.learning_rate != lowered[0]["before"]["settings"]["train"]["learning_rate"]:
        return settings
    rate = folder.document["settings"]["train"]["learning_rate"]
    return settings.model_copy(update={"train": settings.train.model_copy(update={"learning_rate": rate})})
