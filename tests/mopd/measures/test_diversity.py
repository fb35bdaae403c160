"""Diversity within groups: golden numbers, exact values, what is undefined, and differences paired by prompt."""

from __future__ import annotations

import json
import os
from dataclasses import astuple
from math import exp
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mopd.measures.diversity import (
    METRICS,
    Diversity,
    Group,
    distinct,
    paired_difference,
    prompt_diversity,
    self_bleu,
    summarize,
    text_distances,
    tokenize,
)
from mopd.measures.estimate import Estimate

GOLDEN = Path(os.environ.get("MOPD_GOLDEN", Path(__file__).parents[3] / "../shared/golden")) / "diversity.json"
NOTHING = Diversity(None, None, None, None, None, None)
GROUPS = st.lists(st.text("ab .\né", max_size=12), max_size=6)


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"no golden numbers: {GOLDEN} is absent (set MOPD_GOLDEN)")
def test_golden() -> None:
    """The file's pass@k is in test_evaluate.py."""
    cases = json.loads(GOLDEN.read_text())["diversity"]
    assert [case["ast_jaccard_distance"] is None for case in cases] == [False, True, False]
    for case in cases:
        found = Group(case["texts"], case["texts"]).diversity()
        for metric in METRICS:
            expected = case[metric]
            assert getattr(found, metric) == (None if expected is None else pytest.approx(expected, abs=1e-9)), metric


def numbers(*texts: str, programs: bool = False) -> Diversity:
    return Group(texts, texts if programs else None).diversity()


def test_two_replies_by_hand() -> None:
    found = numbers("a b c d e", "a b c x")
    bleu_of_first = (4 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25  # the longer one
    bleu_of_second = (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25 * exp(1 - 5 / 4)
    assert found.distinct_1 == 6 / 9
    assert found.distinct_2 == 6 / 8  # ab bc cd de ea cx; ab and bc twice
    assert found.self_bleu_4 == pytest.approx((bleu_of_first + bleu_of_second) / 2, abs=1e-12)
    assert found.unique_ratio == 1.0
    assert found.pairwise_text_distance == pytest.approx(1 - 2 * 6 / 16, abs=1e-12)  # "a b c "
    assert found.ast_jaccard_distance is None


def test_an_ngram_matches_as_often_as_in_the_one_reference_that_has_it_most_often() -> None:
    replies = [["a", "a", "a"], ["a", "a", "b"], ["a", "b", "b"]]
    ones, twos, threes = (3 / 4 * 2 / 3 * 1 / 2), (4 / 4 * 3 / 3 * 1 / 2), (3 / 4 * 2 / 3 * 1 / 2)
    expected = sum(value**0.25 for value in (ones, twos, threes)) / 3
    assert self_bleu(replies) == pytest.approx(expected, abs=1e-12)


def test_brevity_is_by_the_closest_reference_the_shorter_of_two() -> None:
    replies = [["a"] * length for length in (4, 2, 6)]
    assert self_bleu(replies) == pytest.approx((1 + exp(1 - 4 / 2) + (5 / 7 * 4 / 6 * 3 / 5 * 2 / 4) ** 0.25) / 3)


def test_tokens() -> None:
    assert tokenize("def f_1(x):\n\treturn x**2  # né, 日本") == [
        *("def", "f_1", "(", "x", ")", ":", "return", "x", "*", "*", "2", "#", "né", ",", "日本")
    ]


@given(st.text(max_size=20).filter(str.strip), st.integers(2, 6))
def test_the_same_text_again_and_again(text: str, count: int) -> None:
    found = numbers(*[text] * count)
    assert found.unique_ratio == 1 / count
    assert found.pairwise_text_distance == 0.0
    assert found.self_bleu_4 == (pytest.approx(1.0, abs=1e-12) if tokenize(text) else None)


def test_the_same_program_again() -> None:
    assert numbers("x = 1", "y = 2\n", programs=True).ast_jaccard_distance == 0.0


def test_program_distance_is_of_bags_of_nodes() -> None:
    """Module, Expr, Constant, and Module, Expr, BinOp, Constant twice, Add."""
    assert numbers("1", "1 + 1", programs=True).ast_jaccard_distance == pytest.approx(1 - 3 / 6, abs=1e-12)


@pytest.mark.parametrize("broken", ["x = (", "x = 'a\0b'", "(" * 5000, "-" * 100_000 + "1", "'\ud800'"])
def test_what_does_not_parse_has_no_program_distance(broken: str) -> None:
    assert numbers("x = 1", "x = 2", broken, programs=True).ast_jaccard_distance is None


@pytest.mark.filterwarnings("error")
def test_what_python_warns_of_is_the_programs_affair() -> None:
    assert numbers("x = '\\d'", "x is 1", programs=True).ast_jaccard_distance is not None


def test_one_reply_has_no_pairs() -> None:
    assert numbers("the cat", programs=False) == Diversity(1.0, 1.0, None, 1.0, None, None)
    assert numbers("cat", programs=True) == Diversity(1.0, None, None, 1.0, None, None)
    assert numbers() == NOTHING


def test_empty_replies_have_no_tokens_and_no_bleu() -> None:
    assert numbers("", "") == Diversity(None, None, None, 0.5, 0.0, None)
    assert numbers("", " \n") == Diversity(None, None, None, 1.0, 1.0, None)
    assert numbers("", "a b c d", "a b c d").self_bleu_4 == pytest.approx(1.0, abs=1e-12)  # of the other two
    assert numbers("", "a").pairwise_text_distance == 1.0


@given(GROUPS, st.randoms(use_true_random=False))
def test_the_order_of_replies_matters_where_it_is_said_to(texts: list[str], draw: Any) -> None:
    shuffled = draw.sample(texts, len(texts))
    before, after = numbers(*texts), numbers(*shuffled)
    assert (before.distinct_1, before.unique_ratio) == (after.distinct_1, after.unique_ratio)
    assert before.self_bleu_4 == (None if after.self_bleu_4 is None else pytest.approx(after.self_bleu_4, abs=1e-12))
    tokens = sum(map(len, map(tokenize, texts)))
    if before.distinct_2 is None or after.distinct_2 is None:
        assert before.distinct_2 is after.distinct_2 is None and tokens < 2
    else:
        assert abs(before.distinct_2 - after.distinct_2) * (tokens - 1) <= len(texts) - 1 + 1e-9  # the seams


def test_order_matters_to_blocks_and_seams() -> None:
    texts = ["the cat sat on a mat", "a dog ran home"]
    assert text_distances(texts) == {(0, 1): pytest.approx(12 / 17, abs=1e-12)}
    assert text_distances(texts[::-1]) == {(0, 1): pytest.approx(14 / 17, abs=1e-12)}
    assert distinct([["a", "b"], ["b"], ["a"]], 2) == 1.0  # ab bb ba
    assert distinct([["b"], ["a", "b"], ["a"]], 2) == 2 / 3  # ba ab ba


@given(GROUPS)
def test_all_numbers_are_shares(texts: list[str]) -> None:
    assert all(value is None or 0.0 <= value <= 1.0 + 1e-12 for value in astuple(numbers(*texts, programs=True)))


@given(GROUPS, st.sets(st.integers(0, 5)))
def test_some_replies_of_a_group_count_as_a_group_of_their_own(texts: list[str], chosen: set[int]) -> None:
    places = sorted(place for place in chosen if place < len(texts))
    some = [texts[place] for place in places]
    assert Group(texts, texts).diversity(places) == Group(some, some).diversity()


def rows(*replies: tuple[str, bool | None]) -> list[dict[str, Any]]:
    return [{"sample": sample, "text": text, "success": success} for sample, (text, success) in enumerate(replies)]


def test_successes_are_measured_by_themselves() -> None:
    replies = rows(("it is 15", True), ("it is 16", False), ("it is 15", True), ("no idea", None))
    found = prompt_diversity(replies[::-1], is_code=False)
    assert found["all"] == numbers(*(row["text"] for row in replies))
    assert found["successes"] == numbers("it is 15", "it is 15")
    assert found["successes"].unique_ratio == 0.5
    assert prompt_diversity(rows(("a", False), ("b", None)), is_code=False)["successes"] == NOTHING


def test_programs_are_found_in_replies() -> None:
    first, second = "Try this:\n```python\nprint(1)\n```\n", "<think>```\nx = 1\n```</think>\n```\nprint(1 + 1)\n```"
    found = prompt_diversity(rows((first, True), (second, True), ("I can't.", False)), is_code=True)
    assert found["all"].ast_jaccard_distance is None
    nodes, more = 6, 3  # Module, Expr, Call, Name, Load, Constant; BinOp, Add and one more Constant
    assert found["successes"].ast_jaccard_distance == pytest.approx(more / (nodes + more), abs=1e-12)
    texts_alone = prompt_diversity(rows((first, True), (second, True)), is_code=False)
    assert texts_alone["all"].ast_jaccard_distance is None


def test_the_program_is_the_last_block_that_defines_what_is_asked_for() -> None:
    program = "```python\ndef add(a, b):\n    return a + b\n```"
    use = "```python\nprint(add(1, 2))\nfor n in range(3):\n    print(n)\n```"
    replies = rows((f"{program}\nTry it:\n{use}", True), (program, True))
    assert prompt_diversity(replies, is_code=True, function="add")["all"].ast_jaccard_distance == 0.0
    assert prompt_diversity(replies, is_code=True)["all"].ast_jaccard_distance != 0.0


def test_summary_leaves_nulls_out_and_counts_them() -> None:
    values = {"a": 0.5, "b": None, "c": 1.0, "d": 0.0}
    found = summarize(values, num_samples=500, seed=0)
    assert (found.value, found.num, found.num_null) == (0.5, 3, 1)
    assert found.interval is not None and found.interval[0] < 0.5 < found.interval[1]
    assert found == summarize(dict(reversed(values.items())), num_samples=500, seed=0)
    same = summarize(dict.fromkeys("abcdefghij", 1 / 3), num_samples=10, seed=0)
    assert same.interval == (same.value, same.value)  # whatever rounding does
    assert summarize({"a": 0.25, "b": None}, num_samples=10, seed=0) == Estimate(0.25, None, None, 1, 1)
    assert summarize({}, num_samples=10, seed=0) == Estimate(None, None, None, 0)


def test_differences_are_paired_by_prompt() -> None:
    first = {"a": 0.1, "b": 0.9, "c": None, "d": 0.4}
    ours = {"a": 0.3, "b": 1.1, "c": 0.5, "e": 0.7}
    found = paired_difference(ours, first, num_samples=200, seed=0)
    assert found.value == pytest.approx(0.2, abs=1e-12)
    assert found.interval == pytest.approx((0.2, 0.2), abs=1e-12)  # though the prompts differ widely
    assert (found.num, found.num_null) == (2, 1)
    assert paired_difference(ours, {}, num_samples=10, seed=0) == Estimate(None, None, None, 0)
