"""What all settings classes share: they are frozen, unknown keys are refused, and a choice is told by its `kind`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler

from mopd.settings.docstrings import docstrings

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Beta = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]


def _unquoted(value: Any) -> Any:
    """YAML reads a bare `on` as true."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


Switch = Annotated[Literal["auto", "on", "off"], BeforeValidator(_unquoted)]


class Frozen(BaseModel):
    """Base of every settings class: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """With the fields' docstrings, which Prefect shows where it asks for settings."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        for name, text in docstrings(cls).items():
            schema["properties"][name].setdefault("description", text)
        return schema

    def __hash__(self) -> int:
        return hash(self.model_dump_json())  # pydantic's own fails where a setting is a mapping


def choice(*classes: type[Frozen], beside: Iterable[str] = ()) -> BeforeValidator:
    """For a union with `Field(discriminator="kind")`: a name alone is its kind, no kind is the first class's first.

    Write `Annotated[One | Other, Field(discriminator="kind"), choice(One, Other)]`. Another kind is refused by a list
    of those there are, and of the names `beside` them that stand for a kind and more.
    """
    kinds = [kind for settings_class in classes for kind in get_args(settings_class.model_fields["kind"].annotation)]

    def expand(value: Any) -> Any:
        if isinstance(value, classes):
            return value
        if not isinstance(value, str | dict):
            raise ValueError(f"choose one of {', '.join(sorted({*kinds, *beside}))}, or give its settings")
        tree = {"kind": kinds[0], **({"kind": value} if isinstance(value, str) else value)}
        if tree["kind"] not in kinds:
            raise ValueError(f"{tree['kind']!r} is unknown; choose one of {', '.join(sorted({*kinds, *beside}))}")
        return tree

    return BeforeValidator(expand)
