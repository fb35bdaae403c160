"""Divergences and weights by hand; test_objectives.py beside it holds them to values computed independently."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from mopd.objectives.losses import (
    divergence,
    importance_ratio,
    renormalized,
    sampled_token,
    step_means,
    token_weights,
    with_tail,
)


def double(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


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


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_padding_of_a_support_has_no_mass_and_no_gradient(alpha: float) -> None:
    padding = double([[-math.inf]])
    for bucketed in (with_tail, renormalized):
        student, teacher = double([[0.5, 0.2]]).log().requires_grad_(), double([[0.1, 0.6]]).log()
        bare = divergence(bucketed(student), bucketed(teacher), alpha=alpha)
        padded = [bucketed(torch.cat([logps, padding], dim=-1)) for logps in (student, teacher)]
        filled = divergence(*padded, alpha=alpha)
        assert filled.item() == pytest.approx(bare.item(), abs=1e-15)
        slopes = [torch.autograd.grad(loss, student)[0] for loss in (filled, bare)]
        torch.testing.assert_close(*slopes, atol=1e-15, rtol=0)


def test_the_sampled_token_follows_the_reverse_kl() -> None:
    """Weighted by the student's probabilities, the gradients add up to the divergence's."""
    logits = double([0.3, -0.2, 0.9])
    teacher = torch.log_softmax(double([0.0, 1.0, -1.0]), dim=0)

    def slope(loss_of: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        leaf = logits.clone().requires_grad_()
        return torch.autograd.grad(loss_of(torch.log_softmax(leaf, dim=0)), leaf)[0]

    expected = slope(lambda student: divergence(student[None], teacher[None], alpha=1.0).sum())
    found = slope(lambda student: (student.detach().exp() * sampled_token(student, teacher)).sum())
    torch.testing.assert_close(found, expected)


def test_importance_ratio() -> None:
    assert importance_ratio(double([0.0, 0.0]), double([-3.0, 1.0])).tolist() == pytest.approx(
        [math.exp(3), math.exp(-1)]
    )


def test_step_means() -> None:
    assert step_means(double([1.0, 3.0, 5.0, 7.0]), torch.tensor([0, 0, 2, 1])).tolist() == [2.0, 2.0, 5.0, 7.0]


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [("token_mean", [1 / 3, 0, 1 / 3, 1 / 3]), ("sequence_mean", [1 / 2, 0, 1 / 4, 1 / 4])],
)
def test_token_weights(aggregation: Any, expected: list[float]) -> None:
    sequence, mask = torch.tensor([0, 0, 1, 1]), torch.tensor([1, 0, 1, 1])
    assert token_weights(sequence, mask, aggregation=aggregation).tolist() == pytest.approx(expected)


def test_token_weights_of_nothing_are_zero() -> None:
    assert token_weights(torch.tensor([0, 1]), torch.zeros(2), aggregation="sequence_mean").tolist() == [0.0, 0.0]
