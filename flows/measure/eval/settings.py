"""Which settings an evaluation has: those of sampling, verdicts and place, kept as a part of the settings of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flows.plan.conditions import settings_of
from mopd.errors import InputError
from mopd.settings import Settings, override_tree, parse_settings
from mopd.settings.sampling import SAMPLING
from mopd.settings.tree import get_value, set_value
from storage.runs import RunFolder

K, GREEDY = "evaluate.num_samples", "evaluate.temperature"
KEPT = (  # temperature 0, which generation does not know, is kept as evaluation's
    *("seed", "prompts_per_shard", "shard_retries", "model.precision", "model.allow_pickled_weights"),
    *("model.chat_template", "model.chat_template_kwargs", "model.system_prompt"),
    *(f"generate.{name}" for name in SAMPLING),
    *(f"generate.{name}" for name in ("engine", "max_prompt_tokens", "max_num_seqs", "engine_arguments")),
    *("verify", "place", K, GREEDY, "evaluate.bootstrap_samples"),
)
GROUPS = ("verify", "place")
"""Of KEPT, those that are kept whole."""
NO_CONTEXT = {"condition": {"variant": "none", "max_context_tokens": 2**31 - 1}}
"""What a whole tree of settings needs besides, so that contexts, which there are none of, set no bound."""


def eval_settings(base: Settings, overrides: Sequence[str], k: int) -> Settings:
    """The settings of `base`, with k samples a prompt and `key=value` overrides.

    Sampling is that of the base's evaluation. Raises InputError for settings that decide nothing here.
    """
    if k < 1:
        raise InputError(f"-k {k}: give a number of samples of at least 1")
    for override in overrides:
        _check_kept(override.partition("=")[0])
    tree = kept_settings(base)
    sampling = base.evaluation_sampling.model_dump(mode="json")
    tree["generate"] |= {name: sampling[name] for name in SAMPLING}
    tree["evaluate"] |= {"num_samples": k, "temperature": None}
    tree = override_tree(tree, list(overrides))
    if tree["generate"]["temperature"] == 0:
        tree["generate"]["temperature"], tree["evaluate"]["temperature"] = base.generate.temperature, 0
    return parse_settings({**tree, **NO_CONTEXT}, source="--set")


def kept_settings(settings: Settings) -> dict[str, Any]:
    """What `run.json` keeps: the tree with KEPT alone."""
    values = settings.model_dump(mode="json")
    tree: dict[str, Any] = {}
    for dotted in KEPT:
        set_value(tree, dotted, get_value(values, dotted))
    return tree


def kept_settings_of(folder: RunFolder) -> Settings:
    """The settings of an evaluation's folder. Raises StorageError if this version doesn't know them."""
    return settings_of(folder, {**folder.document["settings"], **NO_CONTEXT})


def _check_kept(key: str) -> None:
    if key == K:
        raise InputError(f"--set {key}: is what -k says; leave one of the two out")
    if not any(key == kept or key.startswith(f"{kept}.") for kept in KEPT):
        names = ", ".join(f"{kept}.*" if kept in GROUPS else kept for kept in KEPT if kept != K)
        raise InputError(f"--set {key}: decides nothing of an evaluation; there are {names}")
