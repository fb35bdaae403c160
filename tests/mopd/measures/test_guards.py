"""Each guard on rows made by hand: its number, what it is compared with, and where it is breached."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mopd.evaluate import EvaluationSummary, summarize_evaluation
from mopd.measures.guards import GUARDS, STALENESS, sampled_rows, trained_rows
from mopd.settings import EvaluateSettings, Settings
from mopd.settings.guards import GATES, GuardSettings

Rows = list[dict[str, Any]]
NOTHING: tuple[Rows, Rows] = ([], [])


def settings_of(**guards: Any) -> Settings:
    return Settings.model_validate({"guards": guards})


def evaluation_of(*successes: int) -> EvaluationSummary:
    """Of prompts with four samples each, so many of which succeed."""
    rows = [
        {"prompt_id": f"p{prompt}", "sample": sample, "success": sample < count}
        for prompt, count in enumerate(successes)
        for sample in range(4)
    ]
    return summarize_evaluation(rows, EvaluateSettings(num_samples=4), seed=0)


def round_of(
    *outcomes: list[bool | None], length: int = 4, logprob: float = -0.5, text: str = "a b c d", stale: int = 0
) -> dict[str, Rows]:
    """Rollouts, verdicts and contexts of groups with these outcomes, all replies alike."""
    keys = [
        ({"prompt_id": f"p{prompt}", "sample": sample}, success)
        for prompt, group in enumerate(outcomes)
        for sample, success in enumerate(group)
    ]
    reply = {
        "token_ids": np.zeros(length, np.int32),
        "behavior_logprobs": np.full(length, logprob, np.float32),
        "text": text,
    }
    return {
        "rollouts": [key | reply | {"policy_version": 3 - stale} for key, _ in keys],
        "verdicts": [key | {"success": success} for key, success in keys],
        "contexts": [{"truncated": False} for _ in keys],
    }


def sampled(settings: Settings, tables: dict[str, Rows], before: tuple[Rows, Rows] = NOTHING, policy: int = 3) -> Rows:
    return sampled_rows(settings, run="r", policy=policy, before=before, **tables)


def trained(
    settings: Settings,
    evaluation: EvaluationSummary | None,
    *norms: float | None,
    before: tuple[Rows, Rows] = NOTHING,
    policy: int = 3,
) -> Rows:
    rounds = [[norm] for norm in norms]
    return trained_rows(settings, run="r", policy=policy, evaluation=evaluation, gradient_norms=rounds, before=before)


def row_of(rows: Rows, guard: str) -> dict[str, Any]:
    (row,) = [row for row in rows if row["guard"] == guard]
    return row


def numbers(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("value", "reference", "reference_round", "bound", "breached", "action"))


def test_every_guard_has_its_setting() -> None:
    bounds = [name for name in GuardSettings.model_fields if not name.startswith(("on_breach", "rollback"))]
    assert sorted(GUARDS) == sorted([*bounds, STALENESS])
    assert {name for name, guard in GUARDS.items() if guard.kind == "gate"} == {*GATES, STALENESS}


def test_a_gate_counts_groups_with_a_success() -> None:
    right, wrong = [True, False], [False, False]
    assert numbers(row_of(sampled(settings_of(), round_of(right, wrong)), "success_groups")) == (
        *(1.0, None, None, 1.0, False),
        None,
    )
    row = row_of(sampled(settings_of(), round_of(wrong, wrong)), "success_groups")
    assert numbers(row) == (0.0, None, None, 1.0, True, "warn")
    assert row["why"] == "0 groups with a success: at least 1"


def test_a_gate_counts_groups_with_both_outcomes_where_it_has_a_bound() -> None:
    tables = round_of([True, True], [False, True])
    assert numbers(row_of(sampled(settings_of(), tables), "mixed_groups")) == (1.0, None, None, None, False, None)
    row = row_of(sampled(settings_of(mixed_groups=2, on_breach="stop"), tables), "mixed_groups")
    assert numbers(row) == (1.0, None, None, 2.0, True, "stop")


def test_a_gate_takes_the_share_of_cut_contexts_which_may_be_the_bound() -> None:
    tables = round_of([True, False], [True, False])
    tables["contexts"][0]["truncated"] = True
    assert numbers(row_of(sampled(settings_of(contexts_cut=0.25), tables), "contexts_cut"))[3:5] == (0.25, False)
    assert row_of(sampled(settings_of(contexts_cut=0.2), tables), "contexts_cut")["breached"]
    tables["contexts"] = []
    assert numbers(row_of(sampled(settings_of(), tables), "contexts_cut")) == (None, None, None, 0.5, False, None)


def test_a_gate_takes_the_share_of_verdicts_that_are_none() -> None:
    rows = sampled(settings_of(on_breach_of={"verifier_errors": "stop"}), round_of([True, None], [None, False]))
    assert numbers(row_of(rows, "verifier_errors")) == (0.5, None, None, 0.1, True, "stop")
    assert row_of(rows, "pass_rate")["value"] == 0.5  # nulls stay out


def test_old_rollouts_end_the_run_as_training_would() -> None:
    rows = sampled(settings_of(), round_of([True, False], stale=2))
    assert numbers(row_of(rows, "staleness")) == (2.0, None, None, 1.0, True, "stop")


def test_the_first_policy_has_nothing_to_be_compared_with() -> None:
    rows = sampled(settings_of(), round_of([True, False]), policy=0)
    assert row_of(rows, "entropy")["value"] == pytest.approx(0.5)
    assert not any(row["breached"] for row in rows if row["reference"] is None and row["guard"] != "success_groups")
    assert row_of(rows, "entropy")["why"] == "0.5 nats a token, and nothing to compare it with: at least 0.05 times"


@pytest.mark.parametrize(
    ("guard", "tables", "value", "times"),
    [
        ("short_replies", {"length": 1}, 1.0, "0.25 times 4"),
        ("long_replies", {"length": 24}, 24.0, "6 times 4"),
        ("entropy", {"logprob": -0.125}, 0.125, "0.25 times 0.5"),
        ("distinct_2", {"text": "a a a a"}, 1 / 7, "0.25 times 0.571"),
    ],
)
def test_replies_are_held_against_those_of_the_best_policy(
    guard: str, tables: dict[str, Any], value: float, times: str
) -> None:
    bounds = {"short_replies": 0.3, "long_replies": 5.0, "entropy": 0.3, "distinct_2": 0.3}
    settings = settings_of(**bounds)
    before = ([], sampled(settings, round_of([True, False]), policy=2))
    rows = sampled(settings, round_of([True, False], **tables), before)
    row = row_of(rows, guard)
    assert row["value"] == pytest.approx(value)
    assert (row["reference"], row["reference_round"]) == (row_of(before[1], guard)["value"], 2)
    assert [row["guard"] for row in rows if row["breached"]] == [guard]
    assert times in row["why"]
    looser = settings_of(**{guard: 6.5 if guard == "long_replies" else 0.2})
    assert not row_of(sampled(looser, round_of([True, False], **tables), before), guard)["breached"]
    off = settings_of(**dict.fromkeys(bounds, None))
    assert numbers(row_of(sampled(off, round_of([True, False], **tables), before), guard))[3:] == (None, False, None)


def test_distinct_2_of_a_group_goes_across_its_replies() -> None:
    (row,) = [row for row in sampled(settings_of(), round_of([True, False])) if row["guard"] == "distinct_2"]
    assert row["value"] == pytest.approx(4 / 7)  # ab bc cd da, and ab bc cd again


def test_accuracy_must_fall_beyond_the_bound_and_beyond_its_interval() -> None:
    settings = settings_of(accuracy=0.1)
    before = (trained(settings, evaluation_of(4, 4, 4, 4), policy=2), [])
    fallen = row_of(trained(settings, evaluation_of(1, 1, 1, 1), before=before), "accuracy")
    assert numbers(fallen) == (0.25, 1.0, 2, 0.1, True, "warn")
    assert fallen["why"] == "0.25 held-out mean@k, 0.75 below 1 of policy 2: at most 0.1 below"
    unsure = row_of(trained(settings, evaluation_of(0, 4, 4, 4), before=before), "accuracy")
    assert numbers(unsure) == (0.75, 1.0, 2, 0.1, False, None)  # its interval reaches 1
    within = row_of(trained(settings_of(accuracy=0.75), evaluation_of(1, 1, 1, 1), before=before), "accuracy")
    assert not within["breached"]
    assert numbers(row_of(trained(settings, None, before=before), "accuracy")) == (None, 1.0, 2, 0.1, False, None)


def test_accuracy_is_compared_with_the_highest_there_was_the_earlier_of_equal_ones() -> None:
    settings, rows = settings_of(), NOTHING
    references = []
    for policy, successes in enumerate([(2, 2), (3, 3), (3, 3), (1, 1)]):
        rows = (trained(settings, evaluation_of(*successes), policy=policy, before=rows), [])
        references.append(row_of(rows[0], "accuracy")["reference_round"])
    assert references == [None, 0, 1, 1]


def test_the_gradient_norm_is_held_against_the_median_of_the_rounds_before() -> None:
    settings = settings_of(gradient_norm=3.0)
    assert numbers(row_of(trained(settings, None, 1.0, 2.0, 9.0, 6.0), "gradient_norm")) == (
        *(6.0, 2.0, None, 3.0, False),
        None,
    )
    row = row_of(trained(settings, None, 1.0, None, 3.0, 6.5), "gradient_norm")
    assert (row["value"], row["reference"], row["breached"]) == (6.5, 2.0, True)
    assert row["why"] == "6.5 gradient norm, 3.25 times 2 of the median before: at most 3 times"
    assert row_of(trained(settings, None, 1.0), "gradient_norm")["reference"] is None
    assert row_of(trained(settings, None), "gradient_norm")["value"] is None


def walk(policies: list[tuple[int | None, int]]) -> list[tuple[int | None, float | None]]:
    """The policy that each one's entropy is compared with, and that one's; entropy rises by 1 a policy.

    By policy, the successes of its evaluation (None: not evaluated) and of its rollouts, of four.
    """
    settings, before, seen = settings_of(), NOTHING, []
    for policy, (heldout, successes) in enumerate(policies):
        evaluation = None if heldout is None else evaluation_of(heldout, heldout)
        after = trained(settings, evaluation, policy=policy, before=before)
        outcomes: list[bool | None] = [sample < successes for sample in range(4)]
        rows = sampled(settings, round_of(outcomes, logprob=-float(policy)), before, policy)
        before = (after, rows)
        entropy = row_of(rows, "entropy")
        seen.append((entropy["reference_round"], entropy["reference"]))
    return seen


def test_the_best_policy_is_that_of_the_highest_accuracy_where_all_were_evaluated() -> None:
    assert walk([(1, 4), (3, 1), (2, 1), (3, 4), (4, 0), (0, 0)]) == [
        *[(None, None), (0, 0.0), (1, 1.0)],
        *[(1, 1.0), (1, 1.0), (4, 4.0)],
    ]


def test_the_best_policy_is_that_of_the_highest_pass_rate_where_not_all_were_evaluated() -> None:
    assert walk([(4, 1), (None, 2), (None, 2), (None, 3), (None, 1)]) == [
        *[(None, None), (0, 0.0), (1, 1.0), (1, 1.0), (3, 3.0)],
    ]


def test_a_fall_of_the_pass_rate_is_a_breach_where_it_has_a_bound() -> None:
    settings = settings_of(pass_rate=0.2, on_breach_of={"pass_rate": "stop"})
    before = ([], sampled(settings, round_of([True, True, True, False]), policy=2))
    row = row_of(sampled(settings, round_of([True, True, False, False]), before), "pass_rate")
    assert numbers(row) == (0.5, 0.75, 2, 0.2, True, "stop")
    better = row_of(sampled(settings, round_of([True, True, True, True]), before), "pass_rate")
    assert better["why"] == "1 of the rollouts succeed, 0.25 above 0.75 of policy 2: at most 0.2 below"


def test_nothing_is_a_share_of_nothing() -> None:
    before = ([], sampled(settings_of(), round_of([True, False], logprob=0.0), policy=2))
    row = row_of(sampled(settings_of(), round_of([True, False]), before), "entropy")
    assert (row["reference"], row["breached"]) == (0.0, False)
