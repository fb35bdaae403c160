"""Which groups a round trains on (`mopd.groups`), by what its manifests say, and how that is told to people."""

from __future__ import annotations

import random
from typing import Any

from flows.plan.shard import RoundPlan, Shard
from mopd.groups import useful_groups
from mopd.seeds import derive_seed
from mopd.settings import GenerateSettings, Settings
from storage.errors import StorageError
from storage.runs import RunFolder

Row = dict[str, Any]
WHAT = {"any_success": "with a success", "mixed": "with both outcomes"}
"""Useful groups in words, by `generate.groups.kind`."""


def round_selection(part: RoundPlan, folder: RunFolder) -> dict[str, Any] | None:
    """What the round looks for, and what it has found by now; None with `groups: all`, where there is nothing to find.

    `useful`: groups that are trained on; `surplus`: useful ones beyond `wanted`, which are not; `asked`: groups that
    are judged; `most`: groups that may be asked; `short`: all were asked, and not enough were useful.
    """
    candidates = part.candidates
    if candidates.kind == "all":
        return None
    counts = part.useful(folder)
    judged = [place for place in range(candidates.shards_needed(counts)) if counts[place] is not None]
    found = sum(counts[place] or 0 for place in judged)
    asked, most = sum(candidates.sizes[place] for place in judged), sum(candidates.sizes)
    return {
        "kind": candidates.kind,
        "wanted": candidates.wanted,
        "useful": min(found, candidates.wanted),
        "surplus": max(found - candidates.wanted, 0),
        "asked": asked,
        "most": most,
        "short": asked == most and found < candidates.wanted,
    }


def chosen_groups(folder: RunFolder, shard: Shard, verdicts: list[Row], settings: GenerateSettings) -> set[str]:
    """Prompt ids of the useful groups of a contexts shard, as far as the shards before it leave room for them.

    `verdicts` are those of the shard. Raises StorageError where the verdicts of one before it have gone.
    """
    kind = settings.groups.kind
    useful = useful_groups(verdicts, kind)
    if kind == "all":
        return set(useful)
    judged = [one for one in shard.inputs if one.table == "verdicts" and one.round == shard.round]
    before = [one.find(folder) for one in judged if one.shard < shard.shard]
    if None in before:
        raise StorageError(f"{folder.address}: verdicts of round {shard.round} have gone; run again to make them again")
    found = sum(int(manifest.info[kind]) for manifest in before if manifest is not None)
    return set(useful[: max(settings.num_prompts - found, 0)])


def control_groups(verdicts: list[Row], chosen: set[str], settings: Settings, *, round: int) -> set[str]:
    """Up to `signals.control_groups` of the chosen groups, drawn evenly, those with both outcomes first."""
    mixed = set(useful_groups(verdicts, "mixed"))
    drawn = random.Random(derive_seed(settings.seed, "control groups", round)).sample(sorted(chosen), len(chosen))
    return set(sorted(drawn, key=lambda prompt_id: prompt_id not in mixed)[: settings.signals.control_groups])


def selection_line(selection: dict[str, Any]) -> str:
    """What was found, and what a round that lacks groups does then."""
    what, useful = WHAT[selection["kind"]], selection["useful"]
    line = f"{useful} of {selection['wanted']} groups {what}, {selection['asked']} asked"
    if not selection["short"]:
        return line
    then = "the round goes on with these" if useful else "the round learns nothing"
    return f"{line}: generate.groups.max_oversample allows no more, {then}"
