"""How a run ended, or that it goes on: one answer for the run's own page and for the list of runs."""

from __future__ import annotations

from typing import NamedTuple

from flows.viewer.documents.viewed import ViewedRun


class ShownState(NamedTuple):
    """In words, and as one word for its colour."""

    kind: str
    """As `flows.report.watch.look.State` has it, or `unknown`."""
    text: str


def state(run: ViewedRun) -> ShownState:
    """What is known of it. Where a process only may be at work on it, that is said, too."""
    if run.look is None:
        why = "its state can't be read" if run.is_planned else "not made by mopd run: it has no plan"
        return ShownState("unknown", why)
    kind, text = run.look.state
    if kind == "running" and run.holder is None and run.look.holder.beat:
        return ShownState(kind, f"{text}, unless that process died: of a run in a bucket one look can't tell")
    return ShownState(kind, text)
