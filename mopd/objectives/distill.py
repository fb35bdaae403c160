"""Distillation (arXiv 2605.12652): the student comes closer to the teacher, blended with the policy gradient if asked.

Per token, with w the importance weight and lambda the blend:
    w * [lambda * (-advantage * log pi) + (1 - lambda) * D(student, teacher)],
each part averaged over the tokens that carry it (the blend is SDPO's).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import Tensor

from mopd.objectives.base import MicroBatch, Objective, Update
from mopd.objectives.full import full_divergence
from mopd.objectives.losses import divergence, renormalized, sampled_token, with_tail

if TYPE_CHECKING:  # training runs where pydantic is not installed
    from mopd.settings.objective import DistillObjective

BUCKETS = {"bucket": with_tail, "renormalize": renormalized}


class Distill(Objective):
    """Divergence from the teacher on the rollouts whose context has something to say."""

    def __init__(self, update: Update) -> None:
        super().__init__(update)
        self.settings = cast("DistillObjective", update.train.objective)
        blend, rows = self.settings.policy_gradient_weight, update.rows
        self.advantage_T = update.spread([row["advantage"] or 0.0 for row in rows])
        self.distill_weight_T = (1 - blend) * update.weights([row["distill"] for row in rows])
        self.policy_weight_T = blend * update.weights([row["advantage"] is not None for row in rows])
        self.sampled = self.settings.form == "sampled_token"
        if self.sampled:
            self.teacher_logps_T = update.flat("teacher_logprobs")

    def has_signal(self) -> bool:
        """A context with sections, or an advantage that the blend lets through."""
        return bool(self.distill_weight_T.any() or (self.policy_weight_T * self.advantage_T).any())

    def loss(self, micro: MicroBatch) -> tuple[Tensor, Tensor]:
        """Both parts of the blend."""
        sampled_N, distance_N = self._distance(micro)
        weight_N = self.ratios(micro, sampled_N).weight_N
        distill = (micro.of(self.distill_weight_T) * weight_N * distance_N).sum()
        gain_N = micro.of(self.advantage_T) * sampled_N
        policy = -(micro.of(self.policy_weight_T) * weight_N * gain_N).sum()
        self.sums.update(distill_loss=distill.item(), policy_loss=policy.item())
        return distill + policy, sampled_N

    def report(self) -> dict[str, float | int | None]:
        """The parts and their sum."""
        return {"loss": self.sums["distill_loss"] + self.sums["policy_loss"], **super().report()}

    def _distance(self, micro: MicroBatch) -> tuple[Tensor, Tensor]:
        """The student's logps of the sampled tokens and its distance from the teacher there, both [N]."""
        if self.sampled:
            sampled_N = micro.logps().sampled_N
            return sampled_N, sampled_token(sampled_N, micro.of(self.teacher_logps_T))
        if self.update.teacher is not None:
            return full_divergence(micro, self.update.teacher, alpha=self.settings.alpha)
        logps, bucketed = micro.logps(micro.wide("support_ids").long()), BUCKETS[self.settings.tail]
        teacher_NK = micro.wide("support_teacher_logprobs")
        return logps.sampled_N, divergence(
            bucketed(logps.support_logps_NK), bucketed(teacher_NK), alpha=self.settings.alpha
        )
