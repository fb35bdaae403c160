"""Blocks of two texts: the same as difflib's, whatever the texts, and in time for long ones."""

from __future__ import annotations

import random
import time
from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopd.measures.text_matching import Matcher

FEW_LETTERS = st.text("ab", max_size=40) | st.text("abc \n", max_size=60)


def by_difflib(first: str, second: str) -> float:
    return SequenceMatcher(None, first, second, autojunk=False).ratio()


@given(FEW_LETTERS | st.text(max_size=30), FEW_LETTERS | st.text(max_size=30))
def test_agrees_with_difflib(first: str, second: str) -> None:
    assert Matcher(second).ratio(first) == by_difflib(first, second)


@given(FEW_LETTERS, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8), FEW_LETTERS), max_size=4))
def test_agrees_with_difflib_on_edited_texts(first: str, edits: list[tuple[int, int, str]]) -> None:
    second = first
    for place, cut, inserted in edits:
        second = second[:place] + inserted[:5] + second[place + cut :]
    assert Matcher(second).ratio(first) == by_difflib(first, second)


@pytest.mark.parametrize(
    ("first", "second", "ratio"),
    [
        ("", "", 1.0),
        ("", "a", 0.0),
        ("abc", "abc", 1.0),
        ("abcd", "bcde", 0.75),
        ("aXbc", "bcYa", 0.5),  # the longest block is taken, and what crosses it is lost
        ("a dog ran home", "the cat sat on a mat", 3 / 17),
        ("the cat sat on a mat", "a dog ran home", 5 / 17),
        ("日本語の文", "日本の文", 8 / 9),
        ("e\u0301", "é", 0.0),  # characters are code points
    ],
)
def test_exact_values(first: str, second: str, ratio: float) -> None:
    assert by_difflib(first, second) == pytest.approx(ratio, abs=1e-12)
    assert Matcher(second).ratio(first) == by_difflib(first, second)


def test_a_matcher_may_be_used_again() -> None:
    matcher = Matcher("the cat sat on the mat")
    for first in ("the cat", "", "mat the cat", "the cat sat on the mat", "the cat"):
        assert matcher.ratio(first) == by_difflib(first, matcher.second)


def test_a_long_text_agrees_with_difflib_too() -> None:
    draw = random.Random(0)
    words = [" ".join(draw.choices(("so", "the", "sum", "is", "not", "17", "\n"), k=300)) for _ in range(2)]
    assert Matcher(words[1]).ratio(words[0]) == by_difflib(*words)


@pytest.mark.parametrize(
    ("first", "second", "matched"),
    [
        ("a" * 20_000, "a" * 19_000, 19_000),
        ("ab" * 10_000, "ba" * 9_000, 18_000),
        ("x" * 9_999 + "y", "y" + "x" * 9_999, 9_999),
        ("".join(map(chr, range(256, 20_256))), "".join(map(chr, range(256, 20_256)))[::-1], 1),
    ],
)
def test_repetition_and_strangeness_cost_little_time(first: str, second: str, matched: int) -> None:
    """Each would take difflib minutes, or recursion beyond any limit; the generous bound is for a busy machine."""
    began = time.process_time()
    assert Matcher(second).num_matched(first) == matched
    assert time.process_time() - began < 10
