"""What the page knows before it asks for anything: its runs, and what isn't there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from flows.viewer.documents.viewed import Json, ViewedRun


def directory(runs: Sequence[ViewedRun], left_out: Sequence[str]) -> Json:
    """The runs by their ids; an address of a run is known where the page is served alone."""
    return {
        "version": version("mopd"),
        "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "runs": [
            {"id": run.id, "name": run.id, "address": None if run.in_file else run.folder.address} for run in runs
        ],
        "left_out": list(left_out),
    }
