"""Whole methods by name: `train.objective: sdpo` stands for the objective and the context that make SDPO."""

from __future__ import annotations

from typing import Any

from mopd.errors import InputError
from mopd.settings.tree import Tree, get_value, with_value

OBJECTIVE, DISTILL = "train.objective", "distill"

METHODS: dict[str, dict[str, str]] = {
    "mopd": {OBJECTIVE: DISTILL, "condition.variant": "contrastive"},
    "sdpo": {OBJECTIVE: DISTILL, "condition.variant": "success"},
    "opd": {OBJECTIVE: DISTILL, "condition.variant": "none"},
    "opsd": {OBJECTIVE: DISTILL, "condition.variant": "reference", "train.teacher": "frozen"},  # arXiv 2601.18734
    "sdft": {OBJECTIVE: DISTILL, "condition.variant": "reference", "train.teacher": "ema"},  # arXiv 2601.19897
    "grpo": {OBJECTIVE: "grpo"},
    "dpo": {OBJECTIVE: "dpo"},
    "simpo": {OBJECTIVE: "simpo"},
    "sft": {OBJECTIVE: "sft"},
}
"""The settings that a method decides, each with the kind that it takes; what it doesn't name stays as it is set."""


def named_method(tree: Tree) -> str | None:
    """The method that a tree of settings names as its objective; None for a kind of objective, or nothing."""
    name = _kind(get_value(tree, OBJECTIVE))
    return name if isinstance(name, str) and name in METHODS else None


def expand_method(tree: Tree) -> Tree:
    """The tree with a method's settings in place of its name; the same tree where none is named.

    Raises InputError for a setting of the tree that is another one than the method's.
    """
    method = named_method(tree)
    if method is None:
        return tree
    for dotted, kind in METHODS[method].items():
        value = get_value(tree, dotted)
        if dotted != OBJECTIVE and _kind(value) not in (None, kind):
            raise InputError(
                f"{OBJECTIVE}: {method} means {dotted}: {kind}, and {dotted} is {_kind(value)}; leave {dotted} out, "
                f"or write {OBJECTIVE}: {METHODS[method][OBJECTIVE]}"
            )
        tree = with_value(tree, dotted, {**value, "kind": kind} if isinstance(value, dict) else kind)
    return tree


def yield_to_method(tree: Tree, overrides: Tree) -> Tree:
    """A file's tree without what a method named in `overrides`, which goes before it, decides otherwise."""
    method = named_method(overrides)
    if method is None:
        return tree
    tree = expand_method(tree)
    for dotted, kind in METHODS[method].items():
        if dotted != OBJECTIVE and _kind(get_value(tree, dotted)) != kind:
            tree = with_value(tree, dotted, None)
    return tree


def keep_objective(dotted: str, old: Any, new: Any) -> Any:
    """`new` in place of `old`; but an objective of the kind that is there already keeps its settings."""
    if dotted != OBJECTIVE or not isinstance(old, dict) or not isinstance(new, str):
        return new
    return {**old, "kind": new} if _objective(new) == _objective(old.get("kind", DISTILL)) else new


def _objective(name: Any) -> Any:
    return METHODS[name][OBJECTIVE] if name in METHODS else name


def _kind(value: Any) -> Any:
    """A choice's kind, written out or as a bare name."""
    return value.get("kind") if isinstance(value, dict) else value
