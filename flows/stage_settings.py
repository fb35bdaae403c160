"""Which settings decide what: the part of the tree that each stage's keys hold."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from mopd.contexts.summaries import instruction_of
from mopd.errors import InputError
from mopd.objectives import needs_reference, needs_support
from mopd.settings import Settings, override_tree, parse_settings
from mopd.settings.condition import AutoVariant, ConditionSettings, ControlVariant, PeerVariant
from mopd.settings.context_choice import ContextChoice
from storage.errors import StorageError
from storage.runs import RUN_FILE, RunFolder
from storage.sides import read_side

CONTROL, PROBE = "control", "probe."
"""Sides that follow from a run's settings, by name, or by the beginning of their names."""

FREE_SETTINGS = (
    "shard_retries",
    "generate.max_num_seqs",
    "verify.sandbox_slots",
    "score.max_tokens_per_pass",
    "score.chunk_positions",
    "train.max_tokens_per_pass",
    "train.keep_trainer_states",
    "train.max_staleness",
    "evaluate.when",
    "evaluate.bootstrap_samples",
)
"""Settings that change no shard's content, so that a run may continue with other ones: no key holds them.

But for `choices`, which hold `evaluate.bootstrap_samples`: see `free_settings`.
"""


def free_settings(settings: Settings) -> tuple[str, ...]:
    """FREE_SETTINGS of a run with these settings: where a probe chooses its contexts, the choice holds intervals."""
    probes = isinstance(settings.condition.variant, AutoVariant)
    return tuple(name for name in FREE_SETTINGS if not (probes and name == "evaluate.bootstrap_samples"))


def settings_of(folder: RunFolder, tree: dict[str, Any] | None = None) -> Settings:
    """The settings of a run folder, or others that it keeps. Raises StorageError if this version doesn't know them."""
    try:
        return parse_settings(tree or folder.document["settings"], source=str(folder.path / RUN_FILE))
    except InputError as error:
        raise StorageError(f"{error}; restore the file, or use the version of mopd that made the run") from error


def open_at(path: Path, round: int, side: str = "") -> RunFolder:
    """The run with the settings that `round` is made by: in a fork maybe an ancestor's; of a side, its own.

    Raises StorageError for a side that isn't there.
    """
    folder = RunFolder.open(path)
    earlier = folder.lineage.get("earlier", [])
    tree = next((part["settings"] for part in earlier if round < part["below"]), folder.document["settings"])
    return replace(folder, document={**folder.document, "settings": _on_side(folder, tree, side) if side else tree})


def _on_side(folder: RunFolder, tree: dict[str, Any], side: str) -> dict[str, Any]:
    own = derived_side(settings_of(folder, tree), side)
    if own is not None:
        return own.model_dump(mode="json")
    overrides = read_side(folder, side)
    if overrides is None:
        raise StorageError(f"{folder.path}: has no side {side}; mopd condition or mopd score makes one")
    return override_tree(tree, overrides)


def derived_side(settings: Settings, name: str) -> Settings | None:
    """The settings of a side that follows from a run's own: its control, a probe's candidate. None for another."""
    if name == CONTROL:
        return with_condition(settings, control_of(settings.condition))
    variant = settings.condition.variant
    for one in variant.choices() if isinstance(variant, AutoVariant) else ():
        if name == probe_side(one):
            return with_condition(settings, one.condition(settings.condition))
    return None


def probe_side(choice: ContextChoice) -> str:
    """The side on which a run tries a candidate of `condition.variant: auto`."""
    return f"{PROBE}{choice.name}"


def with_condition(settings: Settings, condition: ConditionSettings) -> Settings:
    """Other contexts of the same rollouts: replies are asked for summaries, or not, as they were."""
    ask = settings.generate.ask_for_summary
    asked = instruction_of(settings)
    pinned = "always" if asked and ask == "auto" else ask
    generate = settings.generate.model_copy(update={"ask_for_summary": pinned})
    return settings.model_copy(update={"condition": condition, "generate": generate})


def control_of(condition: ConditionSettings) -> ConditionSettings:
    """Random peers in place of the context's own, as many of them; as many as `contrastive` has where it has none."""
    variant = condition.variant
    imitates = variant.kind if isinstance(variant, PeerVariant) else "contrastive"
    return condition.model_copy(update={"variant": ControlVariant(kind="random_peer", imitates=imitates)})


def stage_settings(table: str, settings: Settings) -> dict[str, Any]:
    """The settings that decide what a stage writes: FREE_SETTINGS are left out."""
    tree = settings.model_dump(mode="json")
    for dotted in FREE_SETTINGS:
        *groups, name = dotted.split(".")
        del reduce(getitem, groups, tree)[name]
    generate = _without(tree["generate"], "num_prompts", "groups", "ask_for_summary")
    instruction = instruction_of(settings)
    precision = tree["model"]["precision"]
    parts: dict[str, dict[str, Any]] = {
        "prompts": {
            "tasks": tree["tasks"],
            "num_prompts": tree["generate"]["num_prompts"],
            "prompts_per_shard": tree["prompts_per_shard"],
        },
        "rollouts": {**generate, "precision": precision, "instruction": instruction},
        "verdicts": tree["verify"],
        "contexts": {**tree["condition"], **_selection(settings)},
        "scores": {
            "support": tree["score"] if needs_support(settings) else None,
            "precision": precision,
            "normalize_advantage_std": tree["train"]["normalize_advantage_std"],
            # An EMA's rate decides the teachers of later rounds, whose keys hold the policy that they came with.
            "teacher": {name: value for name, value in tree["train"]["teacher"].items() if name != "rate"},
            "reference": needs_reference(settings),
        },
        "signals": {},
        "answers": {"generate": generate, "verify": tree["verify"], "precision": precision},
        "choices": {"bootstrap_samples": settings.evaluate.bootstrap_samples},
        "policies": {**tree["train"], "precision": precision},
        "updates": {},
        "evaluations": {
            **tree["evaluate"],
            "generate": generate,
            "verify": tree["verify"],
            "precision": precision,
        },
    }
    return parts[table]


def _selection(settings: Settings) -> dict[str, Any]:
    """What decides, beside the verdicts, which groups have contexts: nothing where all have."""
    generate = settings.generate
    if generate.groups.kind == "all":
        return {}
    return {"groups": generate.groups.kind, "num_prompts": generate.num_prompts}


def _without(tree: dict[str, Any], *names: str) -> dict[str, Any]:
    assert set(names) <= tree.keys(), f"no such settings: {set(names) - tree.keys()}"
    return {name: value for name, value in tree.items() if name not in names}
