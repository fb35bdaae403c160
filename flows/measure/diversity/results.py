"""The diversity of replies in runs as they are on disk: of what training sampled, and of held-out replies."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flows.plan.conditions import settings_of
from flows.runtime.shell import shell_command
from mopd.errors import InputError
from mopd.measures.diversity import METRICS, REPLIES, Diversity, Values, paired_difference, prompt_diversity, summarize
from mopd.measures.estimate import Estimate
from mopd.verifiers.code.tests import asked_function
from storage.runs import RunFolder
from storage.schemas import Row
from storage.shards import manifests, read_rows
from storage.stores.address import Address

Estimates = dict[str, Estimate]
"""By metric."""

SAMPLED, HELD_OUT = "sampled", "held-out"
REPLY = ["round", "prompt_id", "sample", "text"]


@dataclass(frozen=True)
class Measured:
    """The replies to one set of prompts: in a round of training, or of one policy to the held-out prompts."""

    run: str
    source: str
    number: int
    """Of the round; of the policy, the rounds of training that it has had."""
    prompts: dict[str, dict[str, Diversity]]
    """By prompt (id and question), then by a name in `mopd.measures.diversity.REPLIES`."""

    def values(self, replies: str, metric: str) -> Values:
        """One metric by prompt."""
        return {prompt: getattr(numbers[replies], metric) for prompt, numbers in self.prompts.items()}


@dataclass(frozen=True)
class DiversityPoint:
    """Means over the prompts of one `Measured`, for all replies or for successes."""

    run: str
    source: str
    number: int
    replies: str
    means: Estimates
    minus_policy: Estimates | None
    """From the run's first evaluated policy, paired by prompt; None for that one itself, and for what was sampled."""
    minus_run: Estimates | None
    """From the same policy of the first run, paired by prompt; None where there is none."""


@dataclass(frozen=True)
class DiversityResults:
    """All points of some runs, run by run."""

    runs: list[str]
    points: list[DiversityPoint]
    num_draws: int
    """Of the bootstrap."""

    def of(self, source: str) -> list[DiversityPoint]:
        """The points of what training sampled, or of held-out replies."""
        return [point for point in self.points if point.source == source]


def read_results(paths: Sequence[Address]) -> DiversityResults:
    """Measure the runs in these folders; intervals are drawn as the first one's settings say.

    Raises StorageError for a folder that is no run, InputError for one without replies and for one named twice.
    """
    folders = [RunFolder.open(path) for path in paths]
    names = _names(paths, folders)
    measured = [group for name, folder in zip(names, folders, strict=True) for group in _measure_run(name, folder)]
    draws = settings_of(folders[0]).draws
    return DiversityResults(names, _points(measured, draws), draws["num_samples"])


def _names(paths: Sequence[Address], folders: Sequence[RunFolder]) -> list[str]:
    """The names of folders; of those that share theirs, the paths as given."""
    names = [folder.name for folder in folders]
    for index, folder in enumerate(folders):
        if folder.address in [earlier.address for earlier in folders[:index]]:
            raise InputError(f"{paths[index]}: is named twice; name each run once")
    return [str(path) if names.count(name) > 1 else name for path, name in zip(paths, names, strict=True)]


def _measure_run(name: str, folder: RunFolder) -> list[Measured]:
    questions, packages = _questions(folder), settings_of(folder).verify.packages
    sources = ((SAMPLED, _sampled(folder)), (HELD_OUT, _held(folder)))
    measured = [group for source, shards in sources for group in _measure(name, source, questions, shards, packages)]
    if not measured:
        go_on = shell_command("run", folder.address)
        raise InputError(f"{folder.address}: has no rollouts and no evaluations yet; {go_on} makes them")
    return measured


def _measure(
    name: str,
    source: str,
    questions: dict[tuple[int, str], Row],
    shards: Iterator[list[Row]],
    packages: tuple[str, ...],
) -> list[Measured]:
    """Group by group: a shard holds whole groups."""
    rounds: defaultdict[int, dict[str, dict[str, Diversity]]] = defaultdict(dict)
    for rows in shards:
        groups: defaultdict[tuple[int, str], list[Row]] = defaultdict(list)
        for row in rows:
            groups[row["round"], row["prompt_id"]].append(row)
        for (round, prompt_id), group in groups.items():
            if (round, prompt_id) not in questions:
                raise InputError(
                    f"prompt {prompt_id}: round {round} has no row of it in prompts; `mopd run` makes it again"
                )
            question = questions[round, prompt_id]
            key = json.dumps([prompt_id, question["messages"]])
            is_code = question["verifier"] == "code"
            function = asked_function(question["tests"], packages) if is_code else None
            rounds[round][key] = prompt_diversity(group, is_code=is_code, function=function)
    return [Measured(name, source, number, prompts) for number, prompts in sorted(rounds.items())]


def _questions(folder: RunFolder) -> dict[tuple[int, str], Row]:
    """Messages and verifier of each prompt; held-out ones stand in the round of the policy that is asked."""
    columns = ["round", "prompt_id", "messages", "verifier", "tests"]
    rows = [row for manifest in manifests(folder, "prompts") for row in read_rows(folder, manifest, columns)]
    return {(row["round"], row["prompt_id"]): row for row in rows}


def _sampled(folder: RunFolder) -> Iterator[list[Row]]:
    """Rollouts, shard by shard, with their verdicts' `success`; None where there is no verdict (yet)."""
    keys = ["round", "prompt_id", "sample"]
    success = {
        tuple(row[key] for key in keys): row["success"]
        for manifest in manifests(folder, "verdicts")
        for row in read_rows(folder, manifest, [*keys, "success"])
    }
    for manifest in manifests(folder, "rollouts"):
        rows = read_rows(folder, manifest, REPLY)
        yield [{**row, "success": success.get(tuple(row[key] for key in keys))} for row in rows]


def _held(folder: RunFolder) -> Iterator[list[Row]]:
    for manifest in manifests(folder, "evaluations"):
        yield read_rows(folder, manifest, [*REPLY, "success"])


def _points(measured: list[Measured], draws: dict[str, int]) -> list[DiversityPoint]:
    held_out = {(group.run, group.number): group for group in measured if group.source == HELD_OUT}

    def minus(group: Measured, first: Measured | None, replies: str) -> Estimates | None:
        if group.source == SAMPLED or first is None or first is group:
            return None
        return {
            metric: paired_difference(group.values(replies, metric), first.values(replies, metric), **draws)
            for metric in METRICS
        }

    return [
        DiversityPoint(
            group.run,
            group.source,
            group.number,
            replies,
            means={metric: summarize(group.values(replies, metric), **draws) for metric in METRICS},
            minus_policy=minus(group, next((held_out[key] for key in held_out if key[0] == group.run), None), replies),
            minus_run=minus(group, held_out.get((measured[0].run, group.number)), replies),
        )
        for group in measured
        for replies in REPLIES
    ]
