"""Settings of the teacher; what each is made of is said in `mopd.models.teachers`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mopd.settings.base import Fraction, Frozen, choice


class EmaTeacher(Frozen):
    """Teacher weights follow the student: T <- (1 - rate) T + rate S after each update."""

    kind: Literal["ema"] = "ema"
    """An exponential moving average of the student's weights."""
    rate: Fraction = 0.05
    """Share of the student's weights taken over after each update (paper: 0.05)."""
    place: Literal["auto", "host", "disk"] = "auto"
    """Where its weights lie while the student is trained: in the host's memory, or where the round will save them.
    `auto`: on a GPU the host, else the disk. An adapter's teacher is small and lies beside the student."""


class TrustRegionTeacher(Frozen):
    """Logits between those of the initial policy and of the student: (1 - weight) initial + weight student."""

    kind: Literal["trust_region"]
    """The student, held near the initial policy."""
    weight: Fraction = 0.05
    """Share of the student's logits; 0 is the initial policy alone, 1 the student alone."""


class LiveTeacher(Frozen):
    """The teacher is the student that sampled."""

    kind: Literal["live"]
    """The student's weights, as they are when a round is scored."""


class FrozenTeacher(Frozen):
    """The teacher is the initial policy, in every round."""

    kind: Literal["frozen"]
    """The weights of `model.path`."""


class ExternalTeacher(Frozen):
    """The teacher is another model, usually a larger one."""

    kind: Literal["external"]
    """A model with the student's tokenizer: the same tokens under the same ids."""
    path: str
    """Its folder in Hugging Face format, or its name on the hub, as `model.path`."""


TeacherSettings = Annotated[
    EmaTeacher | TrustRegionTeacher | LiveTeacher | FrozenTeacher | ExternalTeacher,
    Field(discriminator="kind"),
    choice(EmaTeacher, TrustRegionTeacher, LiveTeacher, FrozenTeacher, ExternalTeacher),
]
