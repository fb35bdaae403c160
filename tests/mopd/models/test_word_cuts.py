"""Text is cut where the pieces' token ids, joined, are those of the whole; not with a tokenizer that isn't known."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from mopd.models.word_cuts import WORDS, can_cut, word_cuts

PROSE = ["It's so that we'll add 17 and 25, then take (x + y)/2:\n\n  the sum is 42. A correct reply to this one! "] * 9
CHUNKS = [
    *("a b", "it's we'll", "the sum is", " ", "  ", "\n", "\n\n", "\t", "'s x", "17 apples", "x+y", ".\n\n", "'"),
    *("é e\u0301 ü", "日本 語", "<|end|>", "\u0301", "Ab cD", "🙂 ok", "\u00a0", "a\r\n b"),
]
TEXTS = st.lists(st.sampled_from(CHUNKS) | st.text(max_size=4), max_size=25).map("".join)


def of_words(expression: str) -> Any:
    split = pre_tokenizers.Split(Regex(expression), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


KNOWN: dict[str, Callable[[], Any]] = {
    "GPT-2": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False),
    "digits": lambda: pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    ),
    **{name: lambda expression=expression: of_words(expression) for name, expression in WORDS.items()},
}
UNKNOWN: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "metaspace": lambda: pre_tokenizers.Metaspace(),
    "a space before": lambda: pre_tokenizers.ByteLevel(add_prefix_space=True),
    "bytes of the whole": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    "lines": lambda: of_words(r"[^\n]+|\n+"),
}


@cache
def trained(name: str, normalizer: Any = None) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = (KNOWN | UNKNOWN)[name]()
    bytes_of_all = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=["<|end|>"], initial_alphabet=bytes_of_all)
    tokenizer.train_from_iterator(PROSE, trainer)
    tokenizer.normalizer = normalizer
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def encoded(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def in_pieces(tokenizer: PreTrainedTokenizerFast, text: str, distance: int) -> list[int]:
    places = [0, *word_cuts(text, distance), len(text)]
    return [token_id for start, end in pairwise(places) for token_id in encoded(tokenizer, text[start:end])]


@pytest.mark.parametrize("name", KNOWN)
@settings(max_examples=150, deadline=None)
@given(text=TEXTS, distance=st.integers(1, 30))
def test_pieces_have_the_token_ids_of_the_whole(name: str, text: str, distance: int) -> None:
    assert can_cut(trained(name))
    assert in_pieces(trained(name), text, distance) == encoded(trained(name), text)


@settings(max_examples=100, deadline=None)
@given(text=TEXTS)
def test_characters_may_be_composed_first(text: str) -> None:
    tokenizer = trained("Qwen3", normalizers.NFC())
    assert can_cut(tokenizer)
    assert in_pieces(tokenizer, text, 1) == encoded(tokenizer, text)


@pytest.mark.parametrize("name", UNKNOWN)
def test_nothing_is_cut_where_words_are_not_known(name: str) -> None:
    assert not can_cut(trained(name))


def test_without_words_the_pieces_would_differ() -> None:
    tokenizer = trained("bytes of the whole")
    assert in_pieces(tokenizer, PROSE[0], 1) != encoded(tokenizer, PROSE[0])


@pytest.mark.parametrize(
    "token", [AddedToken("the sum"), AddedToken("sum", rstrip=True), AddedToken("a", single_word=True)]
)
def test_nor_with_a_token_that_reaches_across_words(token: AddedToken) -> None:
    trained.cache_clear()
    tokenizer = trained("GPT-2")
    tokenizer.add_tokens([token])
    assert not can_cut(tokenizer)
    trained.cache_clear()


def test_nor_where_letters_are_changed_first_or_nothing_is_known() -> None:
    assert not can_cut(trained("GPT-2", normalizers.Lowercase()))
    assert not can_cut(object())


def test_cuts_are_between_words_and_apart() -> None:
    assert word_cuts("1 a b c  d e", 1) == [3, 5, 10]
    assert word_cuts("1 a b c  d e", 4) == [3, 10]
    assert word_cuts("17 + 4\n= 21", 1) == []
