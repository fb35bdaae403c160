"""What settings of sampling share: their types, which of them make another distribution, what follows from that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from mopd.settings.base import Fraction, Frozen, NonNegativeInt, Positive
from mopd.settings.tree import Tree, get_value, with_value

if TYPE_CHECKING:
    from mopd.settings.generate import GenerateSettings

COLDEST = 0.01
Temperature = Annotated[float, Field(ge=COLDEST)]
TopP = Annotated[float, Field(gt=0.0, le=1.0)]
TopK = NonNegativeInt
MinP = Fraction
RepetitionPenalty = Positive
PresencePenalty = Annotated[float, Field(ge=-2.0, le=2.0)]
StopTokenIds = tuple[NonNegativeInt, ...]
StopStrings = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
]

SHAPING = ("top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty")
"""Settings that make what is sampled from another distribution than the model's at its temperature."""
SAMPLING = ("temperature", *SHAPING, "stop", "stop_token_ids", "max_tokens")
"""Settings that decide which replies an engine gives."""
IMPORTANCE, RECOMPUTED = "train.importance", "recomputed"


def follow_sampling(tree: Tree, defaults: type[Frozen]) -> Tree:
    """The tree, its importance `recomputed` where what is sampled from is not the model's own distribution.

    `defaults` are the settings of generation. An importance whose kind the tree names stays as it is.
    """
    generate, importance = get_value(tree, "generate"), get_value(tree, IMPORTANCE)
    shaped = isinstance(generate, dict) and any(
        generate.get(name, default) != default
        for name, default in ((name, defaults.model_fields[name].default) for name in SHAPING)
    )
    if not shaped or not (importance is None or (isinstance(importance, dict) and "kind" not in importance)):
        return tree
    return with_value(tree, IMPORTANCE, {**(importance or {}), "kind": RECOMPUTED})


def shaping(settings: GenerateSettings) -> list[str]:
    """Names of SHAPING that are not at their defaults: what is sampled from is then not the model's distribution."""
    fields = type(settings).model_fields
    return [name for name in SHAPING if getattr(settings, name) != fields[name].default]


def describe_sampling(settings: GenerateSettings) -> str:
    """Temperature and whatever else of sampling is not at its default, in a line."""
    fields = type(settings).model_fields
    names = [name for name in (*SHAPING, "stop", "stop_token_ids") if getattr(settings, name) != fields[name].default]
    return ", ".join([f"temperature {settings.temperature:g}", *(f"{name} {_text(settings, name)}" for name in names)])


def _text(settings: GenerateSettings, name: str) -> str:
    value: Any = getattr(settings, name)
    return str(list(value)) if isinstance(value, tuple) else f"{value:g}"
