"""Generation engines behind one interface; each sampled token comes with its log-probability under the distribution
that was sampled from, whatever the request makes of the model's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mopd.engines.base import Engine, Request, Sample, Sampling

if TYPE_CHECKING:  # training, which runs where pydantic is not installed, reads why replies ended
    from mopd.settings import GenerateSettings, ModelSettings

__all__ = ["Engine", "Request", "Sample", "Sampling", "make_engine"]


def make_engine(settings: GenerateSettings, model: ModelSettings, folder: Path, *, base: Path | None = None) -> Engine:
    """The engine that the settings name, with the model of `folder` loaded.

    With `base`, vLLM samples from that folder and the adapter in `folder`, since merging would round small updates away
    in bfloat16; other engines take the merged weights.
    """
    if settings.engine == "vllm":
        from mopd.engines.vllm_engine import VllmEngine

        return VllmEngine(settings, model, folder, base=base)
    if settings.engine == "transformers":
        from mopd.engines.transformers_engine import TransformersEngine

        return TransformersEngine(settings, model, folder)
    from mopd.engines.fake_engine import FakeEngine

    return FakeEngine(folder)
