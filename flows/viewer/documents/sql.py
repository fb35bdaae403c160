"""Conditions of SQL whose values are bound."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def one_of(column: str, values: Iterable[Any]) -> tuple[str, dict[str, Any]]:
    """That a column has one of some values, and the parameters: only shards with such rows are opened for it.

    A list that is bound as one parameter would be compared after every shard was read.
    """
    named = {f"{column}_{number}": value for number, value in enumerate(values)}
    return f"{column} IN ({', '.join(f'${name}' for name in named)})" if named else "false", named
