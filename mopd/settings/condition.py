"""Settings of what the teacher is shown: one tagged choice of a context, and how it is rendered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mopd.settings.base import Frozen, NonNegativeInt, PositiveInt, choice
from mopd.settings.context_choice import ContextChoice, different_choices, read_choice
from mopd.settings.variants import (
    ControlVariant,
    FeedbackVariant,
    NoPeers,
    PeerVariant,
    ReferenceVariant,
    SummaryVariant,
    Variant,
)


class AutoVariant(Variant):
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
        return different_choices([read_choice(text) for text in self.candidates])

    @property
    def needs_peers(self) -> bool:
        return any(candidate.variant.needs_peers for candidate in self.choices())

    @property
    def shows_successes(self) -> bool:
        return any(candidate.variant.shows_successes for candidate in self.choices())

    @property
    def shows_summaries(self) -> bool:
        return any(candidate.variant.shows_summaries for candidate in self.choices())


VariantSettings = Annotated[
    PeerVariant | NoPeers | FeedbackVariant | ReferenceVariant | SummaryVariant | ControlVariant | AutoVariant,
    Field(discriminator="kind"),
    choice(PeerVariant, NoPeers, FeedbackVariant, ReferenceVariant, SummaryVariant, ControlVariant, AutoVariant),
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
    strip_think: bool | Literal["auto"] = "auto"
    """Whether `<think>…</think>` is left out of peers' replies; one that is nothing else is no peer then. `auto`: where
    the chat template knows thinking."""
    show_truncated: bool = True
    """Whether replies that were cut at the longest response may be shown as peers."""
    history_rounds: NonNegativeInt = 0
    """Prompts without a success now are shown successes of up to so many earlier rounds, newest first."""
    max_context_tokens: PositiveInt = 10240
    """Budget of the rendered context in tokens; whole sections are dropped, last first."""

    def tried(self) -> list[ConditionSettings]:
        """What rollouts may be shown under: these settings, or those of the candidates that a probe chooses from."""
        if not isinstance(self.variant, AutoVariant):
            return [self]
        return [candidate.condition(self) for candidate in self.variant.choices()]

    @model_validator(mode="after")
    def _possible(self) -> ConditionSettings:
        if self.history_rounds and not self.variant.shows_successes:
            raise ValueError(
                f"history_rounds looks for successes of earlier rounds, and the variant {self.variant.kind} shows no "
                "successes; set it to 0"
            )
        self.tried()
        return self
