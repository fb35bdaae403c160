"""Trees of settings, whose values have dotted names: `train.teacher.rate`."""

from __future__ import annotations

from typing import Any

import yaml

from mopd.errors import InputError
from mopd.settings.base import Frozen

Tree = dict[str, Any]


def get_value(tree: Tree, dotted: str) -> Any:
    """The value of that name; None where there is none."""
    node: Any = tree
    for name in dotted.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return node


def with_value(tree: Tree, dotted: str, value: Any) -> Tree:
    """A copy with that value, for None without it. Where a group on the way is no mapping, nothing is changed."""
    name, _, inner = dotted.partition(".")
    if not inner:
        return {key: item for key, item in tree.items() if key != name} | ({} if value is None else {name: value})
    group = tree.get(name, {})
    return {**tree, name: with_value(group, inner, value)} if isinstance(group, dict) else tree


def set_value(tree: Tree, dotted: str, value: Any, *, source: str = "settings") -> None:
    """Puts a value into the tree; a group on the way that is a choice's name alone becomes that kind.

    Raises InputError, begun by `source`, where a group on the way is a value.
    """
    *groups, leaf = dotted.split(".")
    node = tree
    for name in groups:
        if isinstance(node.get(name), str):
            node[name] = {"kind": node[name]}
        node = node.setdefault(name, {})
        if not isinstance(node, dict):
            raise InputError(f"{source}: {name} is a value, not a group of settings")
    node[leaf] = value


def read_override(override: str) -> tuple[str, Any]:
    """Name and value of `key.subkey=value`, as `--set` takes it. Raises InputError."""
    dotted, equals, text = override.partition("=")
    if not equals or not dotted:
        raise InputError(f"--set {override}: write it as key.subkey=value, e.g. train.learning_rate=1e-5")
    try:
        return dotted, _number(yaml.safe_load(text), text)
    except yaml.YAMLError as error:
        raise InputError(f"--set {override}: {text!r} is not a YAML value") from error


def flatten(settings: Frozen, prefix: str = "") -> Tree:
    """Values by dotted name, as JSON holds them; a choice with its settings counts as one, and so does a mapping whose
    names somebody else decides."""
    flat: Tree = {}
    for name, value in settings.model_dump(mode="json").items():
        part = getattr(settings, name)
        is_group = isinstance(part, Frozen) and "kind" not in value
        flat |= flatten(part, f"{prefix}{name}.") if is_group else {f"{prefix}{name}": value}
    return flat


def differences(before: Frozen, after: Frozen) -> dict[str, tuple[Any, Any]]:
    """Settings that differ, by dotted name, with both values as JSON holds them; counted as `flatten` does."""
    old, new = flatten(before), flatten(after)
    return {name: (old.get(name), value) for name, value in new.items() if name not in old or old[name] != value}


def _number(value: Any, text: str) -> Any:
    """YAML 1.1 reads 1e-5 as text; a user means the number, unless the text has quotes."""
    if isinstance(value, str) and value == text.strip():
        try:
            return float(value)
        except ValueError:
            return value
    return value
