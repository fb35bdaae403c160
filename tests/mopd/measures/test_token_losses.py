"""Losses of tokens are what the objectives make of them, as long as the student is the one that was scored."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mopd.measures.token_losses import token_losses
from mopd.objectives import objective_class
from mopd.objectives.base import Update
from mopd.settings import TrainSettings

LENGTH, SUPPORT = 5, 3
CASES: list[dict[str, Any]] = [
    {"objective": {"kind": "distill"}},
    {"objective": {"kind": "distill", "alpha": 0.0}, "importance": {"kind": "none"}},
    {"objective": {"kind": "distill", "alpha": 1.0}, "importance": {"kind": "proximal", "clip": 1.1}},
    {"objective": {"kind": "distill", "tail": "renormalize"}, "importance": {"kind": "recomputed"}},
    {"objective": {"kind": "sft"}},
]


def score() -> dict[str, Any]:
    """A row of `scores` and of what training reads beside it."""
    random = np.random.default_rng(0)

    def logps(*shape: int) -> np.ndarray:
        return np.log(random.dirichlet(np.ones(9), shape[0]))[:, : shape[1]].astype(np.float32)

    row: dict[str, Any] = {"support_ids": np.tile(np.arange(SUPPORT), (LENGTH, 1)), "token_ids": np.arange(LENGTH)}
    row |= {f"{name}_logprobs": logps(LENGTH, 1)[:, 0] for name in ("behavior", "proximal", "teacher")}
    row |= {f"support_{name}_logprobs": logps(LENGTH, SUPPORT) for name in ("teacher", "student")}
    return row | {"advantage": 0.0, "distill": True, "success": True}


class StoredStudent:
    """A micro-batch whose student says what it said when it was scored."""

    def __init__(self, update: Update) -> None:
        self.update, self.row = update, update.rows[0]

    def of(self, values_T: Any) -> Any:
        return values_T

    def wide(self, column: str) -> Any:
        return torch.from_numpy(self.row[column])

    def logps(self, ids: Any = None) -> Any:
        support = torch.from_numpy(self.row["support_student_logprobs"])
        return SimpleNamespace(sampled_N=torch.from_numpy(self.row["proximal_logprobs"]), support_logps_NK=support)


@pytest.mark.parametrize("chosen", CASES, ids=str)
def test_they_add_up_to_the_loss_of_the_objective(chosen: dict[str, Any]) -> None:
    train, row = TrainSettings.model_validate(chosen), score()
    objective: Any = objective_class(train)(Update([row], train))
    loss, _ = objective.loss(StoredStudent(objective.update))
    losses = token_losses(row, train)
    assert losses.values_T is not None and losses.values_T.shape == (LENGTH,)
    assert losses.values_T.mean() == pytest.approx(float(loss), rel=1e-5)
    assert losses.kind == ("likelihood" if train.objective.kind == "sft" else "divergence")


def test_the_form_of_sampled_tokens_has_its_pull() -> None:
    train = TrainSettings.model_validate({"objective": {"kind": "distill", "form": "sampled_token", "alpha": 1.0}})
    row = score()
    row["behavior_logprobs"] = row["proximal_logprobs"]
    losses = token_losses(row, train)
    assert losses.kind == "pull"
    np.testing.assert_allclose(losses.values_T, np.abs(row["teacher_logprobs"] - row["proximal_logprobs"]))


@pytest.mark.parametrize(
    ("train", "changes", "why"),
    [
        ({"objective": {"kind": "grpo"}}, {}, "same advantage"),
        ({"objective": {"kind": "simpo"}}, {}, "whole replies"),
        ({}, {"support_student_logprobs": None}, "score.keep_student"),
        ({}, {"support_student_logprobs": np.zeros((LENGTH, SUPPORT - 1))}, "score.keep_student"),
        ({}, {"support_teacher_logprobs": None}, "score.support: full"),
    ],
    ids=str,
)
def test_what_has_none_says_why(train: dict[str, Any], changes: dict[str, Any], why: str) -> None:
    losses = token_losses(score() | changes, TrainSettings.model_validate(train))
    assert losses.values_T is None
    assert why in str(losses.why_none)
