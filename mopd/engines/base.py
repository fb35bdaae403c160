"""What an engine is asked for, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Request:
    """One rollout to sample."""

    prompt_token_ids: tuple[int, ...]
    seed: int
    temperature: float
    max_tokens: int


@dataclass(frozen=True)
class Sample:
    """A sampled rollout: token ids (the end token included when it was sampled) and their log-probabilities [T]."""

    token_ids: np.ndarray
    logprobs: np.ndarray
    finish_reason: str  # "stop" | "length"


class Engine(Protocol):
    """Samples requests in order; the same request gives the same rollout whatever stands beside it in the batch."""

    def generate(
        self, requests: Sequence[Request], progress: Callable[[int], None] = lambda done: None
    ) -> list[Sample]: ...

    def close(self) -> None: ...
