"""Log-probabilities in fewer bits: what a shard needn't store, and a divergence hardly notices.

Axes: N positions, K support ids of a position.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

HALF_BITS = 11
"""Significant bits of an IEEE half-precision number. Its range is not taken over, so nothing overflows."""
DISPLAY_BITS = 8
"""Significant bits of what is only looked at: as many as bfloat16 has."""
APART = 0.01
"""How far the teacher's log-probabilities must be from the student's, as a share of their own size, to be rounded."""
AT_ONCE = 32_768
"""Positions that are rounded together: on a GPU it is the number of calls that takes time."""


def round_rollouts(logps: dict[int, np.ndarray], device: torch.device, *, bits: int) -> dict[int, np.ndarray]:
    """`round_logps` of the log-probabilities [T, K] of several rollouts, by row, computed on a device."""
    if not logps:
        return {}
    flat_NK = torch.from_numpy(np.concatenate(list(logps.values())))
    rounded_NK = torch.cat(
        [round_logps(part_NK.to(device), bits=bits).cpu() for part_NK in flat_NK.split(AT_ONCE)]
    ).numpy()
    ends = np.cumsum([len(logps_TK) for logps_TK in logps.values()])[:-1]
    return dict(zip(logps, np.split(rounded_NK, ends), strict=True))


def is_apart(teacher_T: np.ndarray, student_T: np.ndarray) -> bool:
    """Whether the two differ enough at a rollout's tokens for a rounded teacher to be as good as the exact one.

    Rounding moves log-probabilities by up to 0.1 %. Where the teacher is all but the student, that would be the whole
    of a gradient that should be nothing, and Adam would make a whole step of it.
    """
    return bool(np.abs(teacher_T - student_T).sum() > APART * np.abs(teacher_T).sum())


def round_logps(logps_NK: Tensor, *, bits: int = HALF_BITS) -> Tensor:
    """Log-probabilities [N, K] of `bits` significant bits, in the type that they had.

    Each goes to the nearer of its two neighbours, from the likeliest id of a position to the least likely, unless the
    sum of the position's probabilities would then be further off than the ids to come can make up for. So the errors
    cancel, and the mass outside the support stays. To the nearest each, it would be off by up to 4e-4, and could be
    negative. -inf stays -inf.
    """
    exact_NK, order_NK = logps_NK.double().sort(dim=1, descending=True, stable=True)
    lower_NK, upper_NK = _neighbours(exact_NK, bits)
    is_nearer_NK = upper_NK - exact_NK < exact_NK - lower_NK
    is_upper_NK = _choose_upper(is_nearer_NK, exact_NK.exp(), lower_NK.exp(), upper_NK.exp())
    rounded_NK = torch.where(is_upper_NK, upper_NK, lower_NK)
    return torch.empty_like(exact_NK).scatter_(1, order_NK, rounded_NK).to(logps_NK.dtype)


def _neighbours(values_NK: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """The next values of `bits` significant bits below and above; both the value itself where it is one."""
    infinite_NK = values_NK.isinf()
    mantissa_NK, exponent_NK = torch.frexp(values_NK.masked_fill(infinite_NK, 0.0))
    scaled_NK = mantissa_NK * 2**bits
    lower_NK, upper_NK = (torch.ldexp(side_NK, exponent_NK - bits) for side_NK in (scaled_NK.floor(), scaled_NK.ceil()))
    return lower_NK.masked_fill(infinite_NK, -torch.inf), upper_NK.masked_fill(infinite_NK, -torch.inf)


def _choose_upper(is_nearer_NK: Tensor, p_NK: Tensor, lower_NK: Tensor, upper_NK: Tensor) -> Tensor:
    """Whether each probability is rounded up, given whether up is the nearer one."""
    steps_NK = upper_NK - lower_NK
    bound_NK = (steps_NK.sum(dim=1, keepdim=True) - steps_NK.cumsum(dim=1)) / 2  # half of what the later ones can move
    is_upper_NK = torch.empty_like(is_nearer_NK)
    missing_N = p_NK.new_zeros(len(p_NK))
    for place in range(p_NK.shape[1]):
        lower_N, upper_N = (missing_N + p_NK[:, place] - side_NK[:, place] for side_NK in (lower_NK, upper_NK))
        nearer_N = torch.where(is_nearer_NK[:, place], upper_N, lower_N)
        is_fine_N = nearer_N.abs() <= bound_NK[:, place]
        is_upper_N = torch.where(is_fine_N, is_nearer_NK[:, place], upper_N.abs() < lower_N.abs())
        is_upper_NK[:, place] = is_upper_N
        missing_N = torch.where(is_upper_N, upper_N, lower_N)
    return is_upper_NK
