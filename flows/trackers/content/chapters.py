"""What a run has to tell by now, chapter by chapter, in the order in which it was made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from flows.plan.guards import SAMPLED, TRAINED, needed_guards
from flows.plan.run import RunPlan
from flows.plan.shard import Shard
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
    source: str
    """What it is read from, as `planned_sources` has it."""
    read: Callable[[], Chapter]


_ASKED = {TRAINED: "guards of policy", SAMPLED: "guards of round"}
"""What the two chapters of a policy's guards are called."""


def planned_sources(plan: RunPlan) -> dict[str, str]:
    """By the name of each chapter that a run may have, a hash of the keys of what it is read from.

    Where that is another one than it was, the chapter that was sent is of a line that the run doesn't follow any more.
    Guards stand with what they were asked about: they are asked again where bounds change, or where a run goes on.
    """
    evaluations = [*plan.evaluations.values(), *plan.unasked_evaluations()]
    sources = {f"evaluation {part.evaluations[0].round}": _hash_keys(part.all()) for part in evaluations}
    sources[f"{_ASKED[TRAINED]} 0"] = _hash_keys([])
    for number, part in enumerate(plan.rounds):
        sources[f"{_ASKED[SAMPLED]} {number}"] = _hash_keys(part.contexts)
        sources[f"round {number}"] = _hash_keys(part.all())
        sources[f"{_ASKED[TRAINED]} {number + 1}"] = _hash_keys([part.policy])
    return sources


def _hash_keys(shards: Iterable[Shard]) -> str:
    return hashlib.sha256(" ".join(shard.key for shard in shards).encode()).hexdigest()


def outlines(folder: RunFolder) -> Iterator[Outline]:
    """The chapters of which all is there."""
    plan, status = RunPlan.of(folder), run_status(folder)
    sources = planned_sources(plan)
    evaluations = {entry["policy"]: entry for entry in status["evaluations"] if entry["mean_at_k"] is not None}
    for version in range(plan.settings.rounds + 1):
        if version in evaluations:
            name = f"evaluation {version}"
            yield Outline(name, sources[name], partial(_evaluation, name, evaluations[version]))
        for shard in needed_guards(plan, folder, version):
            if (manifest := shard.find(folder)) is not None:
                name = f"{_ASKED[shard.shard]} {version}"
                yield Outline(name, sources[name], partial(_guards, name, folder, manifest))
        if version < len(plan.rounds) and status["rounds"][version]["finished"]:
            name, entry = f"round {version}", status["rounds"][version]
            read = partial(_round, name, folder, entry, plan.settings.report.completions)
            yield Outline(name, sources[name], read)


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
