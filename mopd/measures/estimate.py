"""A mean with its interval: the bootstrap behind every number that is shown.

What can't be computed is None, never 0. Axes: B draws, S seeds, P prompts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from mopd.seeds import derive_seed

Floats = np.ndarray[Any, Any]
Interval = tuple[float, float]
Values = Mapping[str, float]
"""One number a prompt, by the prompt's id."""


@dataclass(frozen=True)
class Estimate:
    """A mean with the ends of its 95 % interval; None where undefined."""

    value: float | None
    low: float | None
    high: float | None
    num: int
    """Numbers in the mean, one a prompt; of all seeds together."""
    num_null: int = 0
    """Prompts without a number, left out."""

    @classmethod
    def of(cls, value: float | None, interval: Interval | None, num: int, num_null: int = 0) -> Estimate:
        """The same from a pair of ends."""
        low, high = interval or (None, None)
        return cls(value, low, high, num, num_null)

    @property
    def interval(self) -> Interval | None:
        """Both ends; None for fewer than two numbers."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def text(self, form: str = "z.3f", scale: float = 1, unit: str = "") -> str | None:
        """0.417 [0.351, 0.480], each number by `form`, `unit` behind the first; None where undefined."""
        if self.value is None:
            return None
        ends = [f"{scale * end:{form}}" for end in self.interval or ()]
        return f"{scale * self.value:{form}}{unit}" + (f" [{', '.join(ends)}]" if ends else "")


UNDEFINED = Estimate(None, None, None, 0)
"""What stands where no number can be."""


def estimate_mean(values: Iterable[float | None], *, num_samples: int, seed: int) -> Estimate:
    """The mean of numbers, one a prompt, with its interval from `num_samples` draws of prompts."""
    listed = list(values)
    known = [value for value in listed if value is not None]
    interval = bootstrap_interval(known, num_samples=num_samples, seed=seed)
    return Estimate.of(float(np.mean(known)) if known else None, interval, len(known), len(listed) - len(known))


def estimate_mean_of_seeds(seeds: Sequence[Values], *, num_samples: int, seed: int) -> Estimate:
    """The mean over seeds of the means over prompts; seeds without any number are left out."""
    present = [values for values in seeds if values]
    value = float(np.mean([np.mean(list(values.values())) for values in present])) if present else None
    interval = hierarchical_interval(present, num_samples=num_samples, seed=seed)
    return Estimate.of(value, interval, sum(map(len, present)))


def bootstrap_interval(values: Sequence[float], *, num_samples: int, seed: int) -> Interval | None:
    """95 % percentile interval of the mean over resampled prompts; None for fewer than two values."""
    if len(values) < 2:
        return None
    values_P = np.asarray(values, dtype=np.float64)
    return _percentiles(values_P.take(_draws(len(values), num_samples, seed)).mean(axis=1))


def hierarchical_interval(seeds: Sequence[Values], *, num_samples: int, seed: int) -> Interval | None:
    """95 % percentile interval of the mean of means: seeds are drawn, then prompts within each seed that was drawn.

    Where all seeds have the same prompts, these are drawn once for all of them: a prompt that is hard is hard for
    every seed. One seed: over its prompts alone. None for fewer than two numbers in all.
    """
    if sum(map(len, seeds)) < 2:
        return None
    rng = np.random.default_rng(derive_seed(seed, "comparison"))
    ids = sorted(seeds[0])
    crossed = all(sorted(values) == ids for values in seeds)
    tables = [np.asarray([values[prompt] for prompt in sorted(values)], dtype=np.float64) for values in seeds]
    drawn_BS = rng.integers(len(tables), size=(num_samples, len(tables)))
    return _percentiles(_crossed_means(tables, drawn_BS, rng) if crossed else _nested_means(tables, drawn_BS, rng))


@lru_cache(maxsize=4)
def _draws(num_prompts: int, num_samples: int, seed: int) -> Floats:
    """[B, P]: the places drawn. Kept, since many numbers are of as many prompts."""
    rng = np.random.default_rng(derive_seed(seed, "bootstrap"))
    return rng.integers(num_prompts, size=(num_samples, num_prompts))


def _percentiles(means_B: Floats) -> Interval:
    low, high = np.quantile(means_B, [(1 - 0.95) / 2, (1 + 0.95) / 2])
    return float(low), float(high)


def _nested_means(tables: list[Floats], drawn_BS: Floats, rng: np.random.Generator) -> Floats:
    """Of each of the B draws of S seeds, the mean over these; each has prompts of its own drawn, every time anew."""
    means_BS = np.empty(drawn_BS.shape)
    for seed, values_P in enumerate(tables):
        where_BS = drawn_BS == seed
        prompts_NP = rng.integers(values_P.size, size=(int(where_BS.sum()), values_P.size))
        means_BS[where_BS] = values_P[prompts_NP].mean(axis=1)
    return means_BS.mean(axis=1)


def _crossed_means(tables: list[Floats], drawn_BS: Floats, rng: np.random.Generator) -> Floats:
    """The same where each of the B draws has one draw of prompts, for all its seeds."""
    values_SP = np.stack(tables)
    prompts_BP = rng.integers(values_SP.shape[1], size=(len(drawn_BS), values_SP.shape[1]))
    return np.mean([values_SP[seed_B[:, None], prompts_BP].mean(axis=1) for seed_B in drawn_BS.T], axis=0)
