"""Who judged a run's rollouts, and who would now; asked in a worker process, which a user's verifier may fill."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from flows.execute.work import Rows, read_shard
from flows.plan.counts import JUDGES
from flows.plan.shard import Shard
from flows.report.artifacts import find_manifests
from flows.runtime.messages import Report
from mopd.settings.verify import VerifySettings
from storage.runs import RunFolder

COLUMNS = ("prompt_id", "verifier", "answer", "tests", "metadata")


class RoundToJudge(NamedTuple):
    """The prompts of a round, how their replies were judged, and how they are to be."""

    prompts: list[Shard]
    before: VerifySettings
    now: VerifySettings


@dataclass(frozen=True)
class Judges:
    """Verifiers of some rounds, as they are here."""

    versions: dict[str, str]
    """By name."""
    are_same: bool
    """Whether each prompt's is the one that judged it, of whatever version."""

    @property
    def text(self) -> str:
        """Their versions in a few words."""
        return "; ".join(dict.fromkeys(self.versions.values()))


def read_judges(_: None, report: Report, folder: RunFolder, rounds: list[RoundToJudge]) -> Judges:
    """Who is to judge. Raises InputError for a verifier that isn't there, or can't judge one of the prompts."""
    from mopd.verifiers.versions import judge_versions
    from mopd.verify import check_problems, problem_of

    pairs: set[tuple[str, str]] = set()
    for asked in rounds:
        prompts = _read_prompts(folder, asked.prompts)
        check_problems(((prompt["prompt_id"], problem_of(prompt)) for prompt in prompts), asked.now)
        named = {prompt["verifier"] for prompt in prompts}
        pairs |= {(asked.before.judge_of(name), asked.now.judge_of(name)) for name in named}
    return Judges(judge_versions(now for _, now in pairs), all(before == now for before, now in pairs))


def _read_prompts(folder: RunFolder, shards: list[Shard]) -> Rows:
    rows = {row["prompt_id"]: row for shard in shards for row in read_shard(folder, shard, COLUMNS)}
    return list(rows.values())


def recorded_judges(folder: RunFolder, verdicts: Iterable[Shard]) -> dict[str, set[str]]:
    """The versions that gave verdicts, by verifier, as far as their manifests say so."""
    versions: dict[str, set[str]] = {}
    for manifest in find_manifests(folder, verdicts):
        for name, text in manifest.info.get(JUDGES, {}).items():
            versions.setdefault(name, set()).add(text)
    return versions
