"""Scores against verdicts: the golden numbers, and each promise on groups that can be reckoned by hand."""

from __future__ import annotations

import json
import math
import os
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score

from mopd.condition import condition
from mopd.errors import InputError
from mopd.measures.signal_metrics import METRICS, brier_sigmoid, success_auc
from mopd.measures.signals import ROW_POPULATIONS, SECTIONS_ASKED, has_all_sections, signal_rows
from mopd.settings.condition import ConditionSettings, VariantSettings
from mopd.settings.variants import ControlVariant, FeedbackVariant, NoPeers, PeerVariant, SummaryVariant
from tests.mopd.measures.signal_samples import Row, Tables, group, joined
from tests.mopd.test_condition import TEMPLATE, tables

GOLDEN = Path(os.environ.get("MOPD_GOLDEN", Path(__file__).parents[3] / "../shared/golden")) / "signal_metrics.json"
NAMES = {
    "spearman": "spearman",
    "kendall_tau": "goodman_kruskal_gamma",
    "pairwise_accuracy": "pairwise_accuracy",
    "success_auc": "success_auc",
    "success_point_biserial": "point_biserial",
    "success_brier_sigmoid": "brier_sigmoid",
    "success_brier_minmax": "brier_minmax",
    "top1_hit_rate": "top1_hit_rate",
}
"""The file's names, and ours."""
COLUMNS = [
    *("run", "round", "prompt_id", "population", "variant", "teacher", "teacher_version"),
    *("num_rollouts", "num_scored", "num_successes", "success_share"),
    *("spearman", "kendall_tau_b", "goodman_kruskal_gamma", "pairwise_accuracy", "success_auc", "point_biserial"),
    *("brier_sigmoid", "brier_minmax", "top1_hit_rate", "gain_auc", "length_auc", "length_spearman"),
    *("context_tokens", "response_tokens", "cut_share", "sections_share", "undefined"),
]
NOTHING = NoPeers(kind="none")
MARKS = {True: "+", False: "-"}


@pytest.fixture(autouse=True)
def no_warnings() -> Any:
    """A metric that isn't defined is not left to a library's warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def row_of(found: list[Row], population: str = "all") -> Row:
    (row,) = [row for row in found if row["population"] == population]
    return row


def measured(outcomes: str, scores: list[float | None], **more: Any) -> Row:
    """The row of all rollouts of one group."""
    return row_of(signal_rows(*group(outcomes, scores, **more), NOTHING))


def golden_groups(rows: list[Row]) -> Tables:
    by_prompt = defaultdict(list)
    for row in rows:
        by_prompt[row["prompt_id"]].append(row)
    groups = [
        group(
            "".join(MARKS[row["success"]] for row in members),
            [row["teacher_score"] for row in members],
            rewards=[row["reward"] for row in members],
            prompt_id=prompt_id,
        )
        for prompt_id, members in by_prompt.items()
    ]
    return joined(*groups)


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"no golden numbers: {GOLDEN} is absent (set MOPD_GOLDEN)")
def test_golden_metrics() -> None:
    """The file has 0 where nothing is defined, and enters it into its means."""
    golden = json.loads(GOLDEN.read_text())
    for name, expected in golden["per_prompt"].items():
        found = signal_rows(*golden_groups([row for row in golden["rows"] if row["condition"] == name]), NOTHING)
        ours = {row["prompt_id"]: row for row in found if row["population"] == "all"}
        assert list(ours) == [row["prompt_id"] for row in expected]
        for row in expected:
            for theirs, mine in NAMES.items():
                value = ours[row["prompt_id"]][mine]
                assert row[theirs] == (0.0 if value is None else pytest.approx(value, abs=1e-9)), (row, mine)
        for theirs, mine in NAMES.items():
            mean = np.mean([row[mine] or 0.0 for row in ours.values()])
            assert golden["mean"][name][theirs] == pytest.approx(mean, abs=1e-9)
        undefined = [row for row in ours.values() if row["success_auc"] is None]
        assert len(undefined) > 0 and all("one outcome" in row["undefined"] for row in undefined)


def test_a_row_has_its_columns_in_order_and_says_where_it_is_from() -> None:
    found = signal_rows(*group("+-", [-1.0, -2.0]), PeerVariant(kind="positive"))
    assert [list(row) for row in found] == [COLUMNS, COLUMNS]
    assert tuple(row["population"] for row in found) == ROW_POPULATIONS
    assert list(METRICS) == COLUMNS[11:23]
    expected = {"run": "r", "round": 3, "prompt_id": "p", "variant": "positive", "teacher": "ema", "teacher_version": 3}
    assert all(row[key] == value for row in found for key, value in expected.items())


def test_a_teacher_that_sees_what_the_verifier_sees() -> None:
    row = measured("++--", [-0.5, -1.0, -1.5, -2.0], rewards=[1.0, 1.0, 0.5, 0.0])
    assert (row["num_rollouts"], row["num_scored"], row["num_successes"], row["success_share"]) == (4, 4, 2, 0.5)
    assert (row["success_auc"], row["pairwise_accuracy"], row["top1_hit_rate"]) == (1.0, 1.0, 1.0)
    assert row["goodman_kruskal_gamma"] == 1.0
    assert row["kendall_tau_b"] == pytest.approx(5 / math.sqrt(6 * 5))  # five of six pairs differ in reward
    assert row["point_biserial"] == pytest.approx(2 / math.sqrt(5))
    assert row["brier_minmax"] == pytest.approx((0 + (1 / 3) ** 2 + (1 / 3) ** 2 + 0) / 4)
    half = 1 / (1 + math.exp(2.0))
    assert measured("+-", [0.0, -2.0])["brier_sigmoid"] == pytest.approx((0.25 + half**2) / 2)
    assert row["undefined"] == "equal lengths"


def test_ties_of_scores_count_half_in_the_auc_nothing_in_gamma_and_as_wrong_in_pairs() -> None:
    row = measured("++-", [-1.0, -2.0, -1.0])
    assert row["success_auc"] == 0.25  # one tie, one lost, of two
    assert row["goodman_kruskal_gamma"] == -1.0
    assert row["pairwise_accuracy"] == 0.0
    assert row["kendall_tau_b"] == pytest.approx(-1 / math.sqrt(2 * 2))
    assert row["top1_hit_rate"] == 0.5  # of the two on top, one is right


def test_one_outcome_has_no_auc_but_unequal_rewards_have_an_order() -> None:
    row = measured("---", [-1.0, -2.0, -3.0], rewards=[0.5, 0.25, 0.0], lengths=[1, 2, 4])
    assert [row[name] for name in ("success_auc", "gain_auc", "length_auc", "point_biserial")] == [None] * 4
    assert (row["pairwise_accuracy"], row["spearman"], row["undefined"]) == (1.0, pytest.approx(1.0), "one outcome")


def test_one_reward_has_no_order() -> None:
    row = measured("++", [-1.0, -2.0], lengths=[1, 2])
    for name in ("spearman", "kendall_tau_b", "goodman_kruskal_gamma", "pairwise_accuracy", "success_auc"):
        assert row[name] is None
    assert (row["top1_hit_rate"], row["brier_minmax"]) == (1.0, 0.5)
    assert row["undefined"] == "one outcome; one reward"


def test_equal_scores_tell_nothing() -> None:
    row = measured("+-+", [-1.0] * 3, lengths=[1, 2, 3])
    assert (row["success_auc"], row["pairwise_accuracy"], row["top1_hit_rate"]) == (0.5, 0.0, pytest.approx(2 / 3))
    for name in ("spearman", "kendall_tau_b", "goodman_kruskal_gamma", "point_biserial", "brier_minmax"):
        assert row[name] is None
    assert (row["length_spearman"], row["undefined"]) == (None, "equal scores")


def test_an_empty_reply_is_not_the_best_one() -> None:
    """It has no mean log-probability; 0 would beat every reply."""
    with_empty = measured("+--", [-1.0, -2.0, None])
    without = measured("+-", [-1.0, -2.0])
    assert {name: with_empty[name] for name in METRICS} == {name: without[name] for name in METRICS}
    assert (with_empty["num_rollouts"], with_empty["num_scored"]) == (3, 2)
    assert with_empty["success_share"] == pytest.approx(1 / 3)
    assert with_empty["response_tokens"] == pytest.approx(4 / 3)


def test_a_crashed_verifier_is_no_failure() -> None:
    crashed = measured("+-?", [-1.0, -2.0, -0.5])
    assert (crashed["success_auc"], crashed["num_scored"], crashed["success_share"]) == (1.0, 2, 0.5)
    nothing = measured("??", [-1.0, -2.0])
    assert (nothing["num_scored"], nothing["num_successes"], nothing["success_share"]) == (0, 0, None)
    assert nothing["context_tokens"] == 10.5


@pytest.mark.parametrize(("outcomes", "scores"), [("+", [-1.0]), ("+-", [-1.0, None]), ("+?", [-1.0, -2.0])])
def test_fewer_than_two_scored_rollouts_have_no_metric(outcomes: str, scores: list[float | None]) -> None:
    row = measured(outcomes, scores)
    assert [row[name] for name in METRICS] == [None] * len(METRICS)
    assert (row["num_scored"], row["undefined"]) == (1, "fewer than two scored rollouts")


def test_gain_auc_is_of_what_training_pushes_towards() -> None:
    """The teacher likes the failure better, but less so than the policy does."""
    row = measured("+-", [-2.0, -1.0], policy=[-3.0, -0.5])
    assert (row["success_auc"], row["gain_auc"]) == (0.0, 1.0)


def test_length_auc_is_that_of_shortness_alone() -> None:
    row = measured("++--", [-4.0, -3.0, -2.0, -1.0], lengths=[1, 3, 2, 9])
    assert row["length_auc"] == 0.75
    assert row["length_spearman"] == pytest.approx(0.8)
    assert row["response_tokens"] == 15 / 4


def test_a_score_that_follows_length_alone_has_the_auc_of_length() -> None:
    """The policy's own score has it too, so that nothing is left of it in the gain."""
    lengths = [3, 5, 9, 8, 12, 20]
    scores: list[float | None] = [-0.1 * length for length in lengths]
    row = measured("+++---", scores, lengths=lengths, policy=[-0.1 * length for length in lengths])
    assert row["success_auc"] == row["length_auc"] == pytest.approx(8 / 9)
    assert (row["length_spearman"], row["gain_auc"]) == (pytest.approx(-1.0), 0.5)


def test_sections_are_of_the_rollouts_that_were_shown_all_of_them() -> None:
    tables = group("+-+-+", [-1.0, -2.0, -3.0, -4.0, -0.5], roles=["fsw", "fsw", "fs", "fsw", ""])
    found = signal_rows(*tables, PeerVariant(kind="contrastive"))
    whole, part = row_of(found), row_of(found, "sections")
    assert (whole["num_scored"], part["num_scored"], part["num_successes"]) == (5, 3, 1)
    assert (whole["success_auc"], part["success_auc"]) == (pytest.approx(5 / 6), 1.0)
    assert whole["sections_share"] == part["sections_share"] == 0.6
    assert whole["success_share"] == part["success_share"] == 0.6
    assert (whole["context_tokens"], part["context_tokens"]) == (12.0, pytest.approx((10 + 11 + 13) / 3))


def test_a_group_without_the_sections_has_a_row_that_says_so() -> None:
    row = row_of(signal_rows(*group("+-", [-1.0, -2.0]), PeerVariant(kind="failure")), "sections")
    assert (row["num_rollouts"], row["num_scored"], row["sections_share"]) == (2, 0, 0.0)
    absent = [*METRICS, "context_tokens", "response_tokens", "cut_share"]
    assert [row[name] for name in absent] == [None] * len(absent)
    assert row["undefined"] == "no rollout with the sections"


def test_contexts_over_budget_are_counted() -> None:
    verdicts, contexts, scores = group("+--", [-1.0, -2.0, -3.0], roles=["f", "f", ""])
    contexts[2]["truncated"] = True
    found = signal_rows(verdicts, contexts, scores, PeerVariant(kind="success"))
    assert (row_of(found)["cut_share"], row_of(found, "sections")["cut_share"]) == (pytest.approx(1 / 3), 0.0)


def test_groups_without_contexts_have_no_row() -> None:
    verdicts, contexts, scores = joined(*(group("+-", [-1.0, -2.0], prompt_id=name) for name in "abc"))
    chosen = [[row for row in table if row["prompt_id"] != "b"] for table in (contexts, scores)]
    found = signal_rows(verdicts, *chosen, NOTHING)
    assert [row["prompt_id"] for row in found] == ["a", "a", "c", "c"]


def test_a_group_that_is_not_whole_is_our_own_mistake() -> None:
    verdicts, contexts, scores = group("+-+", [-1.0, -2.0, -3.0])
    with pytest.raises(AssertionError, match="prompt p is not whole"):
        signal_rows(verdicts, contexts[:2], scores, NOTHING)
    with pytest.raises(AssertionError, match="prompt p is not whole"):
        signal_rows(verdicts, contexts, scores[:2], NOTHING)


@pytest.mark.parametrize("score", [math.nan, -math.inf])
def test_a_score_that_is_no_number_is_refused(score: float) -> None:
    with pytest.raises(InputError, match=r"prompt p, sample 1: mean_teacher_logprob (nan|-inf)"):
        measured("+-", [-1.0, score])


def shown(variant: VariantSettings, outcomes: str = "++--", **settings: Any) -> list[bool]:
    """Of each rollout of a group, whether the context that is made for it has all sections."""
    prompts, rollouts, verdicts = tables(outcomes)
    others = tables("++++", prompt_id="q")
    for verdict in verdicts[1:]:
        verdict["feedback"] = "look again"
    rows = condition(
        prompts + others[0],
        rollouts + others[1],
        verdicts + others[2],
        ConditionSettings(variant=variant, **settings),
        TEMPLATE,
        run_seed=0,
    )
    return [has_all_sections(row, variant) for row in rows if row["prompt_id"] == "p"]


@pytest.mark.parametrize(
    ("variant", "complete"),
    [
        (NOTHING, [True, True, True, True]),
        (PeerVariant(kind="success"), [True, True, True, True]),
        (PeerVariant(kind="positive"), [False, False, True, True]),  # the two that succeeded have one peer that did
        (PeerVariant(kind="contrastive"), [False, False, True, True]),
        (PeerVariant(kind="failure"), [True, True, True, True]),
        (PeerVariant(kind="success", feedback="always"), [False, True, True, True]),
        (PeerVariant(kind="positive", feedback="when_no_success"), [False, False, True, True]),
        (FeedbackVariant(kind="feedback"), [False, True, True, True]),
        (FeedbackVariant(kind="feedback", when="when_no_success"), [False, False, False, False]),
        (SummaryVariant(kind="summary"), [True, True, True, True]),
        (SummaryVariant(kind="summary", source="failure", num_summaries=2), [True, True, True, True]),
        (ControlVariant(kind="random_peer"), [False, False, True, True]),
        (ControlVariant(kind="unrelated_prompt", imitates="success"), [True, True, True, True]),
        (ControlVariant(kind="score_ordered", imitates="positive"), [False, False, True, True]),
        (ControlVariant(kind="success_only", imitates="failure"), [True, True, True, True]),
        (ControlVariant(kind="random_peer", imitates="success", match="tokens"), [True, True, True, True]),
    ],
    ids=lambda value: value.kind if hasattr(value, "kind") else "",
)
def test_complete_contexts_by_variant(variant: VariantSettings, complete: list[bool]) -> None:
    assert shown(variant) == complete


@pytest.mark.parametrize(
    ("variant", "outcomes"),
    [
        (PeerVariant(kind="success"), "----"),
        (PeerVariant(kind="contrastive"), "++++"),
        (PeerVariant(kind="failure"), "++++"),
        (SummaryVariant(kind="summary", source="success"), "----"),
        (ControlVariant(kind="random_peer", imitates="failure"), "++++"),
    ],
)
def test_what_a_group_does_not_have_is_not_shown(variant: VariantSettings, outcomes: str) -> None:
    assert shown(variant, outcomes) == [False] * 4


def test_a_section_that_was_dropped_over_budget_is_missing() -> None:
    variant = PeerVariant(kind="contrastive")
    assert shown(variant, "+++--") == [True] * 5
    assert shown(variant, "+++--", max_context_tokens=200) == [False] * 5


def test_a_cut_peer_counts() -> None:
    peers = [{"role": "peer", "cut": False}, {"role": "peer", "cut": True}]
    variant = ControlVariant(kind="random_peer", imitates="positive", match="tokens")
    assert has_all_sections({"peers": peers}, variant)
    assert not has_all_sections({"peers": peers[1:]}, variant)


def test_every_peer_variant_says_what_it_asks_for() -> None:
    from mopd.contexts.peers import VARIANTS

    assert set(SECTIONS_ASKED) == set(VARIANTS)


@given(st.lists(st.tuples(st.booleans(), st.integers(-12, 0)), min_size=2, max_size=9))
def test_areas_and_brier_scores_are_those_of_scikit_learn(group: list[tuple[bool, int]]) -> None:
    successes_N, scores_N = np.array([one[0] for one in group]), np.array([one[1] / 4 for one in group])
    auc = success_auc(scores_N, successes_N)
    assert auc is None if len(set(successes_N)) == 1 else auc == pytest.approx(roc_auc_score(successes_N, scores_N))
    brier = brier_score_loss(successes_N, 1 / (1 + np.exp(-scores_N)), pos_label=True)
    assert brier_sigmoid(scores_N, successes_N) == pytest.approx(brier)


def test_metrics_do_not_depend_on_the_order_of_rows() -> None:
    verdicts, contexts, scores = group("+-+-", [-1.0, -2.0, -3.0, -4.0], roles=["f", "f", "", "f"])
    variant = PeerVariant(kind="success")
    forth = signal_rows(verdicts, contexts, scores, variant)
    assert signal_rows(verdicts[::-1], contexts[::-1], scores[::-1], variant) == forth
