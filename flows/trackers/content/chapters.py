"""What a run has to tell by now, chapter by chapter, in the order in which it was made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from flows.plan.guards import SAMPLED, TRAINED, needed_guards
from flows.plan.run import RunPlan
from flows.report.status.state import run_status
from flows.trackers.content.completions import read_completions
from flows.trackers.content.numbers import evaluation_numbers, guard_numbers, round_numbers, update_points
from flows.trackers.tracker import ROUND, Chapter, Point
from storage.runs import RunFolder
from storage.shards import Manifest, read_rows


@dataclass(frozen=True)
class Outline:
    """A chapter that can be read."""

    name: str
    policy_key: str
    """Of the policy that it ends with, or is about; "" for the initial one. Where that is superseded, so is this."""
    read: Callable[[], Chapter]


_ASKED = {TRAINED: "guards of policy", SAMPLED: "guards of round"}
"""What the two chapters of a policy's guards are called."""


def outlines(folder: RunFolder) -> Iterator[Outline]:
    """The chapters of which all is there."""
    plan, status = RunPlan.of(folder), run_status(folder)
    evaluations = {entry["policy"]: entry for entry in status["evaluations"] if entry["mean_at_k"] is not None}
    keys = ["", *(part.policy.key for part in plan.rounds)]
    for version, key in enumerate(keys):
        if version in evaluations:
            name = f"evaluation {version}"
            yield Outline(name, key, partial(_evaluation, name, evaluations[version]))
        for shard in needed_guards(plan, folder, version):
            if (manifest := shard.find(folder)) is not None:
                name = f"{_ASKED[shard.shard]} {version}"
                yield Outline(name, key, partial(_guards, name, folder, manifest))
        if version < len(plan.rounds) and status["rounds"][version]["finished"]:
            name, num_completions = f"round {version}", plan.settings.report.completions
            read = partial(_round, name, folder, status["rounds"][version], num_completions)
            yield Outline(name, keys[version + 1], read)


def _evaluation(name: str, entry: dict[str, Any]) -> Chapter:
    version = entry["policy"]
    return Chapter(name, version, _seconds(entry["ended"]), [Point(ROUND, version, evaluation_numbers(entry))])


def _guards(name: str, folder: RunFolder, manifest: Manifest) -> Chapter:
    version = manifest.round
    points = [Point(ROUND, version, guard_numbers(read_rows(folder, manifest)))]
    return Chapter(name, version, _seconds(manifest.created), points)


def _round(name: str, folder: RunFolder, entry: dict[str, Any], num_completions: int) -> Chapter:
    number = entry["round"]
    points = [Point(ROUND, number, round_numbers(folder, entry)), *update_points(folder, number)]
    return Chapter(name, number, _seconds(entry["ended"]), points, read_completions(folder, number, num_completions))


def _seconds(created: str) -> float:
    """ISO 8601, in seconds since the epoch."""
    return datetime.fromisoformat(created).timestamp()
