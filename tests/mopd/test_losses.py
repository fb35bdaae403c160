"""The numbers of the loss agree with values computed independently in float64."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from mopd.losses import divergence, importance_weight, renormalized, token_weights, with_tail

GOLDEN = Path(os.environ.get("MOPD_GOLDEN", "../shared/golden")) / "losses.json"
SUPPORTS = {"topk_tail": with_tail, "topk_renorm": renormalized}
AGGREGATIONS = {"token-mean": "token_mean", "seq-mean-token-mean": "sequence_mean"}


def golden_cases() -> list[dict[str, Any]]:
    """The cases of this stage: student top-k or full support, importance clip, both means; no step level yet."""
    if not GOLDEN.exists():
        return []
    cases = json.loads(GOLDEN.read_text())["distillation"]
    return [case for case in cases if case["support"] != "sampled_token" and not case["step_level"]]


def double(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def loss_of(case: dict[str, Any], student_logits: torch.Tensor) -> torch.Tensor:
    """Our loss, put together as the trainer puts it together."""
    rollouts, length, _ = student_logits.shape
    student = torch.log_softmax(student_logits, dim=-1).flatten(0, 1)
    teacher = torch.log_softmax(double(case["teacher_logits"]), dim=-1).flatten(0, 1)
    sampled = student.gather(1, torch.tensor(case["token_ids"]).reshape(-1, 1)).squeeze(1)
    if case["support"] != "full":
        ids = torch.tensor(case["support_ids"]).flatten(0, 1)
        student, teacher = (SUPPORTS[case["support"]](logps.gather(1, ids)) for logps in (student, teacher))
    losses = divergence(student, teacher, alpha=case["alpha"])
    if case["importance_clip"] is not None:
        behavior = double(case["behavior_logprobs"]).flatten()
        losses = losses * importance_weight(sampled, behavior, clip=case["importance_clip"])
    if case["rollout_weights"] is not None:
        losses = losses * double(case["rollout_weights"]).flatten()
    mask = double(case["response_mask"]) * double(case["distill_mask"])[:, None]
    sequence = torch.arange(rollouts).repeat_interleave(length)
    return (token_weights(sequence, mask.flatten(), aggregation=AGGREGATIONS[case["aggregation"]]) * losses).sum()


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"{GOLDEN} is absent; set MOPD_GOLDEN")
@pytest.mark.parametrize("case", golden_cases(), ids=lambda case: f"{case['support']}-{case['alpha']}")
def test_loss_and_gradient_agree_with_golden(case: dict[str, Any]) -> None:
    logits = double(case["student_logits"]).requires_grad_()
    loss = loss_of(case, logits)
    loss.backward()
    assert loss.item() == pytest.approx(case["loss"], abs=1e-9)
    torch.testing.assert_close(logits.grad, double(case["grad_student_logits"]), atol=1e-9, rtol=0)


def test_alpha_ends_are_the_two_kls() -> None:
    student, teacher = double([[0.5, 0.5]]).log(), double([[0.25, 0.75]]).log()
    forward = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    reverse = 0.5 * math.log(2) + 0.5 * math.log(0.5 / 0.75)
    assert divergence(student, teacher, alpha=0.0).item() == pytest.approx(forward)
    assert divergence(student, teacher, alpha=1.0).item() == pytest.approx(reverse)


def test_jensen_shannon_of_disjoint_distributions_is_log_two() -> None:
    student, teacher = double([[1.0, 1e-300]]).log(), double([[1e-300, 1.0]]).log()
    assert divergence(student, teacher, alpha=0.5).item() == pytest.approx(math.log(2))


def test_tail_takes_the_mass_outside() -> None:
    assert with_tail(double([[0.5, 0.2]]).log()).exp().tolist() == [pytest.approx([0.5, 0.2, 0.3])]


def test_tail_of_a_full_support_stays_finite() -> None:
    logps = torch.tensor([[0.5, 0.5]]).log().requires_grad_()
    with_tail(logps).sum().backward()
    assert torch.isfinite(logps.grad).all()


def test_importance_weight_is_truncated_and_carries_no_gradient() -> None:
    student = double([0.0, 0.0]).requires_grad_()
    weights = importance_weight(student, double([-3.0, 1.0]), clip=2.0)
    assert weights.tolist() == pytest.approx([2.0, math.exp(-1.0)])
    assert not weights.requires_grad


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [("token_mean", [1 / 3, 0, 1 / 3, 1 / 3]), ("sequence_mean", [1 / 2, 0, 1 / 4, 1 / 4])],
)
def test_token_weights(aggregation: str, expected: list[float]) -> None:
    sequence, mask = torch.tensor([0, 0, 1, 1]), torch.tensor([1, 0, 1, 1])
    assert token_weights(sequence, mask, aggregation=aggregation).tolist() == pytest.approx(expected)


def test_token_weights_of_nothing_are_zero() -> None:
    assert token_weights(torch.tensor([0, 1]), torch.zeros(2), aggregation="sequence_mean").tolist() == [0.0, 0.0]
