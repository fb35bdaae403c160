"""What an engine is asked for, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from mopd.settings import GenerateSettings


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn and where a reply ends: settings of `generate`, or of an evaluation, by their names."""

    temperature: float
    """0: greedy."""
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float
    presence_penalty: float
    stop: tuple[str, ...]
    stop_token_ids: tuple[int, ...]
    max_tokens: int

    @classmethod
    def of(cls, settings: GenerateSettings) -> Sampling:
        """What the settings say of it."""
        return cls(**{field.name: getattr(settings, field.name) for field in fields(cls)})


@dataclass(frozen=True)
class Request:
    """One rollout to sample."""

    prompt_token_ids: tuple[int, ...]
    seed: int
    sampling: Sampling


@dataclass(frozen=True)
class Sample:
    """A sampled rollout: token ids (those that ended it included) and their log-probabilities [T]."""

    token_ids: np.ndarray
    logprobs: np.ndarray
    finish_reason: str
    """As `mopd.engines.stops` spells it."""


class Engine(Protocol):
    """Samples requests in order; the same request gives the same rollout whatever stands beside it in the batch."""

    def generate(
        self, requests: Sequence[Request], progress: Callable[[int], None] = lambda done: None
    ) -> list[Sample]: ...

    def reload(self, folder: Path) -> bool:
        """Whether the engine took the weights of another folder, or its adapter, in place of its own."""

    def close(self) -> None: ...
