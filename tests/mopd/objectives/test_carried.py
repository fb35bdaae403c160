"""What is said of a rollout's share of the loss is what the objectives make of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mopd.objectives import objective_class
from mopd.objectives.base import Update
from mopd.objectives.carried import loss_weight, why_no_loss
from mopd.settings import TrainSettings

ROWS = [
    # prompt, sample, tokens, reward, advantage, distill
    ("a", 0, 2, 1.0, 0.7, True),
    ("a", 1, 5, 0.0, -0.7, False),
    ("a", 2, 3, None, None, True),
    ("b", 0, 4, 0.0, 0.0, False),
    ("b", 1, 1, 0.0, 0.0, True),
]
SETTINGS: list[dict[str, Any]] = [
    {"objective": {"kind": "distill"}},
    {"objective": {"kind": "distill", "policy_gradient_weight": 0.25}},
    {"objective": {"kind": "distill", "policy_gradient_weight": 1.0}, "aggregation": {"kind": "sequence_mean"}},
    {"objective": {"kind": "grpo"}},
    {"objective": {"kind": "grpo", "kl_weight": 0.1}, "aggregation": {"kind": "sequence_mean"}},
    {"objective": {"kind": "sft"}},
    {"objective": {"kind": "dpo"}},
    {"objective": {"kind": "simpo"}},
]


def rows() -> list[dict[str, Any]]:
    names = ("prompt_id", "sample", "num_tokens", "reward", "advantage", "distill")
    made = [dict(zip(names, values, strict=True)) for values in ROWS]
    for row in made:
        length = int(row["num_tokens"])
        numbers = np.zeros(length, np.float32)
        row |= {"success": None if row["reward"] is None else row["reward"] == 1.0, "finish_reason": "stop"}
        row |= {"token_ids": np.arange(length), "prompt_token_ids": np.arange(2), "behavior_logprobs": numbers}
        row |= {"reference_logprobs": numbers, "teacher_logprobs": numbers}
    return made


def weights_of(objective: Any) -> list[float]:
    """What each rollout's tokens weigh in the objective, signs and losses apart."""
    kind, update = objective.settings.kind if hasattr(objective, "settings") else "sft", objective.update
    weight_T = objective.distill_weight_T + objective.policy_weight_T if kind == "distill" else objective.weight_T
    return [float(weight_T[update.sequence_T == number].sum()) for number in range(len(update.rows))]


@pytest.mark.parametrize("chosen", SETTINGS, ids=str)
def test_reasons_and_weights_are_those_of_the_objective(chosen: dict[str, Any]) -> None:
    train, made = TrainSettings.model_validate(chosen), rows()
    objective: Any = objective_class(train)(Update(made, train))
    groups = {prompt: [row for row in made if row["prompt_id"] == prompt] for prompt in "ab"}
    reasons = [why_no_loss(row, groups[row["prompt_id"]], train) for row in made]
    if train.objective.kind in ("dpo", "simpo"):
        paired = {number for pair in objective.pairs for number in pair}
        assert [reason is None for reason in reasons] == [number in paired for number in range(len(made))]
        assert loss_weight(made[0], made, train) is None
        return
    weights = [loss_weight(row, made, train) for row in made]
    assert weights == pytest.approx(weights_of(objective), abs=1e-6)
    assert sum(weight or 0 for weight in weights) == pytest.approx(1.0)
    for row, weight, reason in zip(made, weights, reasons, strict=True):
        pulls = weight and (train.objective.kind == "sft" or row["distill"] or row["advantage"] or "kl" in str(chosen))
        assert pulls or reason is not None


def test_what_never_enters_an_update() -> None:
    train, made = TrainSettings.model_validate({"mask_truncated": True}), rows()
    made[0] |= {"num_tokens": 0, "token_ids": np.arange(0)}
    made[2] |= {"finish_reason": "length"}
    assert why_no_loss(made[0], made, train) == "it has no tokens"
    assert why_no_loss(made[2], made, train) == "it was cut at the longest response (train.mask_truncated)"
    assert (loss_weight(made[0], made, train), loss_weight(made[2], made, train)) == (0.0, 0.0)
    assert loss_weight(made[4], made, train) == 1.0


def test_a_pair_needs_two_rollouts_that_enter_the_update() -> None:
    train = TrainSettings.model_validate({"objective": {"kind": "dpo"}, "mask_truncated": True})
    group = [row for row in rows() if row["prompt_id"] == "a"]
    assert why_no_loss(group[1], group, train) is None
    group[0] |= {"finish_reason": "length"}
    assert why_no_loss(group[1], group, train) == "no rollout of its group has another reward"
