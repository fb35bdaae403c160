"""Arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, Token


def _whole_number(_: object, tokens: tuple[Token, ...]) -> int:
    """Cyclopts would round 1.5, and read 0x10."""
    text = tokens[-1].value
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def _names(_: object, tokens: tuple[Token, ...]) -> tuple[str, ...]:
    """The parts between commas, but for those within brackets. None may be empty."""
    from flows.arms import split_values

    text = tokens[-1].value
    parts = tuple(part.strip() for part in split_values(text))
    if not all(parts) or not parts or ",," in text or text.strip(" ").startswith(",") or text.strip(" ").endswith(","):
        raise ValueError(f"{text!r}: a name is missing; write them as A,B")
    return parts


Run = Annotated[Path, Parameter(help="the run's folder")]
Config = Annotated[Path, Parameter(help="a YAML file of settings, e.g. examples/tiny.yaml, or a run's folder")]
RunOption = Annotated[
    Path | None, Parameter(name="--run", metavar="DIR", help="the run's folder (default: a new one under runs/)")
]
Whole = Annotated[int, Parameter(converter=_whole_number)]
Count = Annotated[Whole, Parameter(metavar="N")]
Round = Annotated[Whole, Parameter(metavar="N", help="a round of the run, from 0 on")]
Names = Annotated[tuple[str, ...], Parameter(metavar="A,B", converter=_names)]
Sets = Annotated[tuple[str, ...], Parameter(name="--set", metavar="KEY=VALUE")]
Out = Annotated[Path | None, Parameter(metavar="DIR")]
Reader = Annotated[str | None, Parameter(metavar="MODULE:FUNCTION", help="a function of yours that reads a row")]
Verifier = Annotated[str | None, Parameter(metavar="NAME", help="what judges all tasks, instead of what the rows say")]
