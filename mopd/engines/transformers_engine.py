"""Sampling by a plain transformers forward pass with a key-value cache, where vLLM can't be installed.

Each request has its own random generator, so its tokens depend on its seed alone. Requests of one sampling with prompts
of equal length are decoded together: no padding, so the numbers are those of the prompt by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mopd.engines.base import Request, Sample, Sampling
from mopd.engines.distribution import sampling_logps
from mopd.engines.stops import StopStrings, finish_reason
from mopd.models.device import autocast, default_device
from mopd.models.folders import load_tokenizer
from mopd.pulse import beat
from mopd.reading.narrow import load_reader
from mopd.settings import GenerateSettings, ModelSettings


class TransformersEngine:
    """Batched ancestral sampling."""

    def __init__(self, settings: GenerateSettings, model: ModelSettings, folder: Path) -> None:
        self._device = default_device()
        self._precision = model.precision
        self._batch = settings.max_num_seqs
        self._folder = folder
        self._model = load_reader(folder, self._device, model.precision)
        end = self._model.generation_config.eos_token_id
        self._end_ids = {*(end if isinstance(end, list) else [end]), self._tokenizer.eos_token_id}  # as vLLM does

    def generate(
        self, requests: Sequence[Request], progress: Callable[[int], None] = lambda done: None
    ) -> list[Sample]:
        """Sample all requests; `progress` is told how many have finished."""
        order = sorted(range(len(requests)), key=lambda number: (len(requests[number].prompt_token_ids), number))
        samples: dict[int, Sample] = {}
        while order:
            kind = _kind(requests[order[0]])
            batch = [number for number in order[: self._batch] if _kind(requests[number]) == kind]
            taken = set(batch)
            order = [number for number in order if number not in taken]
            samples |= dict(zip(batch, self._decode([requests[number] for number in batch]), strict=True))
            progress(len(samples))
        return [samples[number] for number in range(len(requests))]

    def reload(self, folder: Path) -> bool:
        """Never: it is made anew as fast."""
        return False

    def close(self) -> None:
        """Free the model."""
        del self._model

    @torch.no_grad()
    def _decode(self, requests: Sequence[Request]) -> list[Sample]:
        """Rollouts of prompts of one length under one sampling; those that have ended are decoded on, and not kept."""
        generators = [torch.Generator().manual_seed(request.seed) for request in requests]
        replies = [self._begin(request) for request in requests]
        prompts_BL = torch.tensor([request.prompt_token_ids for request in requests])
        ids_BL, inputs_BL, cache = prompts_BL, prompts_BL, None
        while any(reply.finish_reason is None for reply in replies):
            beat()
            with autocast(self._precision, self._device):
                output = self._model(
                    inputs_BL.to(self._device), past_key_values=cache, use_cache=True, logits_to_keep=1
                )
            cache = output.past_key_values
            logits_BV = output.logits[:, -1].float().cpu()
            logps_BV = sampling_logps(logits_BV, ids_BL, requests[0].sampling, num_prompt=prompts_BL.shape[1])
            inputs_BL = _draw(logps_BV, generators)[:, None]
            ids_BL = torch.cat([ids_BL, inputs_BL], dim=1)
            for row, reply in enumerate(replies):
                token = int(inputs_BL[row])
                reply.add(token, float(logps_BV[row, token]))
        return [reply.sample() for reply in replies]

    def _begin(self, request: Request) -> _Reply:
        stop = request.sampling.stop
        watch = StopStrings(self._tokenizer, request.prompt_token_ids, stop) if stop else None
        return _Reply(request.sampling, self._end_ids, watch)

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self._folder)


class _Reply:
    """One rollout while it is decoded."""

    def __init__(self, sampling: Sampling, end_ids: set[int], watch: StopStrings | None) -> None:
        self._sampling, self._watch = sampling, watch
        self._end_ids = end_ids | set(sampling.stop_token_ids)
        self._token_ids: list[int] = []
        self._logprobs: list[float] = []
        self.finish_reason: str | None = None

    def add(self, token: int, logprob: float) -> None:
        """The next token, unless the reply has ended."""
        if self.finish_reason is not None:
            return
        self._token_ids.append(token)
        self._logprobs.append(logprob)
        ended, stops = token in self._end_ids, self._sampling.stop_token_ids
        stop_string = self._watch.add(token) if self._watch and not ended else None
        if ended or stop_string or len(self._token_ids) == self._sampling.max_tokens:
            self.finish_reason = finish_reason(token, stops, stop_string=stop_string, ended=ended)

    def sample(self) -> Sample:
        """The rollout, ended."""
        assert self.finish_reason is not None, "a reply is asked for when it has ended"
        logprobs = np.asarray(self._logprobs, dtype=np.float32)
        return Sample(np.asarray(self._token_ids, dtype=np.int32), logprobs, self.finish_reason)


def _kind(request: Request) -> tuple[int, Sampling]:
    """What requests that are decoded together have in common."""
    return len(request.prompt_token_ids), request.sampling


def _draw(logps_BV: Tensor, generators: list[torch.Generator]) -> Tensor:
    """One token a row, each from its own generator: the exponential race, exact sampling from softmax."""
    noise_BV = torch.stack([torch.empty(logps_BV.shape[1]).exponential_(generator=g) for g in generators])
    return (logps_BV - noise_BV.log()).argmax(dim=-1)
