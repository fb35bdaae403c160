"""Settings of low-rank adapters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mopd.settings.base import Frozen, PositiveInt

MAX_RANK = 512  # vLLM's


class LoraSettings(Frozen):
    """Low-rank adapters beside frozen weights (arXiv 2106.09685); `lora: {}` takes the defaults, null trains it all."""

    rank: Annotated[int, Field(ge=1, le=MAX_RANK)] = 16
    """Rank of the update of a layer."""
    alpha: PositiveInt = 32
    """The update is scaled by alpha / rank."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of an adapter's inputs left out in training, where the policy is then not quite the one that samples."""
    target_modules: Literal["all-linear"] | Annotated[tuple[str, ...], Field(min_length=1)] = "all-linear"
    """Linear layers that get an adapter, by the end of their names: `[q_proj, v_proj]`; never the output layer."""
