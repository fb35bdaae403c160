"""vLLM's `LLM` as a user would make it in this process, with the arguments that our engine gives it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def make_plain(model: Any, folder: Path, *, window: int, batched_tokens: int, **others: Any) -> Any:
    """The engine of a model folder, by the settings `model`; import nothing else of vLLM before it.

    `window`: longest sequence; `batched_tokens`: of a step, at least a window. Chunked prefill is off, as in ours: with
    it a seeded request can end the engine on the CPU.
    """
    import torch

    from mopd.engines.vllm_engine import CPU_CORES_VARIABLE, ENVIRONMENT, cpu_arguments, own_cores
    from mopd.models.folders import autocast_dtype

    on_gpu = torch.cuda.is_available()
    os.environ.update(ENVIRONMENT | ({} if on_gpu else {CPU_CORES_VARIABLE: own_cores()}))
    from vllm import LLM

    dtype = autocast_dtype(model.precision, "cuda" if on_gpu else "cpu") or torch.float32
    return LLM(
        str(folder),
        dtype=str(dtype).removeprefix("torch."),
        max_model_len=window,
        max_num_batched_tokens=max(window, batched_tokens),
        enable_chunked_prefill=False,
        enforce_eager=not on_gpu,
        **({} if on_gpu else cpu_arguments()),
        **others,
    )
