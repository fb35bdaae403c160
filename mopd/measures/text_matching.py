"""How much of two texts matches, by `difflib`'s rule, in time for long texts.

`difflib.SequenceMatcher(None, first, second, autojunk=False)` takes the longest block that both texts have (of several
the one that begins earliest in `first`, then in `second`) and does the same on its left and on its right, between
blocks. It looks at every pair of equal characters to find one, which takes ten seconds and more for two replies of
4,096 words. Here the same blocks come out in about a tenth of a second. difflib's search in C (cydifflib) takes five to
twenty times as long (benchmarks/text_matching.py); rapidfuzz has another rule, the longest common subsequence.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property


class Matcher:
    """Compares texts with `second`, for which it prepares once."""

    def __init__(self, second: str) -> None:
        self.second = second

    def ratio(self, first: str) -> float:
        """`difflib.SequenceMatcher(None, first, second, autojunk=False).ratio()`, in [0, 1]; 1 for two empty texts."""
        size = len(first) + len(self.second)
        return 2.0 * self.num_matched(first) / size if size else 1.0

    def num_matched(self, first: str) -> int:
        """Characters in all blocks that match."""
        if first == self.second:
            return len(first)
        return _sweep(first, self.second, self._automaton.reaches(first))

    @cached_property
    def _automaton(self) -> _Automaton:
        return _Automaton(self.second)


def _sweep(first: str, second: str, reaches: Sequence[int]) -> int:
    """Takes blocks from the longest length down, at each length from left to right; returns their characters.

    `reaches`: for each place of `first`, at most how many characters from there on stand in `second`. What can't be
    matched in its gap can't later either, since gaps only shrink: so the first match at a length is difflib's block.
    """
    places = defaultdict(list)
    for place, reach in enumerate(reaches):
        places[reach].append(place)
    gaps, matched = _Gaps(len(first), len(second)), 0
    for length in range(max(places, default=0), 0, -1):
        for place in sorted(places.pop(length, ())):
            begin, end, low, high = gaps.around(place)
            reach = min(end - place, high - low)
            if reach >= length:
                match = second.find(first[place : place + length], low, high)
                if match >= 0:
                    matched += length
                    gaps.split(begin, place, match, length)
                    continue
                reach = _longest(first[place : place + length - 1], second, low, high)
            places[reach].append(place)
    return matched


def _longest(text: str, second: str, low: int, high: int) -> int:
    """The length of the longest beginning of `text` that stands in `second[low:high]`."""
    known, most = 0, len(text)
    while known < most:
        middle = (known + most + 1) // 2
        if second.find(text[:middle], low, high) >= 0:
            known = middle
        else:
            most = middle - 1
    return known


class _Gaps:
    """The parts of both texts between blocks: a part of the first may be matched with its own part of the second."""

    def __init__(self, first: int, second: int) -> None:
        self._begins = [0]
        self._rest = {0: (first, 0, second)}

    def around(self, place: int) -> tuple[int, int, int, int]:
        """The gap at or before a place of the first text: begin and end there, begin and end in the second."""
        begin = self._begins[bisect_right(self._begins, place) - 1]
        return begin, *self._rest[begin]

    def split(self, begin: int, place: int, match: int, length: int) -> None:
        """Take a block at `place` in the first text, `match` in the second, out of the gap at `begin`."""
        end, low, high = self._rest[begin]
        self._rest[begin] = (place, low, match)
        self._rest[place + length] = (end, match + length, high)
        insort(self._begins, place + length)


class _Automaton:
    """The suffix automaton of a text: reads exactly what stands somewhere in it, in linear time.

    A state stands for substrings that end at the same places; `_next` leads on by a character, `_link` to the longest
    ending that also stands elsewhere, `_length` is that of its longest substring. (Blumer et al., 1985.)
    """

    def __init__(self, text: str) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._link = [-1]
        self._length = [0]
        last = 0
        for character in text:
            last = self._extend(last, character)

    def reaches(self, first: str) -> list[int]:
        """For each place of `first`, how many characters from there on stand in the text in one piece."""
        reaches = [0] * len(first)
        state = length = 0
        for end, character in enumerate(first, start=1):
            while state and character not in self._next[state]:
                state = self._link[state]
                length = self._length[state]
            if character in self._next[state]:
                state = self._next[state][character]
                length += 1
                reaches[end - length] = length
        for place in range(1, len(first)):
            reaches[place] = max(reaches[place], reaches[place - 1] - 1)
        return reaches

    def _extend(self, last: int, character: str) -> int:
        """Append a character to the text, which ends in state `last`; returns the state that it ends in then."""
        new = self._add({}, self._length[last] + 1, 0)
        state = last
        while state >= 0 and character not in self._next[state]:
            self._next[state][character] = new
            state = self._link[state]
        if state >= 0:
            self._link[new] = self._state_of(state, character)
        return new

    def _state_of(self, state: int, character: str) -> int:
        """The state of the longest substring of `state` with a character more; split off where it has none yet."""
        target = self._next[state][character]
        if self._length[target] == self._length[state] + 1:
            return target
        part = self._add(self._next[target].copy(), self._length[state] + 1, self._link[target])
        self._link[target] = part
        while state >= 0 and self._next[state].get(character) == target:
            self._next[state][character] = part
            state = self._link[state]
        return part

    def _add(self, following: dict[str, int], length: int, link: int) -> int:
        self._next.append(following)
        self._length.append(length)
        self._link.append(link)
        return len(self._next) - 1
