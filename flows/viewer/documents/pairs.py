"""Two runs or more beside each other: their curves, what their settings differ in, prompts that all were asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from flows.report.table import Table
from flows.viewer.documents.overview import facts
from flows.viewer.documents.parts.curve import Curve, curve_document
from flows.viewer.documents.parts.curves import run_curves
from flows.viewer.documents.parts.headline import evaluated_policies, mean_text
from flows.viewer.documents.parts.settings import settings_that_differ
from flows.viewer.documents.parts.shared_prompts import Asked, heldout, shared_heldout, shared_trained
from flows.viewer.documents.parts.state import state
from flows.viewer.documents.viewed import Json, ViewedRun
from mopd.measures.comparison import paired_difference


def pairs(runs: Sequence[ViewedRun]) -> Json | None:
    """The runs in their order; differences are from the first. `apart`: why they can't be compared, or "". None of one
    run alone."""
    if len(runs) < 2:
        return None
    asked = {run.id: heldout(run) for run in runs}
    prompts = {"heldout": shared_heldout(asked), "trained": shared_trained(runs)}
    settings = {run.id: run.shown_settings for run in runs if run.shown_settings}
    return {
        "runs": [{"id": run.id, "state": state(run), "facts": facts(run)} for run in runs],
        "apart": "" if any(part["num"] for part in prompts.values()) else _why_apart(runs),
        "headline": [*_successes(runs), *_differences(runs, asked)],
        "curves": [curve_document(curves) for curves in _curves(runs)],
        "settings": settings_that_differ(settings) if len(settings) > 1 else Table.of([]).document(),
        "prompts": prompts,
    }


def _curves(runs: Sequence[ViewedRun]) -> Iterator[dict[str, Curve]]:
    """Each curve by run, of those that have it."""
    by_run = {run.id: {curve.name: curve for curve in run_curves(run)} for run in runs}
    for name in dict.fromkeys(name for curves in by_run.values() for name in curves):
        yield {run: curves[name] for run, curves in by_run.items() if name in curves}


def _successes(runs: Sequence[ViewedRun]) -> Iterator[str]:
    """Held-out success of each run's last policy."""
    for run in runs:
        for entry in evaluated_policies(run)[-1:]:
            rounds = f"{entry['policy']} round{'' if entry['policy'] == 1 else 's'}"
            yield f"{run.id}: held-out mean@{entry['k']} {mean_text(entry)} after {rounds} of training."


def _differences(runs: Sequence[ViewedRun], asked: Mapping[str, Asked]) -> Iterator[str]:
    """How far these are from the first run's, over the held-out prompts of both."""
    first = runs[0]
    for run in runs[1:]:
        shared = asked[run.id].keys() & asked[first.id].keys()
        if not shared or first.last_settings is None:
            continue
        values, first_values = ({key[0]: asked[one.id][key]["rate"] for key in shared} for one in (run, first))
        difference = paired_difference({0: values}, {0: first_values}, **first.last_settings.draws)
        told = difference.text("+.1f", 100, " points")
        yield f"{run.id} minus {first.id}: {told}, paired over the {difference.num} held-out prompts of both."


def _why_apart(runs: Sequence[ViewedRun]) -> str:
    tasks = {str(run.last_settings.tasks) for run in runs if run.last_settings}
    why = "they have other tasks" if len(tasks) > 1 else "none of their rounds asked the same, and no evaluation did"
    return f"These runs share no prompt: {why}. Their curves stand beside each other, but their numbers don't compare."
