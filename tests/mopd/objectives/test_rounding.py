"""Promises: 11 bits, next to what they were, and neither a position's mass outside nor its divergence notices."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from mopd.objectives.losses import divergence, renormalized, with_tail
from mopd.objectives.rounding import AT_ONCE, HALF_BITS, is_apart, round_logps, round_rollouts

CPU = torch.device("cpu")


def random_logps(seed: int, *, positions: int = 400, spread: float = 3.0) -> Tensor:
    """The 100 largest log-probabilities [N, K] of random distributions over 4,000 ids."""
    logits_NV = torch.randn(positions, 4000, generator=torch.Generator().manual_seed(seed)) * spread
    return torch.log_softmax(logits_NV, dim=-1).topk(100, dim=-1).values


def mass(logps_NK: Tensor) -> Tensor:
    return logps_NK.double().exp().sum(dim=1)


def test_every_value_becomes_one_of_the_two_of_eleven_bits_beside_it() -> None:
    logps_NK = random_logps(0)
    rounded_NK = round_logps(logps_NK)
    low_bits = rounded_NK.numpy().view(np.int32) & (2 ** (24 - HALF_BITS) - 1)
    assert rounded_NK.dtype == torch.float32 and not low_bits.any()
    step_NK = torch.ldexp(torch.ones_like(logps_NK), torch.frexp(logps_NK)[1] - HALF_BITS)
    assert ((rounded_NK - logps_NK).abs() < step_NK).all()
    assert torch.equal(round_logps(rounded_NK), rounded_NK)


def test_values_that_need_no_rounding_stay() -> None:
    logps_NK = torch.tensor([[-torch.inf, -0.5, 0.0, -131072.0]])  # the last is beyond what half precision can say
    assert torch.equal(round_logps(logps_NK), logps_NK)
    assert [round_logps(torch.zeros(*shape)).shape for shape in ((0, 4), (4, 0))] == [(0, 4), (4, 0)]


def test_the_errors_of_a_position_cancel() -> None:
    """In any order of the ids; to the nearest value each they add up to ten times as much."""
    logps_NK = random_logps(1)[:, torch.randperm(100, generator=torch.Generator().manual_seed(2))]
    error_N, nearest_N = ((mass(each) - mass(logps_NK)).abs() for each in (round_logps(logps_NK), logps_NK.half()))
    assert error_N.square().mean().sqrt() < 0.1 * nearest_N.square().mean().sqrt()


def test_a_small_tail_stays_where_nearest_values_would_make_it_negative() -> None:
    first = -1 + 0.6 * 2**-HALF_BITS  # the nearer value is above, by 40 % of a step
    others_K = torch.linspace(-6.0, -5.9, 98, dtype=torch.float64)  # rounded as often up as down
    others_K += math.log(1 - 2e-5 - 2 * math.exp(first)) - torch.logsumexp(others_K, dim=0)
    logps_NK = torch.cat([torch.tensor([first, first], dtype=torch.float64), others_K])[None]
    tail, nearest, ours = (1 - mass(each).item() for each in (logps_NK, logps_NK.half(), round_logps(logps_NK)))
    assert tail == pytest.approx(2e-5) and nearest < 0
    assert ours == pytest.approx(tail, abs=6e-6)  # half a step of the least likely id


@pytest.mark.parametrize("bucketed", [with_tail, renormalized])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_loss_and_gradient_are_less_than_a_thousandth_off(alpha: float, bucketed: Callable[[Tensor], Tensor]) -> None:
    teacher_NK = random_logps(3).double()
    noise_NK = torch.randn(teacher_NK.shape, generator=torch.Generator().manual_seed(4)).double()
    student_NK = (teacher_NK + 0.7 * noise_NK - 0.4).log_softmax(dim=-1) + math.log(0.95)

    def loss_and_gradient(teacher_NK: Tensor) -> tuple[Tensor, Tensor]:
        leaf_NK = student_NK.clone().requires_grad_()
        loss = divergence(bucketed(leaf_NK), bucketed(teacher_NK), alpha=alpha).mean()
        return loss.detach(), torch.autograd.grad(loss, leaf_NK)[0]

    exact, rounded = loss_and_gradient(teacher_NK), loss_and_gradient(round_logps(teacher_NK))
    for true, near in zip(exact, rounded, strict=True):
        assert (near - true).norm() <= 1e-3 * true.norm()


def test_rollouts_are_rounded_together_as_they_are_one_by_one() -> None:
    logps_NK = random_logps(5, positions=7)
    rows = {4: logps_NK[:5].numpy(), 0: logps_NK[5:].numpy()}
    rounded = round_rollouts(rows, CPU, bits=HALF_BITS)
    assert list(rounded) == [4, 0]
    for row, logps_TK in rows.items():
        assert np.array_equal(rounded[row], round_logps(torch.from_numpy(logps_TK)).numpy())
    long = np.full((AT_ONCE + 3, 2), -1.0001, np.float32)
    assert round_rollouts({0: long}, CPU, bits=HALF_BITS)[0].shape == long.shape
    assert round_rollouts({}, CPU, bits=HALF_BITS) == {}


def test_apart_is_a_hundredth_of_the_teachers_log_probabilities() -> None:
    teacher_T = np.array([-1.0, -3.0], np.float32)
    assert not is_apart(teacher_T, teacher_T)
    assert [is_apart(teacher_T, teacher_T + np.float32(shift)) for shift in (0.019, 0.021)] == [False, True]
