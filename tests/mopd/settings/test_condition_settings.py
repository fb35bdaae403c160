"""Contexts in the settings: a name or a mapping, each kind with its own values, the impossible refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mopd.errors import InputError
from mopd.settings import load_settings


def variant_of(folder: Path, *overrides: str, text: str = "condition: {variant: contrastive}\n") -> dict[str, Any]:
    path = folder / "config.yaml"
    path.write_text(text)
    return load_settings(path, list(overrides)).condition.variant.model_dump()


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ((), {"kind": "contrastive", "feedback": "never"}),
        (("condition.variant=positive",), {"kind": "positive", "feedback": "never"}),
        (("condition.variant.feedback=always",), {"kind": "contrastive", "feedback": "always"}),
        (("condition.variant=none",), {"kind": "none", "feedback": "never"}),
        (("condition.variant=feedback",), {"kind": "feedback", "when": "always"}),
        (
            ("condition.variant.kind=summary", "condition.variant.num_summaries=2"),
            {"kind": "summary", "num_summaries": 2, "source": "all"},
        ),
        (
            ("condition.variant={kind: random_peer, match: tokens}",),
            {"kind": "random_peer", "imitates": "contrastive", "match": "tokens"},
        ),
    ],
)
def test_a_context_is_a_name_or_a_mapping(tmp_path: Path, overrides: tuple[str, ...], expected: dict[str, Any]) -> None:
    assert variant_of(tmp_path, *overrides) == expected


def test_without_a_kind_it_is_the_papers(tmp_path: Path) -> None:
    text = "condition: {variant: {feedback: always}}\n"
    assert variant_of(tmp_path, text=text) == {"kind": "contrastive", "feedback": "always"}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["condition.variant=best"], "condition.variant: 'best' is unknown; choose one of auto, contrastive, failure"),
        (["condition.variant=3"], r"condition.variant: choose one of .*, or give its settings \(got 3\)"),
        (["condition.variant.when=always"], "condition.variant.when: no such setting of kind contrastive"),
        (["condition.variant={kind: none, feedback: always}"], "condition.variant.feedback: Input should be 'never'"),
        (["condition.variant={kind: summary, num_summaries: 0}"], "condition.variant.num_summaries: .*equal to 1"),
        (
            ["condition.variant={kind: success_only, imitates: positive}"],
            "condition.variant: success_only fills the slot of a failed peer, and positive has none",
        ),
        (["condition.variant=failure", "condition.history_rounds=1"], "variant failure shows no successes"),
        (["condition.history_rounds=1", "generate.groups=mixed"], "condition.history_rounds: .*mixed leaves those out"),
        (["condition.variant=unrelated_prompt", "prompts_per_shard=1"], "unrelated_prompt .*a shard has one prompt"),
        (["condition.variant=summary", "generate.num_samples=1"], "generate.num_samples: 1 leaves no peers"),
    ],
)
def test_the_impossible_is_refused_with_the_reason(tmp_path: Path, overrides: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        variant_of(tmp_path, *overrides)
    assert "\n" not in str(caught.value)


def test_feedback_alone_needs_no_peers(tmp_path: Path) -> None:
    assert variant_of(tmp_path, "condition.variant=feedback", "generate.num_samples=1")["kind"] == "feedback"
