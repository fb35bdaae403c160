"""vLLM, offline and in this process. The only module of mopd that imports vLLM.

Three facts shape it (vLLM 0.32, CPU): a seeded request whose prompt is prefilled in two chunks crashes on the CPU, so
chunked prefill is off and a whole prompt always fits a step; returned log-probabilities are raw unless
`logprobs_mode` says otherwise; and the default executor starts two more processes, each importing vLLM again.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from mopd.engines.base import Request, Sample, Sampling
from mopd.engines.stops import finish_reason
from mopd.errors import EngineDead, InputError
from mopd.memory.available import available_memory, num_sharing
from mopd.memory.footprint import ModelShape, cache_bytes, empty_model, shape_of
from mopd.models.folders import ADAPTER, autocast_dtype, model_window
from mopd.models.lora import adapter_rank
from mopd.pulse import beat
from mopd.settings import GenerateSettings, ModelSettings
from mopd.timeline import span

ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "HF_HUB_OFFLINE": "1",
}
MIN_BATCHED_TOKENS = 8192
CPU_BLOCK_TOKENS = 32
"""A cache block of 128 tokens, the default on the CPU, would never hold a short prompt."""
CPU_ARGUMENTS: dict[str, Any] = {"distributed_executor_backend": "uni", "block_size": CPU_BLOCK_TOKENS}
MAX_CPU_CACHE_BYTES = 2 << 30
SEVERAL_DEVICES: dict[str, Any] = {"distributed_executor_backend": "mp"}
"""A process a device, all on this host, whatever started this one."""
ATTENTION_LAYERS = frozenset({"full_attention", "sliding_attention"})
"""Kinds of layers, as a config has them, that keep keys and values of each token; others keep states of a sequence."""
CPU_CORES_VARIABLE = "VLLM_CPU_OMP_THREADS_BIND"
CPU_CACHE_VARIABLE = "VLLM_CPU_KVCACHE_SPACE"
"""vLLM's own setting for the cache on the CPU, in GiB; it is taken as it is."""
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


class VllmEngine:
    """Sampling by vLLM's continuous batching, with a seed for each request."""

    def __init__(
        self, settings: GenerateSettings, model: ModelSettings, folder: Path, *, base: Path | None = None
    ) -> None:
        import torch

        on_gpu, num_devices = torch.cuda.is_available(), settings.num_devices
        cores = {} if on_gpu else {CPU_CORES_VARIABLE: own_cores(num_devices)}
        for name, value in (ENVIRONMENT | cores).items():
            os.environ.setdefault(name, value)
        check_arguments(settings.engine_arguments)
        window = min(model_window(folder), settings.max_prompt_tokens + settings.max_tokens)
        dtype = autocast_dtype(model.precision, "cuda" if on_gpu else "cpu") or torch.float32
        self._adapter = _lora_request(folder) if base else None
        arguments = {
            "dtype": str(dtype).removeprefix("torch."),
            "max_model_len": window,
            "max_num_seqs": settings.max_num_seqs,
            "max_num_batched_tokens": max(window, MIN_BATCHED_TOKENS),
            "enable_chunked_prefill": False,
            "enforce_eager": not on_gpu,
            "logprobs_mode": "processed_logprobs",
            "disable_log_stats": True,
            **({} if on_gpu else cpu_arguments(num_devices, _most_cache(base or folder, settings, window, dtype))),
            **({} if num_devices == 1 else SEVERAL_DEVICES),
            **(_lora_arguments(folder) if base else {}),
        }
        self._has_arguments = bool(settings.engine_arguments)
        self._llm = _make_llm(str(base or folder), arguments, settings.engine_arguments)

    def generate(
        self, requests: Sequence[Request], progress: Callable[[int], None] = lambda done: None
    ) -> list[Sample]:
        """Sample all requests; `progress` is told how many have finished.

        What earlier calls left in the prefix cache is dropped first: it could change the last digits of these ones.
        Raises EngineDead where a process of the engine is gone.
        """
        try:
            return self._generate(requests, progress)
        except Exception as error:
            if self._is_dead(error):
                raise EngineDead(f"vLLM's engine is dead: {error}") from error
            raise

    def _generate(self, requests: Sequence[Request], progress: Callable[[int], None]) -> list[Sample]:
        if not self._llm.reset_prefix_cache():
            raise RuntimeError("vLLM can't empty its prefix cache: requests of an earlier call are still in it")
        samples: dict[int, Sample] = {}

        def step() -> None:
            beat()
            with span("sample", "device"):
                outputs = self._llm.llm_engine.step()
            for output in outputs:
                if output.finished:
                    number = int(output.request_id.split("-")[0])
                    samples[number] = _sample(output.outputs[0], requests[number].sampling)
                    progress(len(samples))

        first_of: dict[tuple[int, ...], int] = {}
        first = [n for n, request in enumerate(requests) if first_of.setdefault(request.prompt_token_ids, n) == n]
        self._submit(requests, first)
        step()  # prefills every prompt once, so that the rest of each group finds its prompt in the prefix cache
        self._submit(requests, sorted(set(range(len(requests))) - set(first)))
        while self._llm.llm_engine.has_unfinished_requests():
            step()
        return [samples[number] for number in range(len(requests))]

    def _submit(self, requests: Sequence[Request], numbers: list[int]) -> None:
        for number in numbers:
            prompt = {"prompt_token_ids": list(requests[number].prompt_token_ids)}
            parameters = _parameters(requests[number].sampling, requests[number].seed)
            self._llm.llm_engine.add_request(str(number), prompt, parameters, lora_request=self._adapter)

    def reload(self, folder: Path) -> bool:
        """Whether the engine took the weights of another folder, or its adapter, in place of its own.

        Not with arguments of the user's: what these make of weights may not be undone by loading others.
        """
        if self._has_arguments:
            return False
        if self._adapter is not None:
            self._adapter = _lora_request(folder, number=self._adapter.lora_int_id + 1)
        else:
            self._llm.collective_rpc(_reload_weights, args=(str(folder),))
        return True

    def _is_dead(self, error: Exception) -> bool:
        """Its core says so, or its executor, which lost a process or has waited for one for minutes."""
        from vllm.v1.engine.exceptions import EngineDeadError

        executor = getattr(self._llm.llm_engine, "model_executor", None)
        return isinstance(error, EngineDeadError | TimeoutError) or getattr(executor, "is_failed", False)

    def close(self) -> None:
        """Free the model; the device memory goes with the process."""
        del self._llm


@span("start vLLM", "load")
def _make_llm(model: str, arguments: dict[str, Any], given: dict[str, Any]) -> Any:
    """vLLM's `LLM`, with the user's arguments in place of ours. InputError where it can't be made with those."""
    from vllm import LLM

    try:
        return LLM(model, **arguments | given)
    except (TypeError, ValueError) as error:
        if not given:
            raise
        reason = " ".join(str(error).split())
        raise InputError(f"generate.engine_arguments: vLLM does not start with {given}: {reason}") from error


def _reload_weights(worker: Any, folder: str) -> None:
    """In a process of the engine. Of tied weights vLLM's own reload leaves the head as it was packed for the CPU."""
    worker.reload_weights(weights_path=folder)
    model = worker.get_model()
    weights: dict[int, Any] = {}
    for layer in model.modules():
        weight = getattr(layer, "weight", None)
        if weight is None or not hasattr(layer, "cpu_linear") or not weight.numel():
            continue
        if weights.setdefault(weight.data_ptr(), layer) is not layer:
            layer.quant_method.process_weights_after_loading(layer)


def _lora_request(folder: Path, number: int = 1) -> Any:
    """vLLM knows an adapter by its number."""
    from vllm.lora.request import LoRARequest

    return LoRARequest(f"policy-{number}", number, str(folder / ADAPTER))


def _lora_arguments(folder: Path) -> dict[str, Any]:
    """One adapter, its rank rounded up to one that vLLM knows."""
    rank = adapter_rank(folder)
    return {"enable_lora": True, "max_loras": 1, "max_lora_rank": min(known for known in LORA_RANKS if known >= rank)}


def _parameters(sampling: Sampling, seed: int) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        repetition_penalty=sampling.repetition_penalty,
        presence_penalty=sampling.presence_penalty,
        stop=list(sampling.stop),
        stop_token_ids=list(sampling.stop_token_ids),
        max_tokens=sampling.max_tokens,
        seed=seed,
        logprobs=0,
        detokenize=bool(sampling.stop),  # vLLM looks for them in text
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _sample(output: Any, sampling: Sampling) -> Sample:
    pairs = zip(output.logprobs, output.token_ids, strict=True)
    # Greedy tokens come with what the model gives them at temperature 1; they were sampled from a point mass.
    logprobs = [position[token].logprob if sampling.temperature else 0.0 for position, token in pairs]
    reason = finish_reason(
        output.token_ids[-1],
        sampling.stop_token_ids,
        stop_string=output.stop_reason if isinstance(output.stop_reason, str) else None,
        ended=output.finish_reason != "length",
    )
    return Sample(np.asarray(output.token_ids, dtype=np.int32), np.asarray(logprobs, dtype=np.float32), reason)


def check_arguments(arguments: dict[str, Any]) -> None:
    """InputError for arguments that vLLM does not know."""
    from vllm import EngineArgs

    names = [field.name for field in fields(EngineArgs)]
    for unknown in arguments.keys() - set(names):
        close = get_close_matches(unknown, names, n=1)
        hint = f"did you mean {close[0]}?" if close else "see the arguments of its class LLM"
        raise InputError(f"generate.engine_arguments: vLLM has no argument {unknown}; {hint}")


def cpu_arguments(num_devices: int = 1, most_bytes: int = MAX_CPU_CACHE_BYTES) -> dict[str, Any]:
    """What the engine is made with on a CPU."""
    return {**CPU_ARGUMENTS, "kv_cache_memory_bytes": cpu_cache_bytes(most_bytes) // num_devices}


def cpu_cache_bytes(most_bytes: int = MAX_CPU_CACHE_BYTES) -> int:
    """Bytes for keys and values on a CPU: half of the memory there is, so that the model has room, at most 2 GiB.

    Engines beside each other on one host divide the half. No more than `most_bytes`: vLLM fills all of it with zeros.
    """
    if os.environ.get(CPU_CACHE_VARIABLE):
        return int(os.environ[CPU_CACHE_VARIABLE]) << 30
    return min(MAX_CPU_CACHE_BYTES, most_bytes, available_memory() // 2 // num_sharing())


def most_cache_bytes(shape: ModelShape, width: int, *, window: int, num_sequences: int) -> int:
    """Keys and values of so many sequences of `window` tokens in whole blocks, and of one more; `width` of a number."""
    blocks = math.ceil(window / CPU_BLOCK_TOKENS) * (num_sequences + 1)
    return cache_bytes(shape, width, num_tokens=blocks * CPU_BLOCK_TOKENS)


def _most_cache(folder: Path, settings: GenerateSettings, window: int, dtype: Any) -> int:
    """What the cache can hold at once; the ceiling where that isn't known: by the user's arguments, of other layers."""
    if settings.engine_arguments:
        return MAX_CPU_CACHE_BYTES
    try:
        model = empty_model(folder)
    except InputError:
        return MAX_CPU_CACHE_BYTES
    kinds = getattr(model.config.get_text_config(), "layer_types", None) or []
    if set(kinds) - ATTENTION_LAYERS:
        return MAX_CPU_CACHE_BYTES
    return most_cache_bytes(shape_of(model), dtype.itemsize, window=window, num_sequences=settings.max_num_seqs)


def own_cores(num_devices: int = 1) -> str:
    """The cores of this process, divided among the devices of its engine; vLLM leaves one out by default."""
    cores = sorted(os.sched_getaffinity(0))
    size = len(cores) // num_devices
    parts = [cores[first * size : (first + 1) * size] for first in range(num_devices)]
    return "|".join(",".join(map(str, part)) for part in parts)
