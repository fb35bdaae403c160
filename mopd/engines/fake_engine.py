"""A fake for tests: answers with one of the numbers in the question, each equally likely.

It runs the whole DAG in seconds, with groups that have both outcomes and log-probabilities that can be checked by hand.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mopd.engines.base import Request, Sample
from mopd.models.folders import load_tokenizer


class FakeEngine:
    """Deterministic in the request's seed; the first token carries the whole log-probability of the choice."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer: Any = load_tokenizer(folder)

    def generate(
        self, requests: Sequence[Request], progress: Callable[[int], None] = lambda done: None
    ) -> list[Sample]:
        """Sample all requests; `progress` is told how many have finished."""
        samples = []
        for request in requests:
            samples.append(self._answer(request))
            progress(len(samples))
        return samples

    def close(self) -> None:
        """Nothing to free."""

    def _answer(self, request: Request) -> Sample:
        question = self._tokenizer.decode(request.prompt_token_ids)
        numbers = sorted(set(re.findall(r"\d+", question))) or ["0"]
        choice = random.Random(request.seed).choice(numbers)
        ids = self._tokenizer.encode(f"The answer is {choice}.", add_special_tokens=False)
        ids = [*ids, self._tokenizer.eos_token_id][: request.max_tokens]
        logprobs = [-math.log(len(numbers)), *[0.0] * (len(ids) - 1)]
        reason = "stop" if ids[-1] == self._tokenizer.eos_token_id else "length"
        return Sample(np.asarray(ids, dtype=np.int32), np.asarray(logprobs, dtype=np.float32), reason)
