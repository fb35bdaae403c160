"""Whole methods by name: what they set, what they leave alone, what contradicts them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mopd.errors import InputError
from mopd.settings import Settings, load_settings, override_tree, parse_settings
from mopd.settings.methods import METHODS, expand_method

CONTRADICTION = "train.objective: sdpo means condition.variant: success, and condition.variant is contrastive; leave"


def resolved(tree: dict[str, Any], *overrides: str) -> tuple[str, str, float | None]:
    """Kind of the objective, of the variant, and alpha where there is one."""
    settings = parse_settings(override_tree(tree, list(overrides)))
    objective = settings.train.objective
    return objective.kind, settings.condition.variant.kind, getattr(objective, "alpha", None)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_made_of_settings(name: str) -> None:
    kind, variant, _ = resolved({"train": {"objective": name}})
    assert METHODS[name]["train.objective"] == kind
    assert METHODS[name].get("condition.variant", "contrastive") == variant
    teacher = parse_settings({"train": {"objective": name}}).train.teacher
    assert METHODS[name].get("train.teacher", "ema") == teacher.kind


@pytest.mark.parametrize(
    ("tree", "overrides", "expected"),
    [
        ({"train": {"objective": {"kind": "opd", "alpha": 0.3}}}, (), ("distill", "none", 0.3)),
        ({"train": {"objective": "sdpo"}, "condition": {"variant": "success"}}, (), ("distill", "success", 0.5)),
        # an override goes before the file, and keeps what the file says of an objective of its kind
        ({"condition": {"variant": "contrastive"}}, ("train.objective=sdpo",), ("distill", "success", 0.5)),
        ({"train": {"objective": {"alpha": 0.3}}}, ("train.objective=sdpo",), ("distill", "success", 0.3)),
        ({"train": {"objective": {"alpha": 0.3}}}, ("train.objective=grpo",), ("grpo", "contrastive", None)),
        ({"train": {"objective": "opd"}}, ("train.objective=mopd",), ("distill", "contrastive", 0.5)),
        ({"train": {"objective": "opd"}}, ("train.objective=grpo",), ("grpo", "none", None)),
        ({"train": {"teacher": "ema"}}, ("train.objective=opsd",), ("distill", "reference", 0.5)),
        ({}, ("train.objective=sdpo", "train.objective.alpha=1.0"), ("distill", "success", 1.0)),
        ({}, ("train.objective.alpha=1.0", "train.objective=sdpo"), ("distill", "success", 1.0)),
        # kinds alone decide nothing else
        ({"condition": {"variant": "positive"}}, ("train.objective=distill",), ("distill", "positive", 0.5)),
    ],
)
def test_what_is_said_last_counts(
    tree: dict[str, Any], overrides: tuple[str, ...], expected: tuple[str, str, float | None]
) -> None:
    assert resolved(tree, *overrides) == expected


@pytest.mark.parametrize(
    ("tree", "overrides"),
    [
        ({"train": {"objective": "sdpo"}, "condition": {"variant": "contrastive"}}, ()),
        ({"train": {"objective": "sdpo"}, "condition": {"variant": {"kind": "contrastive"}}}, ()),
        ({"train": {"objective": "sdpo"}}, ("condition.variant=contrastive",)),
        ({}, ("condition.variant=contrastive", "train.objective=sdpo")),
    ],
)
def test_a_contradiction_is_refused_with_the_reason(tree: dict[str, Any], overrides: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as refused:
        resolved(tree, *overrides)
    assert CONTRADICTION in str(refused.value)


def test_a_file_that_contradicts_itself_is_refused_under_another_method_too() -> None:
    with pytest.raises(InputError) as refused:
        resolved({"train": {"objective": "sdpo"}, "condition": {"variant": "contrastive"}}, "train.objective=opd")
    assert CONTRADICTION in str(refused.value)


def test_what_is_no_mapping_is_left_to_validation() -> None:
    with pytest.raises(InputError, match="condition: Input should be a valid dictionary"):
        resolved({"train": {"objective": "mopd"}, "condition": 3})
    with pytest.raises(InputError, match=r"train\.objective: "):
        resolved({}, "train.objective=[1]")


def test_trees_are_not_changed(tmp_path: Path) -> None:
    tree = {"train": {"objective": {"kind": "sdpo", "alpha": 0.3}}, "condition": {"rendering": "turns"}}
    expand_method(tree)
    override_tree(tree, ["train.objective=mopd", "condition.rendering=sections"])
    assert tree == {"train": {"objective": {"kind": "sdpo", "alpha": 0.3}}, "condition": {"rendering": "turns"}}


def test_resolved_settings_read_back_equal(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("train: {objective: sdpo}")
    settings = load_settings(tmp_path / "config.yaml")
    assert Settings.model_validate(settings.model_dump(mode="json")) == settings
