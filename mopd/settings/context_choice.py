"""Contexts by name, to be compared with each other: `contrastive`, `contrastive/turns`, `contrastive/turns/first`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Literal, get_args

import yaml
from pydantic import TypeAdapter, ValidationError

from mopd.seeds import derive_seed
from mopd.settings.variants import (
    ControlVariant,
    FeedbackVariant,
    FixedVariant,
    NoPeers,
    PeerVariant,
    ReferenceVariant,
    SummaryVariant,
)

if TYPE_CHECKING:
    from mopd.settings.condition import ConditionSettings

Rendering = Literal["sections", "turns"]
Order = Literal["last", "first"]
FORM = "write it as VARIANT, VARIANT/RENDERING or VARIANT/RENDERING/ORDER, e.g. contrastive/turns/first"
NAME_LENGTH = 32
_FIXED: TypeAdapter[Any] = TypeAdapter(FixedVariant)


@dataclass(frozen=True)
class ContextChoice:
    """One way of showing peers; None: as the run has it."""

    variant: PeerVariant | NoPeers | FeedbackVariant | ReferenceVariant | SummaryVariant | ControlVariant
    rendering: Rendering | None = None
    order: Order | None = None
    """Where the failed peer stands: `condition.failure_position`."""

    @property
    def name(self) -> str:
        """Fit for a folder's name, e.g. `contrastive-turns-first`."""
        kind, *options = _options(self.variant)
        name = "-".join([kind, *options, *(part for part in (self.rendering, self.order) if part)])
        return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 9]}-{derive_seed(name, bits=32):08x}"

    @property
    def text(self) -> str:
        """As `read_choice` reads it."""
        variant = json.dumps(self.variant.model_dump())
        return f"{variant}/{self.rendering or ''}/{self.order or ''}"

    @property
    def overrides(self) -> list[str]:
        """What sets it, as `--set` takes it."""
        variant = self.variant.model_dump(exclude_defaults=True) | {"kind": self.variant.kind}
        values = {"variant": variant, "rendering": self.rendering, "failure_position": self.order}
        return [f"condition.{name}={json.dumps(value)}" for name, value in values.items() if value is not None]

    def condition(self, settings: ConditionSettings) -> ConditionSettings:
        """The settings with this choice in them. Raises ValueError for what can't go together."""
        tree = settings.model_dump()
        tree |= {"variant": self.variant.model_dump()}
        tree |= {"rendering": self.rendering} if self.rendering else {}
        tree |= {"failure_position": self.order} if self.order else {}
        if not self.variant.shows_successes:
            tree["history_rounds"] = 0  # nothing to look for
        return type(settings).model_validate(tree)


def read_choice(text: str) -> ContextChoice:
    """`VARIANT[/RENDERING[/ORDER]]`; a variant with settings of its own is a mapping, `{kind: summary, …}`.

    Raises ValueError, in one line with the form or the names there are.
    """
    parts = re.fullmatch(r"\s*(\{.*\}|[^/{}]+?)\s*(?:/([^/]*))?(?:/([^/]*))?", text)
    if parts is None:
        raise ValueError(f"{text!r}: {FORM}")
    variant, rendering, order = parts.groups()
    for name, known in ((rendering, get_args(Rendering)), (order, get_args(Order))):
        if name and name not in known:
            raise ValueError(f"{text!r}: {name!r} is none of {', '.join(known)}; {FORM}")
    options: tuple[Any, Any] = rendering or None, order or None
    choice = ContextChoice(_variant(text, variant), *options)
    if order and not has_order(choice.variant):
        raise ValueError(
            f"{text!r}: shows no failed peer beside successful ones, so it has no order; leave {order} out"
        )
    return choice


def choice_grid(texts: Iterable[str], renderings: Sequence[Rendering], orders: Sequence[Order]) -> list[ContextChoice]:
    """Every variant under every rendering and order that makes a difference to it; each once.

    Raises ValueError for what `read_choice` refuses, and for a name that stands twice.
    """
    for names, known in ((renderings, get_args(Rendering)), (orders, get_args(Order))):
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is none of {', '.join(known)}")
    grid: list[ContextChoice] = []
    for text in texts:
        choice = read_choice(text)
        takes_rendering = choice.rendering is None and shows_replies(choice.variant)
        takes_order = choice.order is None and has_order(choice.variant)
        pairs = product(
            renderings if renderings and takes_rendering else [choice.rendering],
            orders if orders and takes_order else [choice.order],
        )
        grid += [replace(choice, rendering=rendering, order=order) for rendering, order in pairs]
    return different_choices(grid)


def shows_replies(variant: Any) -> bool:
    """Whether the rendering makes a difference: whole replies of peers, and solutions, can be turns."""
    return isinstance(variant, PeerVariant | ReferenceVariant | ControlVariant)


def has_order(variant: Any) -> bool:
    """Whether a failed peer stands beside successful ones."""
    return isinstance(variant, PeerVariant) and variant.kind == "contrastive"


def different_choices(choices: list[ContextChoice]) -> list[ContextChoice]:
    """The choices; ValueError where two have one name."""
    names = [choice.name for choice in choices]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ValueError(f"{twice} stands there twice; leave one out")
    return choices


def _variant(text: str, written: str) -> Any:
    try:
        tree = yaml.safe_load(written) if written.startswith("{") else written
        return _FIXED.validate_python(tree)
    except yaml.YAMLError:
        raise ValueError(f"{text!r}: {written!r} is not a YAML mapping") from None
    except ValidationError as error:
        problems = "; ".join(
            ": ".join([*map(str, problem["loc"][1:]), problem["msg"].removeprefix("Value error, ")])
            for problem in error.errors()
        )
        raise ValueError(f"{text!r}: {problems}") from None


def _options(variant: Any) -> list[str]:
    """The kind, then what differs from its defaults: `summary`, `num_summaries.2`."""
    fields = type(variant).model_fields
    changed = {
        name: value for name, value in variant.model_dump().items() if name != "kind" and value != fields[name].default
    }
    return [variant.kind, *(f"{name}.{value}" for name, value in changed.items())]
