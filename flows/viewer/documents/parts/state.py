"""How a run ended, or that it goes on: one answer for the run's own page and for the list of runs."""

from __future__ import annotations

from flows.report.watch.look import state_of
from flows.viewer.documents.viewed import Json, ViewedRun


def state(run: ViewedRun) -> Json:
    """In words (`text`), and as one word for its colour: a `kind` of `flows.report.watch.look.State`, or `unknown`.

    Where a process only may be at work on it, the words say so.
    """
    if run.look is None:
        why = "its state can't be read" if run.is_planned else "not made by mopd run: it has no plan"
        return {"kind": "unknown", "text": why}
    kind, text = state_of(run.look.status, run.look.holder, is_watched=run.holder is not None)
    return {"kind": kind, "text": text}
