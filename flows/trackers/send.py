"""What is missing of a run in a tracker is read from the run's tables and sent; then it is noted."""

from __future__ import annotations

from flows.plan.conditions import settings_of
from flows.plan.run import RunPlan
from flows.report.card.published import OF_THE_MACHINE, published_settings
from flows.runtime.messages import Report
from flows.trackers.content.chapters import Outline, outlines, planned_sources
from flows.trackers.load import load_tracker
from flows.trackers.notes import Notes, SentRun
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
    sources = planned_sources(RunPlan.of(folder))
    notes = Notes.read(folder, name)
    sent = notes.current(folder, sources)
    with looking_once():
        missing = [outline for outline in outlines(folder) if outline.name not in sent.chapters]
    if missing:
        notes.save(folder, _send(folder, sent, missing, sources, report, name))
    return len(missing)


def _send(
    folder: RunFolder, sent: SentRun, missing: list[Outline], sources: dict[str, str], report: Report, name: TrackerName
) -> SentRun:
    """How the run in the tracker is with these chapters; noted when the tracker has them safely, not before."""
    tracker = load_tracker(name)(tracked_run(folder, sent))
    for outline in missing:
        chapter = outline.read()
        tracker.write(chapter)
        sent = sent.with_chapter(outline.name, sources[outline.name], chapter.num_rows)
        report({})  # it goes on
    tracker.close()
    return sent


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
