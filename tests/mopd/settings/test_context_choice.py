"""Contexts by name: what is read, what they set, which grids make sense."""

from __future__ import annotations

import pytest

from mopd.errors import InputError
from mopd.settings import parse_settings
from mopd.settings.condition import AutoVariant, ConditionSettings
from mopd.settings.context_choice import ContextChoice, choice_grid, read_choice
from mopd.settings.variants import ControlVariant, PeerVariant, ReferenceVariant, SummaryVariant


@pytest.mark.parametrize(
    ("text", "choice", "name"),
    [
        ("none", None, "none"),
        ("success", ContextChoice(PeerVariant(kind="success")), "success"),
        ("reference/turns", ContextChoice(ReferenceVariant(kind="reference"), "turns"), "reference-turns"),
        ("success/turns", ContextChoice(PeerVariant(kind="success"), "turns"), "success-turns"),
        ("contrastive/turns/first", ContextChoice(PeerVariant(), "turns", "first"), "contrastive-turns-first"),
        ("contrastive//last", ContextChoice(PeerVariant(), None, "last"), "contrastive-last"),
        (
            "{kind: summary, num_summaries: 2}/turns",
            ContextChoice(SummaryVariant(kind="summary", num_summaries=2), "turns"),
            "summary-num_summaries.2-turns",
        ),
    ],
)
def test_a_choice_is_read_named_and_written_again(text: str, choice: ContextChoice | None, name: str) -> None:
    found = read_choice(text)
    assert choice is None or found == choice
    assert found.name == name
    assert read_choice(found.text) == found


def test_long_names_are_cut_and_stay_apart() -> None:
    tree = "{{kind: random_peer, imitates: {}, match: tokens}}/sections"
    names = [read_choice(tree.format(imitates)).name for imitates in ("positive", "success")]
    assert len(set(names)) == 2
    assert all(len(name) <= 32 and name.startswith("random_peer-imitates") for name in names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("best", "'best' is unknown; choose one of contrastive, failure"),
        ("auto", "'auto' is unknown"),
        ("success/left", "'left' is none of sections, turns; write it as VARIANT"),
        ("success/turns/middle", "'middle' is none of last, first"),
        ("a/b/c/d", "write it as VARIANT, VARIANT/RENDERING or"),
        ("", "write it as VARIANT"),
        ("success/turns/first", "shows no failed peer beside successful ones, so it has no order; leave first out"),
        ("{kind: summary, size: 2}", "size: Extra inputs are not permitted"),
        ("{kind: [}", "is not a YAML mapping"),
    ],
)
def test_nonsense_is_refused_with_the_form(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_choice(text)
    assert "\n" not in str(caught.value)


def test_a_choice_changes_what_it_names_alone() -> None:
    base = ConditionSettings(rendering="turns", failure_position="first", max_context_tokens=99)
    same = read_choice("positive").condition(base)
    assert same == base.model_copy(update={"variant": PeerVariant(kind="positive")})
    assert read_choice("contrastive/sections/last").condition(base).rendering == "sections"


def test_earlier_rounds_are_not_looked_for_where_no_success_is_shown() -> None:
    base = ConditionSettings(history_rounds=2)
    assert read_choice("none").condition(base).history_rounds == 0
    assert read_choice("success").condition(base).history_rounds == 2


def test_a_grid_has_only_what_makes_a_difference() -> None:
    texts = ("none", "feedback", "summary", "failure", "contrastive", "random_peer/turns")
    names = [one.name for one in choice_grid(texts, ("sections", "turns"), ("last", "first"))]
    assert names == [
        *("none", "feedback", "summary", "failure-sections", "failure-turns"),
        *("contrastive-sections-last", "contrastive-sections-first"),
        *("contrastive-turns-last", "contrastive-turns-first", "random_peer-turns"),
    ]
    assert [one.name for one in choice_grid(("contrastive",), (), ("first",))] == ["contrastive-first"]
    with pytest.raises(ValueError, match="none stands there twice; leave one out"):
        choice_grid(("none", "none"), (), ())
    with pytest.raises(ValueError, match="'middle' is none of last, first"):
        choice_grid(("none",), (), ("middle",))  # type: ignore[arg-type]


def test_auto_reads_its_candidates_when_settings_are_made() -> None:
    variant = parse_settings({"condition": {"variant": "auto"}}).condition.variant
    assert isinstance(variant, AutoVariant)
    assert [one.name for one in variant.choices()] == ["none", "success", "positive", "contrastive"]
    assert not variant.shows_summaries
    for candidates, message in (
        (["none"], "at least 2 items"),
        (["none", "nope"], "'nope' is unknown"),
        (["none", "none"], "none stands there twice"),
    ):
        with pytest.raises(InputError, match=message):
            parse_settings({"condition": {"variant": {"kind": "auto", "candidates": candidates}}})


def test_controls_keep_what_they_imitate() -> None:
    found = read_choice("{kind: random_peer, imitates: positive}")
    assert found.variant == ControlVariant(kind="random_peer", imitates="positive")
    assert found.overrides == ['condition.variant={"kind": "random_peer", "imitates": "positive"}']
