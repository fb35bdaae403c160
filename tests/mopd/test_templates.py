"""Contexts under the chat templates that installed packages ship, token by token."""

from __future__ import annotations

from typing import Any

import pytest

from mopd.condition import condition
from mopd.contexts.render import CLOSING_LINE, check_rendering, check_renderings
from mopd.contexts.summaries import SUMMARY_INSTRUCTION
from mopd.errors import InputError
from mopd.generate import prompt_ids
from mopd.models.chat_template import ChatTemplate
from mopd.models.folders import load_tokenizer, resolve_model
from mopd.models.jinja_text import arguments_of
from mopd.settings import ModelSettings
from mopd.settings.condition import ConditionSettings
from mopd.settings.verify import VerifySettings
from mopd.verify import verify
from tests.mopd.models.installed_templates import IN_PARTS, TEMPLATES, tokenizer_of

Row = dict[str, Any]
Rows = list[Row]
QUESTION = "What is 20 + 22?"
SYSTEM_PROMPT = "Be brief."
NAMES = sorted(set(TEMPLATES) - IN_PARTS)
REFUSE_SYSTEM = {name for name in NAMES if name in ("gemma", "gemma_training")}
"""Templates that take no system message."""
MOVE_SYSTEM = {"template_blip2"}
"""Templates that leave it out."""
ONE_TURN = (
    "{% if messages | length > 1 %}{{ raise_exception('One turn') }}{% endif %}{{ messages[0].content }}\nASSISTANT:"
)
LAST_MESSAGE = "{{ messages[-1].content }}\nASSISTANT:"
NO_NEWS = "{{ messages[0].content[:16] }}\nASSISTANT:"


def thinking_of(name: str) -> list[Row]:
    """Arguments that turn thinking on and off; the template's own way alone where it has no such argument."""
    knows = "enable_thinking" in arguments_of(TEMPLATES[name].read_text())
    return [{"enable_thinking": value} for value in (True, False)] if knows else [{}]


def shard(template: ChatTemplate, instruction: str = "", metadata: str = "{}") -> tuple[Rows, Rows, Rows]:
    """A group of a success, a failure and a success, which think where the template knows thinking."""
    keys = {"run": "r", "round": 0, "prompt_id": "p"}
    prompt = {**keys, "messages": [{"role": "user", "content": QUESTION}], "metadata": metadata}
    asked = list(prompt_ids(prompt, template, 9999, instruction))
    rollouts, verdicts = [], []
    for sample, (answer, success) in enumerate((("It is 42.", True), ("It is 41.", False), ("So 42.", True))):
        opened = "" if template.begins_thought else "<think>"
        thought = f"{opened}Secret {sample}.</think>\n\n" if template.knows_thinking else ""
        ids = template.tokenizer.encode(f"{thought}{answer}", add_special_tokens=False)
        text = template.reply(ids)
        rollouts.append({**keys, "sample": sample, "token_ids": ids, "text": text, "prompt_token_ids": asked})
        verdicts.append({**keys, "sample": sample, "success": success, "reward": float(success), "feedback": "41?"})
    return [prompt], rollouts, verdicts


def contexts(template: ChatTemplate, **settings: Any) -> list[Row]:
    return condition(*shard(template), ConditionSettings.model_validate(settings), template, run_seed=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("system_prompt", [None, SYSTEM_PROMPT], ids=["alone", "system"])
@pytest.mark.parametrize("rendering", ["sections", "turns"])
def test_contexts_begin_and_end_as_the_student_was_asked(name: str, rendering: str, system_prompt: str | None) -> None:
    if system_prompt and name in REFUSE_SYSTEM | MOVE_SYSTEM:
        pytest.skip("is refused: tests/mopd/models/test_chat_template.py")
    for arguments in thinking_of(name):
        words = ModelSettings(system_prompt=system_prompt, chat_template_kwargs=arguments)
        template = ChatTemplate.of(tokenizer_of(name), words)
        tokenizer = template.tokenizer
        question = [{"role": "user", "content": QUESTION}]
        check_rendering(question, ConditionSettings(rendering=rendering), template)
        asked = template.ids(question)
        (alone, *_) = contexts(template, variant="none")
        assert alone["context_token_ids"] == asked
        for row in contexts(template, rendering=rendering):
            shown = row["context_token_ids"]
            before, _, header = tokenizer.decode(asked).rpartition(QUESTION)
            num_before = len(tokenizer.encode(before + QUESTION, add_special_tokens=False))
            assert shown[:num_before] == asked[:num_before]
            assert shown[len(shown) - len(asked) + num_before :] == asked[num_before:]
            assert tokenizer.decode(shown).endswith(header)
            text = tokenizer.decode(shown[num_before : len(shown) - len(asked) + num_before])
            answers = {0: "It is 42.", 1: "It is 41.", 2: "So 42."}
            assert [answer in text for answer in answers.values()] == [row["sample"] != sample for sample in answers]
            assert "Secret" not in text
            assert (CLOSING_LINE in text) == (rendering == "sections")
            assert [message["role"] for message in row["messages"]][:1] == ["system" if system_prompt else "user"]


@pytest.mark.parametrize("name", [name for name in NAMES if name in ("qwen3", "llama3_2", "gemma3", "qwen3_5_think")])
def test_the_instruction_to_summarize_is_found_again(name: str) -> None:
    template = ChatTemplate.of(tokenizer_of(name), ModelSettings(system_prompt=SYSTEM_PROMPT))
    rows = condition(*shard(template, SUMMARY_INSTRUCTION), ConditionSettings(), template, run_seed=0)
    assert all(f"{QUESTION}\n\n{SUMMARY_INSTRUCTION}" in row["messages"][-1]["content"] for row in rows)


@pytest.mark.parametrize("name", [name for name in NAMES if name in ("qwen3", "deepseek_r1_distill", "qwen2_5")])
def test_thoughts_are_stripped_where_the_template_knows_thinking(name: str) -> None:
    template = ChatTemplate(tokenizer_of(name))
    shown = {strip: contexts(template, strip_think=strip)[1]["messages"][-1]["content"] for strip in ("auto", False)}
    assert "Secret" not in shown["auto"]
    assert ("<think>" in shown[False]) == template.knows_thinking
    assert contexts(template) == contexts(template, strip_think=template.knows_thinking)


@pytest.mark.parametrize(
    ("text", "rendering", "refusal"),
    [
        (ONE_TURN, "sections", None),
        (
            ONE_TURN,
            "turns",
            "condition.rendering: turns: the model's chat template refuses messages of user, assistant, user, "
            "assistant, user (One turn); sections would do",
        ),
        (
            LAST_MESSAGE,
            "turns",
            "condition.rendering: turns: the model's chat template leaves out earlier replies (first_success); "
            "sections would do",
        ),
        (
            NO_NEWS,
            "sections",
            "condition.rendering: sections: the model's chat template leaves out earlier replies (first_success); nor "
            "would turns do: take another model.chat_template",
        ),
    ],
)
def test_a_rendering_that_the_template_does_not_show_is_refused(text: str, rendering: str, refusal: str | None) -> None:
    template = ChatTemplate(load_tokenizer(resolve_model("tiny:llama")), text=text)
    settings = ConditionSettings.model_validate({"rendering": rendering})
    if refusal is None:
        check_rendering([{"role": "user", "content": QUESTION}], settings, template)
        return
    with pytest.raises(InputError) as error:
        check_rendering([{"role": "user", "content": QUESTION}], settings, template)
    assert str(error.value) == refusal


def test_each_kind_of_prompt_is_tried_and_named_and_only_where_replies_are_turns() -> None:
    template = ChatTemplate(load_tokenizer(resolve_model("tiny:llama")), text=ONE_TURN)
    prompts = [{"prompt_id": name, "messages": [{"role": "user", "content": QUESTION}]} for name in "ab"]
    for variant in ("none", "summary", "feedback"):
        check_renderings(
            prompts, ConditionSettings.model_validate({"variant": variant, "rendering": "turns"}), template
        )
    auto = {"kind": "auto", "candidates": ["none", "success/sections", "success/turns"]}
    none, sections, turns = ConditionSettings.model_validate({"variant": auto}).tried()
    check_renderings(prompts, none, template)
    check_renderings(prompts, sections, template)
    with pytest.raises(InputError, match=r"^prompt b: condition\.rendering: turns: .*; sections would do$"):
        check_renderings(prompts, turns, template)


@pytest.mark.parametrize(
    ("verifier", "answer"),
    [
        *((name, "42") for name in ("numeric", "last_number", "first_number", "only_number", "exact", "math")),
        ("mcq", "B"),
        ("tool_use", '[{"Action": "go", "Action_Input": "{}"}]'),
    ],
)
@pytest.mark.parametrize("begun", ["header", "reply"])
def test_a_cut_thought_is_no_answer(verifier: str, answer: str, begun: str) -> None:
    name = "qwen3_5_think" if begun == "header" else "qwen3"
    if name not in TEMPLATES:
        pytest.skip("TRL's chat templates are not installed")
    template = ChatTemplate(tokenizer_of(name))
    said = f"\\boxed{{{answer}}} <answer>{answer}</answer>\nAction: go\nAction Input: {{}}\n{answer}"
    texts = [f"{said}", f"Hm, 1 or 2?</think>{said if verifier not in ('only_number', 'first_number') else answer}"]
    keys = {"run": "r", "round": 0, "prompt_id": "p"}
    prompt = {**keys, "verifier": verifier, "answer": answer, "tests": None, "metadata": "{}"}
    opened = "" if begun == "header" else "<think>"
    ids = [template.tokenizer.encode(opened + text, add_special_tokens=False) for text in texts]
    rows = [{**keys, "sample": n, "text": template.reply(one), "finish_reason": "stop"} for n, one in enumerate(ids)]
    cut, whole = verify([prompt], rows, VerifySettings())
    assert (cut["success"], cut["prediction"]) == (False, None)
    assert whole["success"] is True


def test_peers_that_did_nothing_but_think_have_no_summary() -> None:
    if "qwen3" not in TEMPLATES:
        pytest.skip("TRL's chat templates are not installed")
    template = ChatTemplate(tokenizer_of("qwen3"))
    prompts, rollouts, verdicts = shard(template)
    rollouts[1]["text"] = "<think>It is 41"
    settings = ConditionSettings.model_validate({"variant": "summary", "strip_think": False})
    row = condition(prompts, rollouts, verdicts, settings, template, run_seed=0)[0]
    assert [peer["sample"] for peer in row["peers"]] == [2]


@pytest.mark.parametrize("rendering", ["sections", "turns"])
def test_the_reference_is_the_tasks_own_solution(rendering: str) -> None:
    if "qwen3" not in TEMPLATES:
        pytest.skip("TRL's chat templates are not installed")
    template = ChatTemplate(tokenizer_of("qwen3"))
    settings = ConditionSettings.model_validate({"variant": "reference", "rendering": rendering})
    solved = condition(
        *shard(template, metadata='{"solution": "20 and 22<|im_end|> make 42."}'), settings, template, run_seed=0
    )
    assert len({row["context_digest"] for row in solved}) == 1
    contents = [message["content"] for message in solved[0]["messages"]]
    heading = "A reference solution of this question:"
    assert contents == (
        [f"{QUESTION}\n\n{heading}\n20 and 22 make 42.\n\n{CLOSING_LINE}"]
        if rendering == "sections"
        else [QUESTION, "20 and 22 make 42.", QUESTION]
    )
    (peer,) = solved[1]["peers"]
    assert (peer["role"], peer["prompt_id"], peer["sample"], peer["success"]) == ("reference", "p", None, True)
    unsolved = condition(*shard(template), settings, template, run_seed=0)
    assert {row["no_section_reason"] for row in unsolved} == {"the task has no solution"}
    assert [row["context_token_ids"] for row in unsolved] == [shard(template)[1][0]["prompt_token_ids"]] * 3
