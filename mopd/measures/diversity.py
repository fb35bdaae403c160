"""How varied the replies of a group are, by text and, for programs, by syntax; means over prompts with intervals.

Each number is of all replies of a prompt, or of its successful ones only. What can't be computed is None, never 0, and
stays out of means, where it is counted.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import combinations
from math import exp, log
from statistics import fmean
from typing import Any

from mopd.measures.estimate import Estimate, estimate_mean
from mopd.measures.text_matching import Matcher

Row = dict[str, Any]
Tokens = list[str]
Pairs = dict[tuple[int, int], float | None]
"""A number for each pair of replies, by their places in the group, the earlier one first."""

BLEU_ORDER = 4
REPLIES = ("all", "successes")
"""Of which replies of a prompt a number is."""

_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Diversity:
    """The numbers of one group of replies, in [0, 1]; None where undefined."""

    distinct_1: float | None
    distinct_2: float | None
    self_bleu_4: float | None
    """High where replies are alike; of the others, low."""
    unique_ratio: float | None
    pairwise_text_distance: float | None
    ast_jaccard_distance: float | None


METRICS = tuple(field.name for field in fields(Diversity))


def prompt_diversity(rows: Iterable[Row], *, is_code: bool, function: str | None = None) -> dict[str, Diversity]:
    """The numbers of one prompt's replies, for each name in REPLIES, from rows with `sample`, `text`, `success`.

    Replies count in the order of their samples. One without a verdict (`success` None) is among all, and no success.
    `is_code`: the reply is judged by the program in it, which `mopd.verifiers.code.blocks` finds, and which is asked to
    define `function`, or to be run whole.
    """
    replies = sorted(rows, key=lambda row: int(row["sample"]))
    texts = [str(row["text"]) for row in replies]
    from mopd.verifiers.code.blocks import find_program  # all verifiers come along, for whoever counts n-grams

    group = Group(texts, [find_program(text, function) for text in texts] if is_code else None)
    return {
        "all": group.diversity(range(len(replies))),
        "successes": group.diversity([place for place, row in enumerate(replies) if row["success"]]),
    }


class Group:
    """The replies of one prompt. What is costly is computed once, for whichever of them are asked about."""

    def __init__(self, texts: Sequence[str], programs: Sequence[str | None] | None = None) -> None:
        """`programs`: of each reply the program in it, None where there is none; None for tasks without programs."""
        self.texts, self.programs = texts, programs

    def diversity(self, places: Sequence[int] | None = None) -> Diversity:
        """The numbers of the replies at `places` (rising); of all by default."""
        places = range(len(self.texts)) if places is None else places
        tokens = [self._tokens[place] for place in places]
        return Diversity(
            distinct_1=distinct(tokens, 1),
            distinct_2=distinct(tokens, 2),
            self_bleu_4=self_bleu(tokens),
            unique_ratio=unique_ratio([self.texts[place] for place in places]),
            pairwise_text_distance=mean_over_pairs(self._text_distances, places),
            ast_jaccard_distance=mean_over_pairs(self._ast_distances, places),
        )

    @cached_property
    def _tokens(self) -> list[Tokens]:
        return [tokenize(text) for text in self.texts]

    @cached_property
    def _text_distances(self) -> Pairs:
        return text_distances(self.texts)

    @cached_property
    def _ast_distances(self) -> Pairs:
        return ast_distances(self.programs if self.programs is not None else [None] * len(self.texts))


def tokenize(text: str) -> Tokens:
    """Runs of word characters (letters, digits, `_`; Unicode's), and every other visible character by itself."""
    return _TOKEN.findall(text)


def distinct(replies: Sequence[Tokens], n: int) -> float | None:
    """Distinct-n (arXiv 1510.03055): different n-grams divided by all, of the replies' tokens as one sequence.

    N-grams across the seam of two replies count too, so that with n > 1 the order of replies matters, by G - 1 n-grams
    at most. None with fewer than n tokens.
    """
    grams = _ngrams([token for tokens in replies for token in tokens], n)
    return len(grams) / grams.total() if grams else None


def self_bleu(replies: Sequence[Tokens]) -> float | None:
    """The mean over replies of each one's BLEU-4 with all others as its references (arXiv 1802.01886).

    BLEU is the geometric mean of four precisions, (matches + 1) / (n-grams + 1) for n = 1 to 4 (1 where a reply is
    too short to have any), times the brevity penalty exp(1 - r / c) where the reply's c tokens are fewer than the r of
    the reference closest in length, the shorter of two as close. An n-gram matches as often as the reference that has
    it most often. None with fewer than two replies; one without tokens has no BLEU and stays out of the mean.
    """
    lengths = [len(tokens) for tokens in replies]
    if len(replies) < 2 or not any(lengths):
        return None
    logs = [_log_precisions([_ngrams(tokens, n) for tokens in replies]) for n in range(1, BLEU_ORDER + 1)]
    return fmean(
        exp(sum(order[place] for order in logs) / BLEU_ORDER + _log_brevity(lengths, place))
        for place, length in enumerate(lengths)
        if length
    )


def unique_ratio(texts: Sequence[str]) -> float | None:
    """Different texts, to the letter, divided by all; None of nothing."""
    return len(set(texts)) / len(texts) if texts else None


def text_distances(texts: Sequence[str]) -> Pairs:
    """1 - the ratio of `difflib.SequenceMatcher` over characters (autojunk off) for each pair, the earlier text first.

    0 for the same text, 1 where no character is shared. Which of two texts comes first may change the ratio a little.
    """
    matchers = enumerate(map(Matcher, texts))
    return {(place, last): 1.0 - matcher.ratio(texts[place]) for last, matcher in matchers for place in range(last)}


def ast_distances(programs: Sequence[str | None]) -> Pairs:
    """1 - |A & B| / |A | B| for each pair, A and B the bags (multisets) of names of the nodes in `ast.walk`.

    Names of variables, values and the order of statements make no difference. None where a program isn't there or
    isn't Python.
    """
    bags = [None if program is None else _nodes(program) for program in programs]
    return {
        (row, column): None if a is None or b is None else 1.0 - (a & b).total() / (a | b).total()
        for (row, a), (column, b) in combinations(enumerate(bags), 2)
    }


def mean_over_pairs(pairs: Pairs, places: Sequence[int]) -> float | None:
    """The mean over the pairs of places; None where there is no pair, or one of them has no number."""
    values = [pairs[pair] for pair in combinations(places, 2)]
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def _ngrams(tokens: Tokens, n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(n)), strict=False))


def _log_precisions(counts: Sequence[Counter[tuple[str, ...]]]) -> list[float]:
    """Of each reply the logarithm of its smoothed precision for one n: all others are references."""
    most: Counter[tuple[str, ...]] = Counter()  # how often the reply that has it most often has an n-gram
    next_most: Counter[tuple[str, ...]] = Counter()  # and the one after that
    for count in counts:
        for gram, times in count.items():
            next_most[gram] = max(next_most[gram], min(times, most[gram]))
            most[gram] = max(most[gram], times)
    matches = [
        sum(min(times, next_most[gram] if times == most[gram] else most[gram]) for gram, times in count.items())
        for count in counts
    ]
    return [log((matched + 1) / (count.total() + 1)) for matched, count in zip(matches, counts, strict=True)]


def _log_brevity(lengths: Sequence[int], place: int) -> float:
    own = lengths[place]
    reference_lengths = [length for index, length in enumerate(lengths) if index != place]
    closest = min(reference_lengths, key=lambda length: (abs(length - own), length))
    return min(0.0, 1.0 - closest / own)


def _nodes(program: str) -> Counter[str] | None:
    """How often each kind of node stands in a program; None where it isn't Python, or too deep to parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a program's escapes and comparisons are its own affair
            module = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return Counter(type(node).__name__ for node in ast.walk(module))


Values = Mapping[str, float | None]
"""One number a prompt, by a name of the prompt."""


def summarize(values: Values, *, num_samples: int, seed: int) -> Estimate:
    """Mean and percentile interval over prompts, from `num_samples` draws of them."""
    return estimate_mean([value for _, value in sorted(values.items())], num_samples=num_samples, seed=seed)


def paired_difference(values: Values, first: Values, *, num_samples: int, seed: int) -> Estimate:
    """`values` minus `first` over the prompts that both have; null where either has no number for one."""
    pairs = {prompt: (value, first[prompt]) for prompt, value in values.items() if prompt in first}
    differences = {
        prompt: None if own_value is None or first_value is None else own_value - first_value
        for prompt, (own_value, first_value) in pairs.items()
    }
    return summarize(differences, num_samples=num_samples, seed=seed)
