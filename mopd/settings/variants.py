"""Contexts that are known before a run begins: which peers the teacher is shown."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mopd.settings.base import Frozen, PositiveInt, choice

When = Literal["never", "always", "when_no_success"]


class Variant(Frozen):
    """What all contexts answer."""

    @property
    def feedback_when(self) -> When:
        """When the verifier's feedback on the rollout itself is shown."""
        return "never"

    @property
    def needs_peers(self) -> bool:
        """Whether it is the prompt alone where a group has one rollout."""
        return True

    @property
    def shows_successes(self) -> bool:
        """Whether successful peers are looked for."""
        return True

    @property
    def shows_summaries(self) -> bool:
        """Whether the student is asked to summarize its replies."""
        return False


class PeerVariant(Variant):
    """Peers of the rollout's group, as whole replies."""

    kind: Literal["contrastive", "success", "positive", "failure"] = "contrastive"
    """One success (SDPO), up to two (`positive`), those and a failed peer (`contrastive`, the paper's best), or that
    one alone."""
    feedback: When = "never"
    """Whether the verifier's feedback on the rollout itself is a section too, or only where no peer succeeded."""

    @property
    def feedback_when(self) -> When:
        return self.feedback

    @property
    def shows_successes(self) -> bool:
        return self.kind != "failure"


class _PeerlessVariant(Variant):
    """Shows no other reply."""

    @property
    def needs_peers(self) -> bool:
        return False

    @property
    def shows_successes(self) -> bool:
        return False


class NoPeers(_PeerlessVariant):
    """The prompt alone: plain on-policy distillation."""

    kind: Literal["none"]
    """No section."""
    feedback: Literal["never"] = "never"
    """For the verifier's feedback without peers there is the kind `feedback`."""


class FeedbackVariant(_PeerlessVariant):
    """The verifier's feedback on the rollout itself."""

    kind: Literal["feedback"]
    """No peer's reply."""
    when: Literal["always", "when_no_success"] = "always"
    """Whether it is shown beside successful peers too, or only to rollouts that have none."""

    @property
    def feedback_when(self) -> When:
        return self.when


class ReferenceVariant(_PeerlessVariant):
    """The task's own solution, where it has one (docs/contexts.md): the teacher of OPSD and SDFT."""

    kind: Literal["reference"]
    """No peer's reply: a rival of peers, and a control of what they are worth beside a solution that is known."""


class SummaryVariant(Variant):
    """One-sentence summaries of peers, labelled by outcome; the generation prompt asks for them in a tag."""

    kind: Literal["summary"]
    """Peers without the tag are shown by an excerpt of their end, and recorded as such."""
    num_summaries: PositiveInt = 4
    """Most summaries shown, k; lowest samples first."""
    source: Literal["all", "success", "failure"] = "all"
    """Which peers are summarized."""

    @property
    def shows_successes(self) -> bool:
        return self.source != "failure"

    @property
    def shows_summaries(self) -> bool:
        return True


class ControlVariant(Variant):
    """Another filling for a context's slots, at its budget: shows what that context's gain comes from."""

    kind: Literal["random_peer", "unrelated_prompt", "success_only", "score_ordered"]
    """Peers whatever their outcome; successes of other prompts of the shard; successes instead of the failed peer,
    other prompts' where the group has too few; the peers of highest reward."""
    imitates: Literal["contrastive", "positive", "success", "failure"] = "contrastive"
    """The context that is matched, rollout by rollout: where it is the prompt alone, so is the control."""
    match: Literal["blocks", "tokens"] = "blocks"
    """`blocks`: as many replies; `tokens`: as many tokens, less a heading and a word at most, the last reply cut."""

    @property
    def shows_successes(self) -> bool:
        return self.imitates != "failure" or self.kind == "success_only"

    @model_validator(mode="after")
    def _another_filling(self) -> ControlVariant:
        if self.kind == "success_only" and self.imitates in ("positive", "success"):
            raise ValueError(
                f"success_only fills the slot of a failed peer, and {self.imitates} has none; "
                "set imitates to contrastive or failure"
            )
        return self


FixedVariant = Annotated[
    PeerVariant | NoPeers | FeedbackVariant | ReferenceVariant | SummaryVariant | ControlVariant,
    Field(discriminator="kind"),
    choice(PeerVariant, NoPeers, FeedbackVariant, ReferenceVariant, SummaryVariant, ControlVariant),
]
"""A context that is known before the run begins."""
