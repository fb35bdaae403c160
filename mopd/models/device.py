"""Where models run, and in which precision."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch

from mopd.models.folders import autocast_dtype


def default_device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(precision: str, device: torch.device) -> Any:
    """Context of the forward pass; a no-op in fp32."""
    dtype = autocast_dtype(precision, device.type)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)
