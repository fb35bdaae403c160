"""GRPO (arXiv 2402.03300): policy gradient on group-relative advantages, the ratio clipped as in PPO.

The ratio's denominator is what `train.importance` says: the policy that sampled, the policy at the start of the round
(times the truncated ratio of that to the sampler, or without), or the policy itself, when nothing is ever clipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from mopd.objectives.base import MicroBatch, Objective, Update

if TYPE_CHECKING:  # training runs where pydantic is not installed
    from mopd.settings.objective import GrpoObjective


class Grpo(Objective):
    """What was rewarded above its group's mean becomes likelier, what was rewarded below it less likely."""

    def __init__(self, update: Update) -> None:
        super().__init__(update)
        self.settings = cast("GrpoObjective", update.train.objective)
        self.advantage_T = update.spread([row["advantage"] or 0.0 for row in update.rows])
        self.weight_T = update.weights([row["advantage"] is not None for row in update.rows])
        self.reference_logps_T = update.flat("reference_logprobs") if self.settings.kl_weight else None

    def has_signal(self) -> bool:
        """A group with both outcomes; with a KL term, any judged rollout."""
        return bool((self.weight_T if self.settings.kl_weight else self.weight_T * self.advantage_T).any())

    def loss(self, micro: MicroBatch) -> tuple[Tensor, Tensor]:
        """The clipped surrogate, and the KL to the initial policy."""
        sampled_N, advantage_N = micro.logps().sampled_N, micro.of(self.advantage_T)
        ratios, clip = self.ratios(micro, sampled_N), self.settings.clip
        plain_N, bounded_N = ratios.moved_N * advantage_N, ratios.moved_N.clamp(1 - clip, 1 + clip) * advantage_N
        policy = -(micro.of(self.weight_T) * ratios.before_N * torch.minimum(plain_N, bounded_N)).sum()
        self.counts["tokens"] += len(sampled_N)
        self.count("clipped", bounded_N < plain_N)
        self.sums.update(policy_loss=policy.item())
        if self.reference_logps_T is None:
            return policy, sampled_N
        gap_N = micro.of(self.reference_logps_T) - sampled_N
        kl = (micro.of(self.weight_T) * (torch.expm1(gap_N) - gap_N)).sum()  # never negative, and unbiased
        self.sums.update(kl=kl.item())
        return policy + self.settings.kl_weight * kl, sampled_N

    def report(self) -> dict[str, float | int | None]:
        """The surrogate, the KL if there is one, and the share of tokens that were clipped."""
        clipped = self.counts["clipped"] / self.counts["tokens"]
        loss = self.sums["policy_loss"] + self.settings.kl_weight * self.sums["kl"]
        return {**super().report(), "loss": loss, "policy_clipped": clipped}
