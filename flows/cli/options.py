"""Types of arguments that several commands take; what an argument means stands in the docstring of its command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, Token

from storage.stores.address import Address, in_bucket


def _whole_number(_: object, tokens: tuple[Token, ...]) -> int:
    """Cyclopts would round 1.5, and read 0x10."""
    text = tokens[-1].value
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def _round(_: object, tokens: tuple[Token, ...]) -> int | str:
    """A number, or which of them is meant."""
    text = tokens[-1].value
    try:
        return text if text in ("best", "last") else int(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither a whole number, nor best, nor last") from None


def _names(_: object, tokens: tuple[Token, ...]) -> tuple[str, ...]:
    """The parts between commas, but for those within brackets. None may be empty."""
    from flows.measure.compare.arms import split_values

    text = tokens[-1].value
    parts = tuple(part.strip() for part in split_values(text))
    if not all(parts) or not parts or ",," in text or text.strip(" ").startswith(",") or text.strip(" ").endswith(","):
        raise ValueError(f"{text!r}: a name is missing; write them as A,B")
    return parts


def _address(_: object, tokens: tuple[Token, ...]) -> Address:
    """A folder, or the address of a prefix in a bucket, which is no path."""
    text = tokens[-1].value
    if not text:
        raise ValueError("is empty; name a folder")  # else it would be the current one
    return text if in_bucket(text) else Path(text)


def _local_folder(kind: object, tokens: tuple[Token, ...]) -> Path:
    address = _address(kind, tokens)
    if not isinstance(address, Path):
        raise ValueError(f"{address!r} is in a bucket; name a folder of this machine")
    return address


WholeNumber = Annotated[int, Parameter(metavar="N", converter=_whole_number)]
Round = Annotated[int | str, Parameter(metavar="N|best|last", converter=_round)]
Names = Annotated[tuple[str, ...], Parameter(metavar="A,B", converter=_names)]
Sets = Annotated[tuple[str, ...], Parameter(name="--set", metavar="KEY=VALUE")]
Folder = Annotated[Path, Parameter(metavar="DIR")]
NewFolder = Annotated[Path, Parameter(converter=_local_folder)]
Run = Annotated[Address, Parameter(converter=_address)]
RunFolder = Annotated[Address, Parameter(name="--run", metavar="DIR", converter=_address)]
Reader = Annotated[str, Parameter(metavar="MODULE:FUNCTION")]
Verifier = Annotated[str, Parameter(metavar="NAME|MODULE:FUNCTION")]
Name = Annotated[str, Parameter(metavar="NAME")]
License = Annotated[str, Parameter(metavar="ID")]
Repository = Annotated[str, Parameter(metavar="ORG/NAME")]
Source = Annotated[str, Parameter(name="SRC")]
Device = Annotated[str, Parameter(metavar="SIZE")]
