"""Sampling by a plain transformers forward pass with a key-value cache, where vLLM can't be installed.

Each request has its own random generator, so its tokens depend on its seed alone. Requests with prompts of equal
length are decoded together: no padding, so the numbers are those of the prompt by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mopd.engines.base import Request, Sample
from mopd.models.device import autocast, default_device
from mopd.models.narrow import load_reader
from mopd.settings import GenerateSettings, ModelSettings


class TransformersEngine:
    """Batched ancestral sampling."""

    def __init__(self, settings: GenerateSettings, model: ModelSettings, folder: Path) -> None:
        self._device = default_device()
        self._precision = model.precision
        self._batch = settings.max_num_seqs
        self._model = load_reader(folder, self._device, model.precision)
        end = self._model.generation_config.eos_token_id
        self._end_ids = set(end if isinstance(end, list) else [end])

    def generate(
        self, requests: Sequence[Request], progress: Callable[[int], None] = lambda done: None
    ) -> list[Sample]:
        """Sample all requests; `progress` is told how many have finished."""
        order = sorted(range(len(requests)), key=lambda number: (len(requests[number].prompt_token_ids), number))
        samples: dict[int, Sample] = {}
        while order:
            length = len(requests[order[0]].prompt_token_ids)
            batch = [n for n in order[: self._batch] if len(requests[n].prompt_token_ids) == length]
            order = order[len(batch) :]
            samples |= dict(zip(batch, self._decode([requests[number] for number in batch]), strict=True))
            progress(len(samples))
        return [samples[number] for number in range(len(requests))]

    def close(self) -> None:
        """Free the model."""
        del self._model

    @torch.no_grad()
    def _decode(self, requests: Sequence[Request]) -> list[Sample]:
        generators = [torch.Generator().manual_seed(request.seed) for request in requests]
        temperatures_B1 = torch.tensor([[request.temperature] for request in requests])
        inputs_BL = torch.tensor([request.prompt_token_ids for request in requests], device=self._device)
        tokens: list[list[int]] = [[] for _ in requests]
        logprobs: list[list[float]] = [[] for _ in requests]
        running = set(range(len(requests)))
        cache = None
        while running:
            with autocast(self._precision, self._device):
                output = self._model(inputs_BL, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = output.past_key_values
            logps_BV = torch.log_softmax(output.logits[:, -1].float().cpu() / temperatures_B1, dim=-1)
            chosen_B = _draw(logps_BV, generators)
            for row in sorted(running):
                token = int(chosen_B[row])
                tokens[row].append(token)
                logprobs[row].append(float(logps_BV[row, token]))
                if token in self._end_ids or len(tokens[row]) == requests[row].max_tokens:
                    running.discard(row)
            inputs_BL = chosen_B[:, None].to(self._device)
        return [
            Sample(
                np.asarray(ids, dtype=np.int32),
                np.asarray(logps, dtype=np.float32),
                "stop" if ids[-1] in self._end_ids else "length",
            )
            for ids, logps in zip(tokens, logprobs, strict=True)
        ]


def _draw(logps_BV: Tensor, generators: list[torch.Generator]) -> Tensor:
    """One token a row, each from its own generator: the exponential race, exact sampling from softmax."""
    noise_BV = torch.stack([torch.empty(logps_BV.shape[1]).exponential_(generator=g) for g in generators])
    return (logps_BV - noise_BV.log()).argmax(dim=-1)
