"""Whole methods by name: `train.objective: sdpo` stands for the objective and the context that make SDPO."""

from __future__ import annotations

from typing import Any

OBJECTIVE, DISTILL = "train.objective", "distill"

METHODS: dict[str, dict[str, str]] = {
    "mopd": {OBJECTIVE: DISTILL, "condition.variant": "contrastive"},
    "sdpo": {OBJECTIVE: DISTILL, "condition.variant": "success"},
    "opd": {OBJECTIVE: DISTILL, "condition.variant": "none"},
    "grpo": {OBJECTIVE: "grpo"},
    "dpo": {OBJECTIVE: "dpo"},
    "simpo": {OBJECTIVE: "simpo"},
    "sft": {OBJECTIVE: "sft"},
}
"""The settings that a method decides, each with the kind that it takes; what it doesn't name stays as it is set."""


def named_method(tree: dict[str, Any]) -> str | None:
    """The method that a tree of settings names as its objective; None for a kind of objective, or nothing."""
    name = _kind(_get(tree, OBJECTIVE))
    return name if name in METHODS else None


def expand_method(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree with a method's settings in place of its name; the same tree where none is named.

    Raises ValueError for a setting of the tree that is another one than the method's.
    """
    method = named_method(tree)
    if method is None:
        return tree
    for dotted, kind in METHODS[method].items():
        there = _get(tree, dotted)
        if dotted != OBJECTIVE and _kind(there) not in (None, kind):
            raise ValueError(
                f"{OBJECTIVE}: {method} means {dotted}: {kind}, and {dotted} is {_kind(there)}; leave {dotted} out, "
                f"or write {OBJECTIVE}: {METHODS[method][OBJECTIVE]}"
            )
        tree = _put(tree, dotted, {**there, "kind": kind} if isinstance(there, dict) else kind)
    return tree


def yield_to_method(tree: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """A file's tree without what a method named in `given`, which goes before it, decides otherwise."""
    method = named_method(given)
    if method is None:
        return tree
    tree = expand_method(tree)
    for dotted, kind in METHODS[method].items():
        if dotted != OBJECTIVE and _kind(_get(tree, dotted)) != kind:
            tree = _put(tree, dotted, None)
    return tree


def renamed(dotted: str, there: Any, given: Any) -> Any:
    """`given` in place of `there`; an objective of the kind that is there already keeps its settings."""
    if dotted != OBJECTIVE or not isinstance(there, dict) or not isinstance(given, str):
        return given
    return {**there, "kind": given} if _objective(given) == _objective(there.get("kind", DISTILL)) else given


def _objective(name: Any) -> Any:
    return METHODS[name][OBJECTIVE] if name in METHODS else name


def _kind(value: Any) -> Any:
    """A choice's kind, written out or as a bare name."""
    return value.get("kind") if isinstance(value, dict) else value


def _get(tree: dict[str, Any], dotted: str) -> Any:
    group, _, name = dotted.partition(".")
    inner = tree.get(group)
    return inner.get(name) if isinstance(inner, dict) else None


def _put(tree: dict[str, Any], dotted: str, value: Any) -> dict[str, Any]:
    """A copy with that value; without the setting for None."""
    group, _, name = dotted.partition(".")
    there = tree.get(group, {})
    if not isinstance(there, dict):
        return tree  # refused when the tree is validated
    inner = {key: item for key, item in there.items() if key != name}
    return {**tree, group: inner if value is None else {**inner, name: value}}
