"""What a run has to tell by now, chapter by chapter, in the order in which it was made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from flows.folder.guards import read_guards
from flows.plan.guards import SAMPLED, TRAINED, needed_guards
from flows.plan.run import RunPlan
from flows.plan.shard import Shard
from flows.report.status.state import run_status
from flows.trackers.completions import read_completions
from flows.trackers.numbers import evaluation_numbers, guard_numbers, round_numbers, update_points
from flows.trackers.tracker import ROUND, Chapter, Point, Row
from storage.runs import RunFolder


@dataclass(frozen=True)
class Outline:
    """A chapter that can be read."""

    name: str
    policy_key: str
    """Of the policy that it ends with, or is about; "" for the initial one. Where that is superseded, so is this."""
    read: partial[Chapter]


def outlines(folder: RunFolder) -> Iterator[Outline]:
    """The chapters of which all is there."""
    plan, status = RunPlan.of(folder), run_status(folder)
    evaluations = {entry["policy"]: entry for entry in status["evaluations"] if entry["mean_at_k"] is not None}
    keys = ["", *(part.policy.key for part in plan.rounds)]
    for version, key in enumerate(keys):
        if version in evaluations:
            read = partial(_evaluation, version, evaluations[version])
            yield Outline(f"evaluation {version}", key, read)
        for shard in needed_guards(plan, folder, version):
            if rows := read_guards(folder, [shard]):
                yield Outline(f"{_ASKED[shard.shard]} {version}", key, partial(_guards, folder, shard, rows))
        entry = status["rounds"][version] if version < len(plan.rounds) else None
        if entry is not None and entry["finished"]:
            read = partial(_round, folder, entry, plan.settings.report.completions)
            yield Outline(f"round {version}", keys[version + 1], read)


_ASKED = {TRAINED: "guards of policy", SAMPLED: "guards of round"}
"""Names of the two chapters of a policy's guards."""


def _evaluation(version: int, entry: dict[str, Any]) -> Chapter:
    points = [Point(ROUND, version, evaluation_numbers(entry))]
    return Chapter(f"evaluation {version}", version, _seconds(entry["ended"]), points)


def _guards(folder: RunFolder, shard: Shard, rows: list[Row]) -> Chapter:
    manifest = shard.find(folder)
    assert manifest is not None, "its rows were read"
    points = [Point(ROUND, shard.round, guard_numbers(rows))]
    return Chapter(f"{_ASKED[shard.shard]} {shard.round}", shard.round, _seconds(manifest.created), points)


def _round(folder: RunFolder, entry: dict[str, Any], num_completions: int) -> Chapter:
    number = entry["round"]
    points = [Point(ROUND, number, round_numbers(folder, entry)), *update_points(folder, number)]
    completions = read_completions(folder, number, num_completions)
    return Chapter(f"round {number}", number, _seconds(entry["ended"]), points, completions)


def _seconds(created: str) -> float:
    """ISO 8601, in seconds since the epoch."""
    return datetime.fromisoformat(created).timestamp()
