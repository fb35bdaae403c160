"""Why a reply ended, and what is its text then: the same for all engines.

`finish_reason` is "stop" (a token that the model itself ends replies with), "length" (cut at the longest response),
"stop_string:" and the text that ended it, or "stop_token:" and the token's id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mopd.engines.base import Sample
from mopd.errors import InputError

STOP, LENGTH = "stop", "length"
STOP_STRING, STOP_TOKEN = "stop_string:", "stop_token:"


def finish_reason(last_token: int, stop_token_ids: Sequence[int], *, stop_string: str | None, ended: bool) -> str:
    """Of a reply with this last token; `ended`: by a token, of the model's own or of `stop_token_ids`."""
    if stop_string is not None:
        return f"{STOP_STRING}{stop_string}"
    if ended and last_token in stop_token_ids:
        return f"{STOP_TOKEN}{last_token}"
    return STOP if ended else LENGTH


def reply_text(decode: Callable[[list[int]], str], sample: Sample) -> str:
    """The text of a reply, as `decode` gives that of token ids, without what was asked to end it."""
    token_ids, reason = sample.token_ids.tolist(), sample.finish_reason
    ids = token_ids[:-1] if reason.startswith(STOP_TOKEN) else token_ids
    text = decode(ids)
    if reason.startswith(STOP_STRING):
        return text.partition(reason.removeprefix(STOP_STRING))[0]
    return text


def check_stops(stop: Sequence[str], stop_token_ids: Sequence[int], tokenizer: Any, *, setting: str) -> None:
    """InputError, with the group of settings that it is about, for what can never end a reply."""
    for text in stop:
        if text in tokenizer.all_special_tokens:
            number = tokenizer.convert_tokens_to_ids(text)
            raise InputError(
                f"{setting}.stop: {text!r} is a special token, which is no text; give {number} in "
                f"{setting}.stop_token_ids instead"
            )
    for token in stop_token_ids:
        if token >= len(tokenizer):
            raise InputError(
                f"{setting}.stop_token_ids: {token} is no token of the model, whose ids go to {len(tokenizer) - 1}"
            )


class StopStrings:
    """Watches a reply, token by token, for texts that end it, as vLLM does: special tokens are no text."""

    def __init__(self, tokenizer: Any, prompt_token_ids: Sequence[int], stop: Sequence[str]) -> None:
        from tokenizers.decoders import DecodeStream

        self._tokenizer = tokenizer.backend_tokenizer
        self._stream = DecodeStream(ids=list(prompt_token_ids), skip_special_tokens=True)
        self._stop = stop
        self._longest = max(map(len, stop))
        self._tail = ""

    def add(self, token: int) -> str | None:
        """The text that the token completes: of several, the one that ends first, then the one named first."""
        new = self._stream.step(self._tokenizer, token) or ""
        self._tail = self._tail[-self._longest :] + new
        ends = {text: self._tail.find(text) + len(text) for text in self._stop if text in self._tail}
        return min(ends, key=lambda text: ends[text]) if ends else None
