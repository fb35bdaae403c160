"""What is missing of a run in a tracker is read from the run's tables and sent; then it is noted."""

from __future__ import annotations

from dataclasses import replace

from flows.plan.conditions import settings_of
from flows.plan.run import RunPlan
from flows.report.card.published import OF_THE_MACHINE, published_settings
from flows.runtime.messages import Report
from flows.trackers.content.chapters import Outline, outlines, planned_sources
from flows.trackers.load import load_tracker
from flows.trackers.notes import Notes, SentRun
from flows.trackers.tracker import OpenTracker, Row, TrackedRun
from mopd.settings.report import TrackerName
from storage.lookup import looking_once
from storage.runs import RunFolder, flatten_settings
from storage.stores.base import Store

CHAPTERS_AT_ONCE = 20
"""That are sent before they are noted: what is cut off at its hundredth round is not begun anew."""


def send_missing(_: None, report: Report, store: Store, name: TrackerName) -> int:
    """Send what a tracker has not by now; returns how many chapters. What it raises, its library raised.

    A job of a worker process. The caller holds the run, and sends to that tracker from nowhere else meanwhile.
    """
    folder = RunFolder.open(store)
    notes = Notes.read(folder, name)
    sent = notes.current(folder, planned_sources(RunPlan.of(folder)))
    missing = _missing(folder, sent)
    report({})  # it goes on, as below
    for first in range(0, len(missing), CHAPTERS_AT_ONCE):
        part = missing[first : first + CHAPTERS_AT_ONCE]
        notes.save(folder, replace(sent, begun={outline.name: outline.source for outline in part}))
        sent = _send(load_tracker(name), folder, sent, part, report)
        notes.save(folder, sent)
    return len(missing)


def _missing(folder: RunFolder, sent: SentRun) -> list[Outline]:
    """What it lacks; first what was begun, as it was begun."""
    with looking_once():
        there = {outline.name: outline for outline in outlines(folder) if outline.name not in sent.chapters}
    begun = [there.pop(name) for name in sent.begun if name in there]
    return [*begun, *there.values()]


def _send(open_tracker: OpenTracker, folder: RunFolder, sent: SentRun, part: list[Outline], report: Report) -> SentRun:
    """How the run in the tracker is with these chapters, once it has them safely."""
    report({})
    tracker = open_tracker(tracked_run(folder, sent))
    report({})
    for outline in part:
        chapter = outline.read()
        tracker.write(chapter)
        sent = sent.with_chapter(outline.name, outline.source, chapter.num_rows)
        report({})
    tracker.close()
    return replace(sent, begun={})


def tracked_run(folder: RunFolder, sent: SentRun) -> TrackedRun:
    """A run as a tracker is to know it."""
    return TrackedRun(
        id=sent.id,
        name=sent.name,
        project=settings_of(folder).report.project,
        settings=_described(folder),
        store=folder.store,
        num_chapters=len(sent.chapters),
        num_rows=sent.num_rows,
    )


def _described(folder: RunFolder) -> Row:
    """Settings by dotted name, and which run it is; as on a card, nothing of the machine is told."""
    settings = published_settings(folder, settings_of(folder))
    tree = settings.model_dump(mode="json", exclude=set(OF_THE_MACHINE))
    lineage = folder.lineage
    forked = {"forked_from": lineage["run_id"], "forked_at_round": lineage["round"]} if lineage else {}
    return {
        **flatten_settings(tree),
        "run": folder.run_id,
        "code_revision": folder.document.get("code_revision"),
        **forked,
    }
