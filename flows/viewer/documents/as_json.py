"""Documents as JSON, which has no numbers that are none."""

from __future__ import annotations

import json
import math
from typing import Any


def json_text(document: Any) -> str:
    """In ASCII, so that no character of a model's means anything on its way; NaN and infinities as null."""
    try:
        return json.dumps(document, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(_finite(document), separators=(",", ":"), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
