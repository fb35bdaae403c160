"""What came of judging again, read from the shards of `rejudged`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flows.execute.work import Rows, read_shard
from flows.measure.reverify.plan import Reverification
from mopd.errors import InputError
from mopd.measures.rejudged import has_flipped, summarize_rejudged
from storage.runs import RunFolder

SHOWN_FLIPS = 5
"""That a report lists."""
FLIP = ("round", "prompt_id", "sample", "reward_before", "reward_after", "prediction_before", "prediction_after")
"""What it tells of each."""


@dataclass(frozen=True)
class ReverifyResults:
    """All that is told of a reverification."""

    name: str
    overrides: list[str]
    before: dict[str, str]
    """The versions that judged, by verifier; of what several judged, all of them."""
    now: dict[str, str]
    total: dict[str, Any]
    """Of all rounds, as `mopd.measures.rejudged.summarize_rejudged` counts."""
    rounds: Rows
    """The same of each."""
    sources: Rows
    """The same by data set and verifiers."""
    flips: Rows
    """The first ones, round by round."""

    @property
    def changes_nothing(self) -> bool:
        """Whether all is as it was, so that the run would be too."""
        changed = ("rewards_changed", "flipped", "contexts_changed", "advantages_changed")
        return not any(self.total[name] for name in changed)

    def check_applies(self) -> None:
        """Raises InputError where the run would be what it is."""
        if self.changes_nothing:
            judged = self.total["judged"]
            raise InputError(f"--apply: {self.name} says the same of all {judged} rollouts; leave it out")

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"set": self.overrides, **{name: value for name, value in vars(self).items() if name != "overrides"}}


def read_results(folder: RunFolder, made: Reverification) -> ReverifyResults:
    """The results of what is made. Raises StorageError where a shard has gone."""
    rows = [row for shard in made.rejudged for row in read_shard(folder, shard)]
    flips = [{name: row[name] for name in FLIP} for row in rows if has_flipped(row)]
    return ReverifyResults(
        name=made.name,
        overrides=made.overrides,
        before={name: " or ".join(sorted(texts)) for name, texts in made.before.items()},
        now=made.judges.versions,
        total=summarize_rejudged(rows),
        rounds=_summaries(rows, lambda row: {"round": row["round"]}),
        sources=_summaries(rows, lambda row: {name: row[name] for name in ("dataset", "judge_before", "judge_after")}),
        flips=flips[:SHOWN_FLIPS],
    )


def _summaries(rows: Rows, part_of: Callable[[dict[str, Any]], dict[str, Any]]) -> Rows:
    """What came of each part of the rows, in the order in which they come."""
    parts: dict[tuple[Any, ...], Rows] = {}
    for row in rows:
        parts.setdefault(tuple(part_of(row).items()), []).append(row)
    return [{**dict(names), **summarize_rejudged(some)} for names, some in parts.items()]
