"""JSON as the files of a run have it."""

from __future__ import annotations

import json
from typing import Any


def parse_json(content: bytes | str) -> Any:
    """What it says. ValueError, without the parser's own words, for what is no JSON, or cut short."""
    try:
        return json.loads(content)
    except ValueError as error:
        raise ValueError("no JSON, or cut short") from error
