"""The run: what was run, how it went and how it ended."""

from __future__ import annotations

from flows.viewer.documents.viewed import Json, ViewedRun


def overview(run: ViewedRun) -> Json:
    """What stands on the page's first screen."""
    return {"title": run.id}
