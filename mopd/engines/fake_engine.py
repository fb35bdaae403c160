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

from mopd.engines.base import Request, Sample, Sampling
from mopd.engines.stops import StopStrings, finish_reason
from mopd.models.folders import load_tokenizer


class FakeEngine:
    """Deterministic in the request's seed; the first token carries the whole log-probability of the choice.

    It has a distribution of its own, which no setting of sampling changes; stops and the length limit hold.
    """

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

    def reload(self, folder: Path) -> bool:
        """Policies of a run have one tokenizer, and nothing else is read."""
        return True

    def close(self) -> None:
        """Nothing to free."""

    def _answer(self, request: Request) -> Sample:
        question = self._tokenizer.decode(request.prompt_token_ids)
        numbers = sorted(set(re.findall(r"\d+", question))) or ["0"]
        choice = random.Random(request.seed).choice(numbers)
        ids = self._tokenizer.encode(f"The answer is {choice}.", add_special_tokens=False)
        ids = [*ids, self._tokenizer.eos_token_id][: request.sampling.max_tokens]
        ids, reason = self._stopped(ids, request.prompt_token_ids, request.sampling)
        logprobs = [-math.log(len(numbers)), *[0.0] * (len(ids) - 1)]
        return Sample(np.asarray(ids, dtype=np.int32), np.asarray(logprobs, dtype=np.float32), reason)

    def _stopped(self, ids: list[int], prompt: Sequence[int], sampling: Sampling) -> tuple[list[int], str]:
        """The reply up to where it is stopped, and why it ends there."""
        watch = StopStrings(self._tokenizer, prompt, sampling.stop) if sampling.stop else None
        ends = {self._tokenizer.eos_token_id, *sampling.stop_token_ids}
        for length, token in enumerate(ids, start=1):
            stop_string = watch.add(token) if watch and token not in ends else None
            if token in ends or stop_string or length == len(ids):
                reason = finish_reason(token, sampling.stop_token_ids, stop_string=stop_string, ended=token in ends)
                return ids[:length], reason
        raise AssertionError("a reply has at least one token")
