"""What a probe chose, as the jobs after it read it: the settings of a round's contexts, and scores that are there."""

from __future__ import annotations

from typing import Any

from flows.shard import Shard
from flows.shard_rows import Rows, read_shard
from flows.stage_settings import PROBE, settings_of
from mopd.settings.condition import ConditionSettings
from storage.errors import StorageError
from storage.runs import RunFolder
from storage.schemas import side_of


def chosen(choices: Rows) -> dict[str, Any]:
    """The row of the candidate that was chosen."""
    return next(row for row in choices if row["chosen"])


def condition_of(folder: RunFolder, contexts: Shard) -> ConditionSettings:
    """What a contexts shard is made by: the run's settings, or what a probe chose under them."""
    if contexts.choice is None:
        return settings_of(folder).condition
    row = chosen(read_shard(folder, contexts.choice))
    return ConditionSettings.model_validate_json(str(row["condition"]))


def probed_scores(folder: RunFolder, shard: Shard, contexts: Rows) -> Rows | None:
    """Scores of a round whose probe has scored the very same contexts; None where there are none.

    Raises StorageError where the probe's contexts are not these.
    """
    choice = shard.input("contexts").choice
    if choice is None or not choice.inputs:
        return None  # nothing was chosen, or in an earlier round
    name = chosen(read_shard(folder, choice))["candidate"]
    signals = (one for one in choice.inputs if (one.shard, side_of(one.table)) == (shard.shard, f"{PROBE}{name}"))
    rows = read_shard(folder, next(signals).input("scores"))
    if [row["context_digest"] for row in rows] != [row["context_digest"] for row in contexts]:
        raise StorageError(
            f"{folder.path}: the contexts of {shard.table} are not those that the probe of {name} scored"
        )
    return rows
