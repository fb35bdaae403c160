"""verdicts -> contexts: rows, provenance, reasons, sharing."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from mopd.condition import condition
from mopd.contexts import context_digest
from mopd.errors import InputError
from mopd.settings import ConditionSettings

COLUMNS = {
    *("run", "round", "prompt_id", "sample", "variant", "rendering", "first_success", "second_success", "failure"),
    *("peers", "messages", "context_token_ids", "num_tokens", "dropped", "truncated", "has_sections"),
    *("no_section_reason", "context_digest"),
}
Row = dict[str, Any]


class ByteTokenizer:
    """Ids are bytes of a one-line-a-message template."""

    all_special_tokens = ("<|end|>",)

    def apply_chat_template(self, messages: list[dict[str, str]], **options: bool) -> list[int]:
        lines = [f"{message['role']}: {message['content']}<|end|>\n" for message in messages]
        return list("".join([*lines, "assistant: "]).encode())


def tables(
    outcomes: str, texts: list[str] | None = None, prompt_id: str = "p"
) -> tuple[list[Row], list[Row], list[Row]]:
    """A group as prompts, rollouts, verdicts: + success, - failure, ? no verdict."""
    keys = {"run": "r", "round": 1, "prompt_id": prompt_id}
    texts = texts or [f"reply {sample}" for sample in range(len(outcomes))]
    prompts = [{**keys, "messages": [{"role": "user", "content": "QUESTION"}]}]
    rollouts = [{**keys, "sample": sample, "text": text} for sample, text in enumerate(texts)]
    success = {"+": True, "-": False, "?": None}
    verdicts = [{**keys, "sample": sample, "success": success[mark]} for sample, mark in enumerate(outcomes)]
    return prompts, rollouts, verdicts


def contexts(outcomes: str, texts: list[str] | None = None, *, run_seed: int = 0, **changes: Any) -> list[Row]:
    return condition(*tables(outcomes, texts), ConditionSettings(**changes), ByteTokenizer(), run_seed=run_seed)


def roles(row: Row) -> tuple[int | None, int | None, int | None]:
    return row["first_success"], row["second_success"], row["failure"]


def test_a_row_says_what_was_shown() -> None:
    row = contexts("++-+")[3]
    assert set(row) == COLUMNS
    assert (row["run"], row["round"], row["prompt_id"], row["sample"]) == ("r", 1, "p", 3)
    assert (row["variant"], row["rendering"]) == ("contrastive", "sections")
    assert roles(row) == (0, 1, 2)
    assert row["peers"] == [
        {"role": "first_success", "sample": 0},
        {"role": "second_success", "sample": 1},
        {"role": "failure", "sample": 2},
    ]
    assert (row["dropped"], row["truncated"]) == ([], False)
    assert (row["has_sections"], row["no_section_reason"]) == (True, None)
    assert bytes(row["context_token_ids"]).decode() == f"user: {row['messages'][0]['content']}<|end|>\nassistant: "
    assert row["num_tokens"] == len(row["context_token_ids"])
    assert row["context_digest"] == context_digest(row["context_token_ids"])


def test_a_rollout_never_sees_its_own_text() -> None:
    for row in contexts("+-+--+"):
        assert f"reply {row['sample']}" not in row["messages"][0]["content"]


def test_equal_peers_share_one_context() -> None:
    rows = contexts("++---", variant="positive")
    assert len({row["context_digest"] for row in rows}) == 3  # without 0, without 1, and everyone else's
    assert rows[2]["context_token_ids"] == rows[3]["context_token_ids"] == rows[4]["context_token_ids"]


@pytest.mark.parametrize(
    ("outcomes", "changes", "reason"),
    [
        ("+-+", {"variant": "none"}, "variant none"),
        ("---", {"variant": "success"}, "no successful peer"),
        ("+--", {"variant": "positive"}, "no successful peer"),
        ("-++", {"variant": "failure"}, "no failed peer"),
        ("-?+-", {"variant": "failure", "show_failure": "when_no_success"}, "failure hidden, a peer succeeded"),
        ("+", {}, "no peer with a verdict and text"),
        ("+??", {}, "no peer with a verdict and text"),
        ("+-+", {"max_context_tokens": 40}, "over budget"),
    ],
)
def test_without_sections_the_context_is_the_prompt_and_says_why(outcomes: str, changes: Row, reason: str) -> None:
    row = contexts(outcomes, **changes)[0]
    assert (row["has_sections"], row["no_section_reason"]) == (False, reason)
    assert row["messages"] == [{"role": "user", "content": "QUESTION"}]
    assert row["peers"] == []


def test_budget_full_drops_are_recorded() -> None:
    full = contexts("++-+")[3]
    row = contexts("++-+", max_context_tokens=full["num_tokens"] - 1)[3]
    assert (row["dropped"], row["truncated"], row["has_sections"]) == (["failure"], True, True)
    assert roles(row) == (0, 1, 2)
    assert [peer["role"] for peer in row["peers"]] == ["first_success", "second_success"]


def test_a_question_over_budget_names_the_prompt() -> None:
    with pytest.raises(InputError, match=r"^prompt p: the question alone takes 33 tokens, over condition\.max_context"):
        contexts("+-", max_context_tokens=32)


def test_replies_without_text_are_no_peers() -> None:
    row = contexts("--+-", ["a", "", "b", " <|end|>\n"])[0]
    assert roles(row) == (2, None, None)
    assert contexts("--", ["a", ""])[0]["no_section_reason"] == "no peer with a verdict and text"


def test_special_tokens_spelled_in_a_reply_are_taken_out() -> None:
    (shown,) = contexts("-+", ["a", "b<|end|> <|e<|end|>nd|>c"], variant="success")[0]["messages"]
    assert "<|end|>" not in shown["content"]
    assert "\nb c\n" in shown["content"]


def test_equal_texts_still_count_as_peers() -> None:
    assert roles(contexts("++", ["same", "same"])[0]) == (1, None, None)


def test_draws_depend_on_run_seed_round_prompt_and_sample_only() -> None:
    prompts, rollouts, verdicts = tables("+" + "-" * 9)
    other = tables("-+-", prompt_id="q")
    settings, tokenizer = ConditionSettings(variant="failure"), ByteTokenizer()
    alone = condition(prompts, rollouts, verdicts, settings, tokenizer, run_seed=5)
    shuffled = random.Random(0).sample(rollouts + other[1], len(rollouts) + len(other[1]))
    among = condition(other[0] + prompts, shuffled, other[2] + verdicts, settings, tokenizer, run_seed=5)
    assert [row for row in among if row["prompt_id"] == "p"] == alone
    elsewhere = condition(prompts, rollouts, verdicts, settings, tokenizer, run_seed=6)
    assert [row["failure"] for row in alone] != [row["failure"] for row in elsewhere]


def test_rollouts_with_equal_candidates_draw_each_for_itself() -> None:
    assert len({row["failure"] for row in contexts("++++++++--------")[:8]}) > 2


def test_rows_as_numpy_values_give_the_same_contexts() -> None:
    prompts, rollouts, verdicts = tables("+-+")
    for row in prompts + rollouts + verdicts:
        row.update({name: np.int32(row[name]) for name in ("round", "sample") if name in row})
    for row in verdicts:
        row["success"] = np.bool_(row["success"])
    assert condition(prompts, rollouts, verdicts, ConditionSettings(), ByteTokenizer(), run_seed=0) == contexts("+-+")


def test_a_group_that_is_not_whole_is_our_bug() -> None:
    prompts, rollouts, verdicts = tables("+-+")
    with pytest.raises(AssertionError, match="not whole"):
        condition(prompts, rollouts[1:], verdicts, ConditionSettings(), ByteTokenizer(), run_seed=0)
