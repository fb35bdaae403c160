"""Steps of a response: the stretches of its text between separators, told by token ids."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np


class StepSplitter:
    """Finds the steps of responses. A token belongs to the step that it begins in, so a separator ends its step."""

    def __init__(self, tokenizer: Any, separator: str) -> None:
        self.separator = separator
        self.text_of = lru_cache(maxsize=None)(lambda token: tokenizer.decode([token]))

    def step_ids(self, token_ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """The step of each token [T], from 0, never falling; a step that no token begins in leaves its number out."""
        pieces = [self.text_of(int(token)) for token in token_ids]
        begins = np.cumsum([0, *map(len, pieces)])[: len(pieces)]
        ends, text, at = [], "".join(pieces), 0
        while (at := text.find(self.separator, at)) >= 0:
            at += len(self.separator)
            ends.append(at)
        return np.searchsorted(np.asarray(ends, dtype=np.int64), begins, side="right")
