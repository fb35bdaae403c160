"""Settings of what a run watches itself by (`mopd.measures.guards` says what each number is)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import Field, model_validator

from mopd.settings.base import Fraction, Frozen, PositiveInt

if TYPE_CHECKING:
    from mopd.settings.run import Settings

Action = Literal["warn", "rollback", "stop"]
ACTIONS: tuple[Action, ...] = get_args(Action)
"""What a breach leads to, the stronger the later."""
Share = Annotated[float, Field(gt=0.0, lt=1.0)]
"""Of a whole, which a number must not fall below."""
Multiple = Annotated[float, Field(gt=1.0)]
"""Of a reference, that a number must not rise above."""
GATES = ("success_groups", "mixed_groups", "contexts_cut", "verifier_errors")
"""About a round's rollouts and contexts by themselves; the others compare a policy with the best one before it."""


class RollbackSettings(Frozen):
    """How a run goes on from its best policy."""

    learning_rate_factor: Share = 0.5
    """What `train.learning_rate` is multiplied by."""
    most: PositiveInt = 2
    """Times that a run is rolled back; the next breach ends it."""


class GuardSettings(Frozen):
    """Bounds between which a run goes on without a word; null: that one is not held against anything."""

    on_breach: Action = "warn"
    """`warn`: the run says so and goes on. `stop`: it ends, with exit code 3. `rollback`: it goes on from the best
    policy, under a lower learning rate; the first four below, which look at a round by itself, warn then."""
    on_breach_of: dict[str, Action] = Field(default={})
    """The same for single ones by name, e.g. `{accuracy: rollback, verifier_errors: stop}`."""
    success_groups: PositiveInt | None = 1
    """Fewest groups of a round with a success."""
    mixed_groups: PositiveInt | None = None
    """Fewest groups of a round with both outcomes."""
    contexts_cut: Fraction | None = 0.5
    """Largest share of a round's contexts that were cut at `condition.max_context_tokens`."""
    verifier_errors: Fraction | None = 0.1
    """Largest share of a round's rollouts whose verifier failed."""
    accuracy: Fraction | None = 0.1
    """How far held-out mean@k may fall below the best so far, where it is lower beyond its 95 % interval too."""
    pass_rate: Fraction | None = None
    """How far the share of a round's rollouts that succeed may fall below the highest so far."""
    short_replies: Share | None = 0.2
    """Least mean length of a round's replies, as a share of the best policy's."""
    long_replies: Multiple | None = 5.0
    """Largest mean length of a round's replies, as a multiple of the best policy's."""
    entropy: Share | None = 0.05
    """Least entropy a sampled token, as a share of the best policy's."""
    distinct_2: Share | None = 0.1
    """Least distinct-2 within groups, as a share of the best policy's."""
    gradient_norm: Multiple | None = 10.0
    """Largest mean gradient norm of a round, as a multiple of the median of the ten rounds before it."""

    rollback: RollbackSettings = RollbackSettings()

    def action(self, name: str) -> Action:
        """What a breach of that one leads to."""
        general: Action = "warn" if self.on_breach == "rollback" and name in GATES else self.on_breach
        return self.on_breach_of.get(name, general)

    @property
    def rolls_back(self) -> bool:
        """Whether any breach leads back to the best policy."""
        return "rollback" in (self.on_breach, *self.on_breach_of.values())

    @model_validator(mode="after")
    def _known(self) -> GuardSettings:
        known = [name for name in type(self).model_fields if not name.startswith(("on_breach", "rollback"))]
        for name, action in self.on_breach_of.items():
            if name not in known:
                raise ValueError(f"on_breach_of: {name!r} is unknown; choose one of {', '.join(known)}")
            if getattr(self, name) is None:
                raise ValueError(f"on_breach_of: {name} has no bound, so nothing breaches it; set guards.{name} too")
            if action == "rollback" and name in GATES:
                raise ValueError(f"on_breach_of: {name} compares with no other policy; choose warn or stop for it")
        return self


def check_guards(settings: Settings) -> None:
    """Raises ValueError where an end is asked for that could never come."""
    if "accuracy" in settings.guards.on_breach_of and settings.evaluate.when == "never":
        raise ValueError(
            "guards.on_breach_of: accuracy is that of evaluations and evaluate.when is never; set it to every_round, "
            "or guard pass_rate"
        )
