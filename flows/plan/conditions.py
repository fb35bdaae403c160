"""Under which settings a run's rollouts are shown to the teacher: its own, its control's, those that somebody named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mopd.contexts.summaries import instruction_of
from mopd.errors import InputError
from mopd.settings import Settings, parse_settings
from mopd.settings.condition import AutoVariant, ConditionSettings
from mopd.settings.variants import ControlVariant, PeerVariant
from storage.errors import StorageError
from storage.lookup import scan
from storage.runs import RUN_FILE, RunFolder

CONTROL = "control"
"""The name of what a run shows some groups besides, and never trains on."""


def settings_of(folder: RunFolder, tree: dict[str, Any] | None = None) -> Settings:
    """The settings of a run folder, or others that it keeps. Raises StorageError if this version doesn't know them."""
    try:
        return parse_settings(tree or folder.document["settings"], source=f"{folder.address}/{RUN_FILE}")
    except InputError as error:
        raise StorageError(f"{error}; restore the file, or use the version of mopd that made the run") from error


def changed_settings(folder: RunFolder, settings: Settings) -> dict[str, tuple[Any, Any]]:
    """The settings that differ from a run's, as `RunFolder.differences`; those that came after the run are at their
    defaults in it. Raises StorageError as `settings_of`."""
    known = {**folder.document, "settings": settings_of(folder).model_dump(mode="json")}
    return replace(folder, document=known).differences(settings.model_dump(mode="json"))


def named_conditions(folder: RunFolder) -> dict[str, list[str]]:
    """What `mopd condition`, `score`, `analyze` or `reverify` made beside a run's own: by name, its overrides."""
    newest: dict[str, list[str]] = {}
    for table in ("verdicts", "contexts", "scores"):
        made = [manifest for manifest in scan(folder, table, name=None)[0] if "set" in manifest.info and manifest.name]
        newest |= {manifest.name: manifest.info["set"] for manifest in sorted(made, key=lambda made: made.created)}
    return newest


def candidate_settings(settings: Settings) -> dict[str, Settings]:
    """What a run's probe tries by itself, by the names of its candidates; nothing for a run without a probe."""
    variant = settings.condition.variant
    candidates = variant.choices() if isinstance(variant, AutoVariant) else []
    return {
        candidate.name: with_condition(settings, candidate.condition(settings.condition)) for candidate in candidates
    }


def with_condition(settings: Settings, condition: ConditionSettings) -> Settings:
    """Other contexts of the same rollouts: replies are asked for summaries, or not, as they were."""
    ask = settings.generate.ask_for_summary
    asked = instruction_of(settings)
    pinned = "always" if asked and ask == "auto" else ask
    generate = settings.generate.model_copy(update={"ask_for_summary": pinned})
    return settings.model_copy(update={"condition": condition, "generate": generate})


def control_settings(settings: Settings) -> Settings:
    """Random peers in place of the context's own, as many of them; as many as `contrastive` has where it has none."""
    variant = settings.condition.variant
    imitates = variant.kind if isinstance(variant, PeerVariant) else "contrastive"
    control = ControlVariant(kind="random_peer", imitates=imitates)
    return with_condition(settings, settings.condition.model_copy(update={"variant": control}))
