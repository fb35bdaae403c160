"""What a probe chose, as the jobs after it read it: the settings of a round's contexts, and shards that are there."""

from __future__ import annotations

from flows.execute.work import Work, manifest_of, read_shard
from flows.plan.counts import chosen
from flows.plan.provenance import provenance
from flows.plan.shard import Shard
from mopd.settings.condition import ConditionSettings
from storage.errors import StorageError
from storage.runs import RunFolder
from storage.shards import Manifest, commit_again


def condition_of(folder: RunFolder, contexts: Shard) -> ConditionSettings:
    """What a contexts shard is made by: its settings, or what a probe chose under them."""
    if contexts.choice is None:
        return contexts.settings.condition
    row = chosen(read_shard(folder, contexts.choice))
    return ConditionSettings.model_validate_json(str(row["condition"]))


def publish_chosen(work: Work) -> Manifest | None:
    """Publish the shard of the chosen candidate as the round's own; None where nothing was chosen in this round.

    The candidate's contexts, scores or signals are what the round's own would be, so they get one more manifest.
    """
    shard = work.shard
    contexts = shard if shard.table == "contexts" else shard.input("contexts")
    choice = contexts.choice
    if choice is None or not choice.inputs:
        return None  # nothing was chosen, or in an earlier round
    name = chosen(read_shard(work.folder, choice))["candidate"]
    candidate = _find_candidate(choice, shard, str(name))
    manifest = manifest_of(work.folder, candidate)
    info = {**manifest.info, **provenance(shard), "seconds": 0.0}
    return commit_again(work.folder, manifest, key=shard.key, parents=shard.parents(work.folder), info=info)


def _find_candidate(choice: Shard, shard: Shard, name: str) -> Shard:
    """The candidate's shard of the same table and place. Raises StorageError where the choice knows none."""
    for signals in choice.inputs:
        if (signals.table, signals.shard, signals.name) == ("signals", shard.shard, name):
            return signals if shard.table == "signals" else signals.input(shard.table)
    raise StorageError(f"round {choice.round} chose {name}, and its probe has no such candidate; start a new run")
