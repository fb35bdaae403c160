"""verdicts -> contexts: rows, provenance, reasons, sharing."""

from __future__ import annotations

import hashlib
import itertools
import random
from typing import Any, ClassVar

import numpy as np
import pytest

from mopd.condition import condition
from mopd.contexts.pools import Pools, read_groups
from mopd.contexts.render import context_digest
from mopd.contexts.summaries import SUMMARY_INSTRUCTION, with_instruction
from mopd.errors import InputError
from mopd.models.chat_template import ChatTemplate
from mopd.settings.condition import ConditionSettings

COLUMNS = {
    *("run", "round", "prompt_id", "sample", "variant", "rendering", "first_success", "second_success", "failure"),
    *("peers", "messages", "context_token_ids", "num_tokens", "dropped", "truncated", "has_sections"),
    *("no_section_reason", "context_digest", "top_ups", "imitated_sections", "imitated_tokens"),
}
Row = dict[str, Any]
Tables = tuple[list[Row], list[Row], list[Row]]


class ByteTokenizer:
    """Ids are bytes of a one-line-a-message template."""

    all_special_tokens = ("<|end|>",)
    added_tokens_decoder: ClassVar[dict[int, Any]] = {}

    def get_chat_template(self) -> str:
        return "{{ messages }}"

    def apply_chat_template(self, messages: list[dict[str, str]], **options: bool) -> list[int]:
        lines = [f"{message['role']}: {message['content']}<|end|>\n" for message in messages]
        return list("".join([*lines, "assistant: "]).encode())

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return list(text.encode())


TEMPLATE = ChatTemplate(ByteTokenizer())


def tables(
    outcomes: str, texts: list[str] | None = None, prompt_id: str = "p", round: int = 1, question: str = "QUESTION"
) -> Tables:
    """A group as prompts, rollouts, verdicts: + success, - failure, ? no verdict."""
    keys = {"run": "r", "round": round, "prompt_id": prompt_id}
    texts = texts or [f"reply {sample}" for sample in range(len(outcomes))]
    messages = [{"role": "user", "content": question}]
    asked = ByteTokenizer().apply_chat_template(messages)
    judged: Row = {"+": (True, 1.0), "-": (False, 0.0), "?": (None, None)}
    return (
        [{**keys, "messages": messages}],
        [{**keys, "sample": sample, "text": text, "prompt_token_ids": asked} for sample, text in enumerate(texts)],
        [
            {**keys, "sample": sample, "success": judged[mark][0], "reward": judged[mark][1], "feedback": None}
            for sample, mark in enumerate(outcomes)
        ],
    )


def contexts(outcomes: str, texts: list[str] | None = None, *, run_seed: int = 0, **changes: Any) -> list[Row]:
    return condition(*tables(outcomes, texts), ConditionSettings.model_validate(changes), TEMPLATE, run_seed=run_seed)


def joined(*groups: Tables) -> Tables:
    """Several groups in one shard."""
    prompts, rollouts, verdicts = ([row for table in tables for row in table] for tables in zip(*groups, strict=True))
    return prompts, rollouts, verdicts


def shard_contexts(shard: Tables, earlier: Tables | None = None, **changes: Any) -> list[Row]:
    history = earlier[1:] if earlier else ([], [])
    settings = ConditionSettings.model_validate(changes)
    return condition(*shard, settings, TEMPLATE, run_seed=0, earlier=history)


def shown(row: Row, *names: str) -> list[Any]:
    """Of all that is shown: these fields of the peers column."""
    return [tuple(peer[name] for name in names) if len(names) > 1 else peer[names[0]] for peer in row["peers"]]


RECORDED = {
    "none": "d1012048c04a5ce6d5bc13626fc87326c9f65ae48e4d222ea0f3031ed5162392",
    "success": "ee3b4a10b50be713cd687c5b6b72fb11ed59d6f4aab5734f908276316887caad",
    "positive": "3e445405639acca7850aed5f4537de9bdce976ee6ffbd7a09609e582337d4ac4",
    "contrastive": "b9158f4795e366629bc8bbf9a6678fa9d96609f247768a21dc98a33d05092a3e",
    "failure": "28d4accc89d47900784aac494c37bd97b7492f14b288ce4ba5b8a843eb9a25c7",
}
"""sha256 of the digests of 1536 contexts each, as the first renderer made them."""


@pytest.mark.parametrize("variant", RECORDED)
def test_contexts_stay_as_they_were_byte_by_byte(variant: str) -> None:
    rng = random.Random(0)
    digests = hashlib.sha256()
    for number in range(6):
        outcomes = "".join(rng.choice("++--?") for _ in range(8))
        texts = [f"{'long ' * rng.randrange(9)}reply {sample}" for sample in range(8)]
        group = tables(outcomes, texts, f"p{number}")
        for values in itertools.product(
            ("sections", "turns"), ("first", "last"), ("always", "when_no_success"), (True, False), (10240, 230)
        ):
            names = ("rendering", "failure_position", "show_failure", "exclude_self", "max_context_tokens")
            settings = ConditionSettings.model_validate({"variant": variant, **dict(zip(names, values, strict=True))})
            for row in condition(*group, settings, TEMPLATE, run_seed=number):
                digests.update(row["context_digest"].encode())
    assert digests.hexdigest() == RECORDED[variant]


def roles(row: Row) -> tuple[int | None, int | None, int | None]:
    return row["first_success"], row["second_success"], row["failure"]


def test_a_row_says_what_was_shown() -> None:
    row = contexts("++-+")[3]
    assert set(row) == COLUMNS
    assert (row["run"], row["round"], row["prompt_id"], row["sample"]) == ("r", 1, "p", 3)
    assert (row["variant"], row["rendering"]) == ("contrastive", "sections")
    assert roles(row) == (0, 1, 2)
    shown: Row = {"round": 1, "prompt_id": "p", "fallback": False, "cut": False, "tokens": len("reply 0")}
    assert row["peers"] == [
        {"role": "first_success", "sample": 0, "success": True, **shown},
        {"role": "second_success", "sample": 1, "success": True, **shown},
        {"role": "failure", "sample": 2, "success": False, **shown},
    ]
    assert (row["top_ups"], row["imitated_sections"], row["imitated_tokens"]) == (0, None, None)
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
    settings, template = ConditionSettings.model_validate({"variant": "failure"}), TEMPLATE
    alone = condition(prompts, rollouts, verdicts, settings, template, run_seed=5)
    shuffled = random.Random(0).sample(rollouts + other[1], len(rollouts) + len(other[1]))
    among = condition(other[0] + prompts, shuffled, other[2] + verdicts, settings, template, run_seed=5)
    assert [row for row in among if row["prompt_id"] == "p"] == alone
    elsewhere = condition(prompts, rollouts, verdicts, settings, template, run_seed=6)
    assert [row["failure"] for row in alone] != [row["failure"] for row in elsewhere]


def test_rollouts_with_equal_candidates_draw_each_for_itself() -> None:
    assert len({row["failure"] for row in contexts("++++++++--------")[:8]}) > 2


def test_rows_as_numpy_values_give_the_same_contexts() -> None:
    prompts, rollouts, verdicts = tables("+-+")
    for row in prompts + rollouts + verdicts:
        row.update({name: np.int32(row[name]) for name in ("round", "sample") if name in row})
    for row in verdicts:
        row["success"] = np.bool_(row["success"])
    assert condition(prompts, rollouts, verdicts, ConditionSettings(), TEMPLATE, run_seed=0) == contexts("+-+")


def test_a_group_that_is_not_whole_is_our_bug() -> None:
    prompts, rollouts, verdicts = tables("+-+")
    with pytest.raises(AssertionError, match="not whole"):
        condition(prompts, rollouts[1:], verdicts, ConditionSettings(), TEMPLATE, run_seed=0)


def summaries(**changes: Any) -> Row:
    return {"variant": {"kind": "summary", **changes}}


def test_summaries_are_labelled_and_fallbacks_recorded() -> None:
    texts = ["mine", "so <summary>sum one</summary>", "just two", "three"]
    row = contexts("-+-?", texts, **summaries())[0]
    assert shown(row, "role", "sample", "success", "fallback") == [
        ("summary", 1, True, False),
        ("summary", 2, False, True),
    ]
    assert "- correct: sum one\n- wrong: just two" in row["messages"][-1]["content"]
    assert (row["variant"], row["first_success"], row["failure"]) == ("summary", None, None)


def test_summaries_over_budget_go_one_by_one() -> None:
    full = contexts("+++", **summaries())[0]
    row = contexts("+++", **summaries(), max_context_tokens=full["num_tokens"] - 1)[0]
    assert (shown(row, "sample"), row["dropped"]) == ([1], ["summary"])


@pytest.mark.parametrize("variant", ["summary", "contrastive", "none"])
def test_the_teacher_is_asked_what_the_student_was_asked(variant: str) -> None:
    prompts, rollouts, verdicts = tables("++")
    asked = with_instruction(prompts[0]["messages"], SUMMARY_INSTRUCTION)
    ids = np.asarray(ByteTokenizer().apply_chat_template(asked), dtype=np.int32)
    told = shard_contexts((prompts, [{**row, "prompt_token_ids": ids} for row in rollouts], verdicts), variant=variant)
    untold = shard_contexts((prompts, rollouts, verdicts), variant=variant)
    for row in told:
        assert row["messages"][0]["content"].startswith(f"QUESTION\n\n{SUMMARY_INSTRUCTION}")
    for row in untold:
        assert SUMMARY_INSTRUCTION not in row["messages"][0]["content"]
    assert variant != "none" or told[0]["context_token_ids"] == ids.tolist()


def with_feedback(outcomes: str, feedback: list[str | None]) -> Tables:
    prompts, rollouts, verdicts = tables(outcomes)
    return prompts, rollouts, [{**row, "feedback": one} for row, one in zip(verdicts, feedback, strict=True)]


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ({"kind": "feedback"}, [["feedback"], ["feedback"], []]),
        ({"kind": "feedback", "when": "when_no_success"}, [["feedback"], [], []]),
        (
            {"kind": "positive", "feedback": "always"},
            [["feedback"], ["first_success", "feedback"], ["first_success"]],
        ),
        (
            {"kind": "positive", "feedback": "when_no_success"},
            [["feedback"], ["first_success"], ["first_success"]],
        ),
        ({"kind": "positive", "feedback": "never"}, [[], ["first_success"], ["first_success"]]),
    ],
)
def test_feedback_is_shown_when_it_is_wanted_and_there_is_any(variant: Row, expected: list[list[str]]) -> None:
    rows = shard_contexts(with_feedback("+--", ["<|end|>F0", "F1", None]), variant=variant)
    assert [shown(row, "role") for row in rows] == expected
    assert [row["has_sections"] for row in rows] == [bool(one) for one in expected]
    own = [(row["sample"], peer["sample"]) for row in rows for peer in row["peers"] if peer["role"] == "feedback"]
    assert all(sample == peer for sample, peer in own)
    assert "F0" in rows[0]["messages"][0]["content"] or not rows[0]["has_sections"]
    assert "<|end|>" not in rows[0]["messages"][0]["content"]


@pytest.mark.parametrize(
    ("variant", "reason"),
    [
        ({"kind": "feedback"}, "the verifier gave no feedback"),
        ({"kind": "feedback", "when": "when_no_success"}, "feedback hidden, a peer succeeded"),
        ({"kind": "failure", "feedback": "always"}, "no failed peer; the verifier gave no feedback"),
        ({"kind": "summary", "source": "failure"}, "no failed peer"),
        ({"kind": "random_peer", "imitates": "failure"}, "nothing to imitate: no failed peer"),
        ({"kind": "unrelated_prompt"}, "no success of another prompt"),
    ],
)
def test_new_contexts_without_sections_say_why(variant: Row, reason: str) -> None:
    row = contexts("-+", variant=variant)[0]
    assert (row["has_sections"], row["no_section_reason"], row["peers"]) == (False, reason, [])


def test_a_control_over_budget_says_so() -> None:
    row = contexts("-+", variant="random_peer", max_context_tokens=40)[0]
    assert row["no_section_reason"] == "nothing to imitate: over budget"


CONTROLLED = joined(tables("+--++-"), tables("+-+", prompt_id="q", question="WHAT ELSE"))


@pytest.mark.parametrize("control", ["random_peer", "unrelated_prompt", "success_only", "score_ordered"])
@pytest.mark.parametrize("imitates", ["contrastive", "failure"])
def test_controls_have_the_blocks_of_what_they_imitate(control: str, imitates: str) -> None:
    models = shard_contexts(CONTROLLED, variant=imitates)
    rows = shard_contexts(CONTROLLED, variant={"kind": control, "imitates": imitates})
    others = {"p": 2, "q": 3}  # successes of the other prompt
    for row, model in zip(rows, models, strict=True):
        blocks = len(model["peers"])
        assert (row["imitated_sections"], row["imitated_tokens"]) == (blocks, model["num_tokens"])
        available = others[row["prompt_id"]] if control == "unrelated_prompt" else blocks
        assert len(row["peers"]) == min(blocks, available)
        assert (row["prompt_id"], row["sample"]) not in shown(row, "prompt_id", "sample")


def test_top_ups_are_counted() -> None:
    rows = shard_contexts(CONTROLLED, variant="success_only")
    assert [row["top_ups"] for row in rows] == [1, 0, 0, 1, 1, 0, 1, 0, 1]
    assert shown(rows[0], "role") == ["first_success", "second_success", "unrelated"]
    assert all(peer["success"] for row in rows for peer in row["peers"])


@pytest.mark.parametrize("rendering", ["sections", "turns"])
@pytest.mark.parametrize("control", ["random_peer", "unrelated_prompt", "success_only", "score_ordered"])
def test_tokens_are_matched_within_a_heading_and_a_word(control: str, rendering: str) -> None:
    texts = [" ".join([f"word{sample}"] * (9 + 7 * sample)) for sample in range(6)]
    other = tables("++++", [f"{'another word ' * 20}{sample}" for sample in range(4)], "q", question="WHAT ELSE")
    shard = joined(tables("+--++-", texts), other)
    variant = {"kind": control, "match": "tokens"}
    rows = [row for row in shard_contexts(shard, variant=variant, rendering=rendering) if row["prompt_id"] == "p"]
    heading = 80  # bytes are tokens here; in turns a reply comes with a question
    for row in rows:
        assert 0 <= row["imitated_tokens"] - row["num_tokens"] <= heading
        assert sum(peer["cut"] for peer in row["peers"]) <= 1


def test_thoughts_are_stripped_from_what_is_shown_when_asked() -> None:
    texts = ["a", "<think>hm</think> b", "<think>no end"]
    assert "<think>hm</think> b" in contexts("-++", texts, variant="positive")[0]["messages"][0]["content"]
    row = contexts("-++", texts, variant="positive", strip_think=True)[0]
    assert "think" not in row["messages"][0]["content"]
    assert (shown(row, "sample"), row["peers"][0]["tokens"]) == ([1], 1)


def test_prompts_without_a_success_are_shown_those_of_earlier_rounds_newest_first() -> None:
    now = joined(tables("--", round=5), tables("+-", prompt_id="q", round=5))
    old = joined(tables("-+", round=2), tables("+--", round=4), tables("++", prompt_id="q", round=4))
    rows = shard_contexts(now, old, history_rounds=3)
    assert shown(rows[0], "role", "round", "sample") == [
        ("first_success", 4, 0),
        ("second_success", 2, 1),
        ("failure", 5, 1),
    ]
    assert roles(rows[0]) == (None, None, 1)
    assert {peer["round"] for row in rows[2:] for peer in row["peers"]} == {5}
    assert {peer["prompt_id"] for row in rows[:2] for peer in row["peers"]} == {"p"}


def test_earlier_rounds_of_other_prompts_are_left_alone() -> None:
    old = tables("++", prompt_id="elsewhere", round=0)
    assert shard_contexts(tables("--"), old, variant="success", history_rounds=1)[0]["peers"] == []


def test_multi_turn_prompts_keep_their_messages() -> None:
    prompts, rollouts, verdicts = tables("++")
    before = [{"role": role, "content": role.upper()} for role in ("system", "user", "assistant")]
    prompts = [{**prompts[0], "messages": [*before, *prompts[0]["messages"]]}]
    for variant in ("positive", "summary", "random_peer"):
        row = shard_contexts((prompts, rollouts, verdicts), variant=variant)[0]
        assert row["messages"][:3] == before
        assert row["messages"][3]["content"].startswith("QUESTION\n\n")


class CountingTokenizer(ByteTokenizer):
    """Notes which texts it is given by themselves."""

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        self.encoded.append(text)
        return super().encode(text, add_special_tokens=add_special_tokens)


def test_a_peer_is_tokenized_once_a_shard() -> None:
    tokenizer = CountingTokenizer()
    settings = ConditionSettings.model_validate({"variant": "unrelated_prompt"})
    shard = joined(tables("++++----"), tables("+++-", ["a", "b", "c", "d"], prompt_id="q"))
    rows = condition(*shard, settings, ChatTemplate(tokenizer), run_seed=0)
    assert sum(len(row["peers"]) for row in rows) > 20
    assert len(tokenizer.encoded) == len(set(tokenizer.encoded)) > 0


@pytest.mark.parametrize(("variant", "others"), [("contrastive", 0), ("unrelated_prompt", 3), ("success_only", 3)])
def test_other_prompts_successes_are_listed_once_a_group_and_only_for_controls(variant: str, others: int) -> None:
    prompts, rollouts, verdicts = joined(tables("+--"), tables("+++", prompt_id="q"))
    groups = read_groups(prompts, rollouts, verdicts)
    settings = ConditionSettings.model_validate({"variant": variant})
    pools = Pools(groups, [], settings, TEMPLATE, run_seed=0)
    first, second = pools.of(groups[0], 0), pools.of(groups[0], 1)
    assert [peer.source.prompt_id for peer in first.others] == ["q"] * others
    assert first.others is second.others


def test_cut_replies_are_hidden_where_they_are_not_to_be_shown() -> None:
    prompts, rollouts, verdicts = tables("+-+")
    rollouts = [row | {"finish_reason": "length" if row["sample"] == 0 else "stop"} for row in rollouts]
    shown, hidden = (
        condition(prompts, rollouts, verdicts, ConditionSettings(show_truncated=show), TEMPLATE, run_seed=0)
        for show in (True, False)
    )
    assert [roles(row) for row in shown] == [(2, None, 1), (0, 2, None), (0, None, 1)]
    assert [roles(row) for row in hidden] == [(2, None, 1), (2, None, None), (None, None, 1)]
    cut = [row | {"finish_reason": "length"} for row in rollouts]
    (first, *_) = condition(prompts, cut, verdicts, ConditionSettings(show_truncated=False), TEMPLATE, run_seed=0)
    assert first["no_section_reason"] == "no peer with a verdict and text that was not cut"
