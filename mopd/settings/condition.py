"""Settings of what the teacher is shown: one tagged choice of a context, and how it is rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from mopd.settings.base import Frozen, NonNegativeInt, PositiveInt, choice

if TYPE_CHECKING:
    from mopd.settings.context_choice import ContextChoice

When = Literal["never", "always", "when_no_success"]


class _Variant(Frozen):
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


class PeerVariant(_Variant):
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


class _PeerlessVariant(_Variant):
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


class SummaryVariant(_Variant):
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


class ControlVariant(_Variant):
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
    PeerVariant | NoPeers | FeedbackVariant | SummaryVariant | ControlVariant,
    Field(discriminator="kind"),
    choice(PeerVariant, NoPeers, FeedbackVariant, SummaryVariant, ControlVariant),
]
"""A context that is known before the run begins."""


class AutoVariant(_Variant):
    """The candidate under which the student, asked again with the context, gains most: measured on its own rollouts."""

    kind: Literal["auto"]
    """A probe in the run: every few rounds all candidates are tried, and the best is trained on until the next."""
    candidates: Annotated[tuple[str, ...], Field(min_length=2)] = ("none", "success", "positive", "contrastive")
    """Each a variant, or variant/rendering, or variant/rendering/order (of the failed peer), e.g.
    contrastive/turns/first; what is left out is as it is set here."""
    every: PositiveInt = 4
    """Rounds from one probe to the next."""

    @model_validator(mode="after")
    def _readable(self) -> AutoVariant:
        self.choices()
        return self

    def choices(self) -> list[ContextChoice]:
        """The candidates, read. Raises ValueError for one that means nothing, or is there twice."""
        from mopd.settings.context_choice import different_choices, read_choice

        return different_choices([read_choice(text) for text in self.candidates])

    @property
    def needs_peers(self) -> bool:
        return any(one.variant.needs_peers for one in self.choices())

    @property
    def shows_successes(self) -> bool:
        return any(one.variant.shows_successes for one in self.choices())

    @property
    def shows_summaries(self) -> bool:
        return any(one.variant.shows_summaries for one in self.choices())


VariantSettings = Annotated[
    PeerVariant | NoPeers | FeedbackVariant | SummaryVariant | ControlVariant | AutoVariant,
    Field(discriminator="kind"),
    choice(PeerVariant, NoPeers, FeedbackVariant, SummaryVariant, ControlVariant, AutoVariant),
]


class ConditionSettings(Frozen):
    """What the teacher is shown beside the prompt."""

    variant: VariantSettings = PeerVariant()
    rendering: Literal["sections", "turns"] = "sections"
    """`sections`: peers appended to the last user message (the paper); `turns`: peers as earlier assistant turns."""
    failure_position: Literal["last", "first"] = "last"
    """Whether the failed peer comes after the successful ones (the paper) or before."""
    show_failure: Literal["always", "when_no_success"] = "always"
    """Whether a failed peer is shown beside successful ones, or only where there are none."""
    exclude_self: bool = True
    """A rollout never sees itself as a peer."""
    strip_think: bool = False
    """Whether `<think>…</think>` is left out of peers' replies; one that is nothing else is no peer then."""
    history_rounds: NonNegativeInt = 0
    """Prompts without a success now are shown successes of up to so many earlier rounds, newest first."""
    max_context_tokens: PositiveInt = 10240
    """Budget of the rendered context in tokens; whole sections are dropped, last first."""

    @model_validator(mode="after")
    def _possible(self) -> ConditionSettings:
        if self.history_rounds and not self.variant.shows_successes:
            raise ValueError(
                f"history_rounds looks for successes of earlier rounds, and the variant {self.variant.kind} shows no "
                "successes; set it to 0"
            )
        if isinstance(self.variant, AutoVariant):
            for one in self.variant.choices():
                one.condition(self)
        return self
