"""Settings of what the policy is trained for: the objective, the weight of old tokens, how losses are averaged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mopd.settings.base import Fraction, Frozen, NonNegative, Positive, choice
from mopd.settings.methods import METHODS

Smoothing = Annotated[float, Field(ge=0.0, lt=0.5)]
ClipRange = Annotated[float, Field(gt=0.0, lt=1.0)]


Columns = dict[str, tuple[str, ...]]
"""Columns by table."""


class AnyObjective(Frozen):
    """What all objectives answer."""

    def columns(self, support: str) -> Columns:
        """What training reads for it beside the rollouts, with this `score.support`; scoring computes no more."""
        raise NotImplementedError


class DistillObjective(AnyObjective):
    """Distillation: the student is drawn to the teacher's distributions (the paper)."""

    kind: Literal["distill"] = "distill"
    """The divergence from the teacher falls."""
    alpha: Fraction = 0.5
    """Divergence: 0 forward KL, 1 reverse KL, between: generalized Jensen-Shannon (paper: 0.5)."""
    form: Literal["divergence", "sampled_token"] = "divergence"
    """`sampled_token`: the policy-gradient form of reverse KL, on the sampled token alone; alpha must be 1."""
    tail: Literal["bucket", "renormalize"] = "bucket"
    """Mass outside the support: one more bucket, or left out and the rest renormalized. Full support has none."""
    policy_gradient_weight: Fraction = 0.0
    """Blend, lambda: lambda * group-relative policy gradient + (1 - lambda) * distillation (paper: 0)."""

    @model_validator(mode="after")
    def _possible(self) -> DistillObjective:
        if self.form == "sampled_token" and self.alpha != 1.0:
            raise ValueError(
                f"form sampled_token is a form of the reverse KL and alpha is {self.alpha:g}; set alpha to 1.0"
            )
        if self.form == "sampled_token" and self.tail == "renormalize":
            raise ValueError("form sampled_token has no support whose tail could be left out; leave tail at bucket")
        return self

    def columns(self, support: str) -> Columns:
        """The teacher on the support, or at the sampled tokens; or contexts, where the teacher is read again."""
        judged = ("advantage", "distill")
        if self.form == "sampled_token":
            return {"scores": (*judged, "teacher_logprobs")}
        if support == "full":
            return {"scores": judged, "contexts": ("context_token_ids",)}
        return {"scores": (*judged, "support_ids", "support_teacher_logprobs")}


class GrpoObjective(AnyObjective):
    """Group-relative policy gradient, its ratio clipped (arXiv 2402.03300)."""

    kind: Literal["grpo"]
    """What was rewarded above its group's mean becomes likelier."""
    clip: ClipRange = 0.2
    """A token whose ratio has left [1 - clip, 1 + clip] in the direction of its advantage is left alone."""
    kl_weight: NonNegative = 0.0
    """Weight of the KL to the initial policy; above 0 it is scored too."""

    def columns(self, support: str) -> Columns:
        """Advantages, and the initial policy where it is held to that."""
        return {"scores": ("advantage", *(("reference_logprobs",) if self.kl_weight else ()))}


class DpoObjective(AnyObjective):
    """Direct preference optimization over pairs of a group, the higher reward preferred (arXiv 2305.18290)."""

    kind: Literal["dpo"]
    """Log-ratios to the initial policy are compared."""
    beta: Positive = 0.1
    """Strength of the tie to the initial policy."""
    label_smoothing: Smoothing = 0.0
    """Share of pairs that are taken to be the wrong way round."""

    def columns(self, support: str) -> Columns:
        """Rewards, and the initial policy."""
        return {"scores": ("reference_logprobs",), "verdicts": ("reward",)}


class SimpoObjective(AnyObjective):
    """SimPO over pairs of a group: mean log-probabilities, without a reference (arXiv 2405.14734)."""

    kind: Literal["simpo"]
    """Log-probabilities a token are compared."""
    beta: Positive = 2.0
    """Scale of the difference between two means."""
    margin: NonNegative = 1.0
    """Taken off the scaled difference: how much the better one should lead by."""
    label_smoothing: Smoothing = 0.0
    """Share of pairs that are taken to be the wrong way round."""

    def columns(self, support: str) -> Columns:
        """Rewards."""
        return {"verdicts": ("reward",)}


class SftObjective(AnyObjective):
    """Supervised fine-tuning on the rollouts that the verifier calls a success."""

    kind: Literal["sft"]
    """Verified successes become likelier."""

    def columns(self, support: str) -> Columns:
        """Successes."""
        return {"verdicts": ("success",)}


ObjectiveSettings = Annotated[
    DistillObjective | GrpoObjective | DpoObjective | SimpoObjective | SftObjective,
    Field(discriminator="kind"),
    choice(DistillObjective, GrpoObjective, DpoObjective, SimpoObjective, SftObjective, beside=METHODS),
]


class BehaviorImportance(Frozen):
    """Tokens weighted by how much likelier they are now than in the policy that sampled them (the paper)."""

    kind: Literal["behavior"] = "behavior"
    """Weight min(policy / sampler, clip); read by distill and grpo."""
    clip: Positive = 2.0
    """Truncation of the ratio (paper: 2.0)."""


class ProximalImportance(Frozen):
    """Decoupled: what training moved, and what sampler and trainer disagreed about before it."""

    kind: Literal["proximal"]
    """Weight min(policy / policy at the start of the round, clip) * min(that / sampler, clip)."""
    clip: Positive = 2.0
    """Truncation of either ratio."""


class RecomputedImportance(Frozen):
    """Tokens weighted by how much likelier they are now than at the start of the round, both read by the trainer."""

    kind: Literal["recomputed"]
    """Weight min(policy / policy at the start of the round, clip): 1 before training, whatever was made of the policy's
    distribution to sample from it. The default where generation truncates or penalizes (docs/sampling.md)."""
    clip: Positive = 2.0
    """Truncation of the ratio."""


class NoImportance(Frozen):
    """Every token alike, whichever policy sampled it."""

    kind: Literal["none"]
    """Weight 1."""


ImportanceSettings = Annotated[
    BehaviorImportance | ProximalImportance | RecomputedImportance | NoImportance,
    Field(discriminator="kind"),
    choice(BehaviorImportance, ProximalImportance, RecomputedImportance, NoImportance),
]


class TokenMean(Frozen):
    """Every token alike."""

    kind: Literal["token_mean"] = "token_mean"
    """The mean over the update's tokens (paper)."""


class SequenceMean(Frozen):
    """Every rollout alike."""

    kind: Literal["sequence_mean"]
    """The mean over rollouts of the mean over tokens."""


class StepLevel(Frozen):
    """Losses averaged within the steps of a response before tokens are weighted."""

    kind: Literal["step_level"]
    """Every token of a step carries the step's mean loss. Where all tokens of a response count alike, as they do in
    rollouts of one turn, that leaves the mean over tokens or rollouts as it is."""
    separator: Annotated[str, Field(min_length=1)] = "\n\n"
    """Text that ends a step."""
    over: Literal["token_mean", "sequence_mean"] = "token_mean"
    """How tokens, each with its step's loss, are averaged."""


AggregationSettings = Annotated[
    TokenMean | SequenceMean | StepLevel,
    Field(discriminator="kind"),
    choice(TokenMean, SequenceMean, StepLevel),
]
