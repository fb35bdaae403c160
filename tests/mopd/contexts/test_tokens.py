"""A reply that many contexts show is tokenized once, and every context has the token ids that it has by itself."""

from __future__ import annotations

import random
from typing import Any

import pytest

from mopd.condition import condition
from mopd.contexts import tokens
from mopd.contexts.tokens import ContextTokens
from mopd.models.chat_template import ChatTemplate
from mopd.models.folders import load_tokenizer, resolve_model
from mopd.settings.condition import ConditionSettings

WORDS = ["so", "the", "sum", "is", "17", "but", "it's", "42", ",", "x", "=", "3/4", "as", "was", "asked", ";\n\n"]
Row = dict[str, Any]


class Counting:
    """A tokenizer that counts the characters that it is given to tokenize."""

    def __init__(self) -> None:
        self._tokenizer = load_tokenizer(resolve_model("tiny:llama"))
        self.characters = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def encode(self, text: str, **options: Any) -> Any:
        self.characters += len(text)
        return self._tokenizer.encode(text, **options)


def shard(num_words: int) -> tuple[list[Row], list[Row], list[Row]]:
    """Two groups of four."""
    draw = random.Random(0)
    keys = [{"run": "r", "round": 0, "prompt_id": prompt_id} for prompt_id in "pq"]
    prompts = [key | {"messages": [{"role": "user", "content": "How much?"}]} for key in keys]
    rollouts = [
        key | {"sample": sample, "text": " ".join(draw.choices(WORDS, k=num_words)), "prompt_token_ids": []}
        for key in keys
        for sample in range(4)
    ]
    verdicts = [
        {**row, "success": row["sample"] > 0, "reward": float(row["sample"] > 0), "feedback": None} for row in rollouts
    ]
    return prompts, rollouts, verdicts


@pytest.mark.parametrize("rendering", ["sections", "turns"])
@pytest.mark.parametrize(
    "variant", ["contrastive", "summary", {"kind": "unrelated_prompt", "match": "tokens"}, {"kind": "random_peer"}]
)
def test_contexts_are_what_they_are_without_pieces(
    variant: Any, rendering: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ConditionSettings(variant=variant, rendering=rendering, max_context_tokens=10_000)
    template = ChatTemplate(load_tokenizer(resolve_model("tiny:llama")))
    in_pieces = condition(*shard(400), settings, template, run_seed=0)
    monkeypatch.setattr(tokens, "can_cut", lambda tokenizer: False)
    assert condition(*shard(400), settings, template, run_seed=0) == in_pieces


def test_a_reply_is_tokenized_once_but_for_its_ends() -> None:
    counting = Counting()
    contexts = condition(
        *shard(2000), ConditionSettings(max_context_tokens=100_000), ChatTemplate(counting), run_seed=0
    )
    shown = {(peer["prompt_id"], peer["sample"]): peer["tokens"] for row in contexts for peer in row["peers"]}
    assert len(shown) == 8
    assert sum(row["num_tokens"] for row in contexts) > 2.5 * sum(shown.values())
    assert counting.characters < 1.5 * sum(shown.values())  # a token is a character


def test_text_that_the_template_changes_is_tokenized_as_it_stands() -> None:
    text = "{% for m in messages %}{{ m['content'] | upper }}{% endfor %}"
    template = ChatTemplate(load_tokenizer(resolve_model("tiny:llama")), text=text)
    messages = [{"role": "user", "content": "so it is " * 400}]
    assert ContextTokens(template).ids(messages, [messages[0]["content"]]) == template.ids(messages)
