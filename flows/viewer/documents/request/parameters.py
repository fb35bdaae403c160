"""What an address asks by its parameters: each is read as it is meant, or refused in a line that says what may be."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from mopd.errors import InputError

Read = Callable[[str, str], Any]
"""Of a parameter's name and its text; raises InputError."""
LARGEST = 2**31 - 1
"""Of rounds, samples and rows."""
_MOST_SHOWN = 80
"""Characters of what was given, in a line about it."""


class NotThere(InputError):
    """What is asked for well, and isn't there."""


def read_parameters(reads: Mapping[str, Read], given: Mapping[str, str]) -> dict[str, Any]:
    """The values by name. Raises InputError for one that is missing, or wrong."""
    for name in reads:
        if name not in given:
            raise InputError(f"{name}: is missing; this takes {', '.join(reads)}")
    return {name: read(name, given[name]) for name, read in reads.items()}


def whole_number(name: str, text: str) -> int:
    """From 0 on."""
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > LARGEST:
        raise InputError(f"{as_given(name, text)}: give a whole number from 0 to {LARGEST}")
    return int(text)


def any_text(name: str, text: str) -> str:
    """As it is."""
    return text


def json_value(name: str, text: str, example: str) -> Any:
    """JSON; `example`: of what is wanted."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise not_like(name, text, example) from error


def not_like(name: str, text: str, example: str) -> InputError:
    """What is raised for JSON of another kind."""
    return InputError(f"{as_given(name, text)}: give JSON like {example}")


def as_given(name: str, value: object) -> str:
    """A parameter as it was given, its beginning."""
    text = str(value)
    return f"{name}={text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + '…'}"
