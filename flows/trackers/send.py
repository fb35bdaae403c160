"""What is missing of a run in a tracker is read from the run's tables and sent; then it is noted."""

from __future__ import annotations

from typing import Any

from flows.plan.conditions import settings_of
from flows.runtime.messages import Report
from flows.trackers.content.chapters import Outline, outlines
from flows.trackers.installed import tracker_class
from flows.trackers.notes import Notes, Sent
from flows.trackers.tracker import Row, TrackedRun
from mopd.settings.report import TrackerName
from storage.lookup import looking_once
from storage.runs import RunFolder, flatten_settings
from storage.stores.base import Store


def send_missing(_: None, report: Report, store: Store, name: TrackerName) -> int:
    """Send what a tracker has not by now; returns how many chapters. What it raises, its library raised.

    A job of a worker process. The caller holds the run, and sends to that tracker from nowhere else meanwhile.
    """
    folder = RunFolder.open(store)
    notes = Notes.read(folder, name)
    sent = notes.current(folder)
    with looking_once():
        missing = [outline for outline in outlines(folder) if outline.name not in sent.chapters]
    if missing:
        notes.save(folder, _send(folder, sent, missing, report, name))
    return len(missing)


def _send(folder: RunFolder, sent: Sent, missing: list[Outline], report: Report, name: TrackerName) -> Sent:
    """How the run in the tracker is with these chapters; noted when the tracker has them safely, not before."""
    tracker = tracker_class(name)(tracked_run(folder, sent))
    for outline in missing:
        chapter = outline.read()
        tracker.write(chapter)
        sent = sent.with_chapter(outline.name, outline.policy_key, chapter.num_rows)
        report({})  # it goes on
    tracker.close()
    return sent


def tracked_run(folder: RunFolder, sent: Sent) -> TrackedRun:
    """A run as a tracker is to know it."""
    settings = settings_of(folder)
    return TrackedRun(
        id=sent.id,
        name=sent.name,
        project=settings.report.project,
        settings=_told_settings(folder, settings.model_dump(mode="json")),
        store=folder.store,
        num_chapters=len(sent.chapters),
        num_rows=sent.num_rows,
    )


def _told_settings(folder: RunFolder, tree: dict[str, Any]) -> Row:
    """Settings by dotted name, and where the run lies."""
    told = {**flatten_settings(tree), "run": folder.address, "code_revision": folder.document.get("code_revision")}
    lineage = folder.lineage
    return told | ({"forked_from": lineage["path"], "forked_at_round": lineage["round"]} if lineage else {})
