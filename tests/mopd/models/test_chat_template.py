"""One renderer by the settings: arguments, a system prompt, thoughts in replies, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mopd.errors import InputError
from mopd.models.chat_template import ChatTemplate, load_chat_template, save_chat_template
from mopd.models.folders import resolve_model
from mopd.models.jinja_text import arguments_of
from mopd.settings import ModelSettings
from mopd.verifiers.reply import without_thinking
from tests.mopd.models.installed_templates import IN_PARTS, TEMPLATES, tokenizer_of

SYSTEM = {"role": "system", "content": "Be brief."}
QUESTION = {"role": "user", "content": "What is 1 + 1?"}
needs_trl = pytest.mark.skipif("qwen3" not in TEMPLATES, reason="TRL's chat templates are not installed")
THINKERS = ("deepseek_r1_distill", "qwen3_5_think", "nemotron_3_nano")
"""Templates whose header begins the reply inside <think>."""


def template(name: str, **settings: Any) -> ChatTemplate:
    return ChatTemplate.of(tokenizer_of(name), ModelSettings(**settings))


@needs_trl
def test_arguments_change_what_is_rendered() -> None:
    header = "<|im_start|>assistant\n"
    assert template("qwen3").rendered([QUESTION]).endswith(header)
    silent = template("qwen3", chat_template_kwargs={"enable_thinking": False})
    assert silent.rendered([QUESTION]).endswith(f"{header}<think>\n\n</think>\n\n")
    silent.check()
    assert (silent.knows_thinking, silent.begins_thought) == (True, False)


@needs_trl
@pytest.mark.parametrize(
    ("name", "argument", "known"),
    [("qwen3", "enable_thinkin", "it knows enable_thinking, tools"), ("phi3", "enable_thinking", "it knows none")],
)
def test_an_argument_that_the_template_does_not_know_is_refused(name: str, argument: str, known: str) -> None:
    with pytest.raises(InputError) as refusal:
        template(name, chat_template_kwargs={argument: False}).check()
    expected = f"model.chat_template_kwargs: {argument} is nothing that the chat template knows; {known}"
    assert str(refusal.value) == expected


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("{{ messages }}{% if add_generation_prompt %}{{ bos_token }}{% endif %}", {"bos_token"}),
        ("{% if thinking is defined %}a{% endif %}{{ effort | default('low') }}", {"thinking", "effort"}),
        ("{% set a = 1 %}{{ a }}{% for m in messages %}{% set b = m %}{{ b }}{% endfor %}", set()),
        ("{% if not date is defined %}{% set date = strftime_now('%d') %}{% endif %}{{ date }}", {"date"}),
        ("{% generation %}{{ spoken }}{% endgeneration %}{% break %}", {"spoken"}),
    ],
)
def test_the_arguments_of_a_template_are_what_it_asks_for(text: str, arguments: set[str]) -> None:
    assert arguments_of(text.replace("{% break %}", "")) == arguments


@needs_trl
def test_a_system_prompt_stands_before_messages_without_a_system_message() -> None:
    prompted, plain = template("qwen2_5", system_prompt="Be brief."), template("qwen2_5")
    prompted.check()
    assert prompted.ids([QUESTION]) == plain.ids([SYSTEM, QUESTION])
    other = {"role": "system", "content": "Be long."}
    assert prompted.ids([other, QUESTION]) == plain.ids([other, QUESTION])


@needs_trl
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("gemma", "the model's chat template refuses messages of system, user (System role not supported)"),
        ("template_blip2", "the model's chat template leaves out system messages"),
    ],
)
def test_a_system_prompt_that_would_not_be_seen_is_refused(name: str, problem: str) -> None:
    if name not in TEMPLATES:
        pytest.skip(f"{name} is not installed")
    with pytest.raises(InputError) as refusal:
        template(name, system_prompt="Be brief.").check()
    assert str(refusal.value) == (
        f"model.system_prompt: {problem}; write it into the questions instead, or name a file with another template in "
        "model.chat_template"
    )


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_installed_template_is_taken_or_refused_for_what_it_is(name: str) -> None:
    if name in IN_PARTS:
        with pytest.raises(InputError, match=r"leaves out what the user says.*; name a file with another template"):
            template(name).check()
        return
    template(name).check()


@pytest.mark.parametrize("name", sorted(set(TEMPLATES) - IN_PARTS))
@pytest.mark.parametrize("messages", [[QUESTION], [SYSTEM, QUESTION]], ids=["alone", "system"])
def test_a_saved_template_says_the_same_without_the_settings(name: str, messages: list[Any]) -> None:
    settings: dict[str, Any] = {"system_prompt": 'Say "it\'s 5 %} {{ é \n".'}
    if "enable_thinking" in arguments_of(TEMPLATES[name].read_text()):
        settings |= {"chat_template_kwargs": {"enable_thinking": False}}
    with_settings = template(name, **settings)
    saved = ChatTemplate(tokenizer_of(name), text=with_settings.standalone())
    try:
        expected = with_settings.rendered(messages)
    except InputError:
        with pytest.raises(InputError):
            saved.rendered(messages)
        return
    assert saved.rendered(messages) == expected
    assert ChatTemplate.of(saved.tokenizer, ModelSettings(**settings)).rendered(messages) == expected


def test_a_policy_is_saved_with_the_template_it_was_asked_in(tmp_path: Path) -> None:
    folder = resolve_model("tiny:llama")
    (tmp_path / "plain").mkdir()
    save_chat_template(load_chat_template(folder, ModelSettings()), tmp_path / "plain")
    assert not list((tmp_path / "plain").iterdir())
    left = tmp_path / "plain" / "chat_template.jinja"
    left.write_text("of a policy before")
    save_chat_template(load_chat_template(folder, ModelSettings()), tmp_path / "plain")
    assert left.read_text() == (folder / "chat_template.jinja").read_text()
    save_chat_template(load_chat_template(folder, ModelSettings(system_prompt="Be brief.")), tmp_path)
    text = (tmp_path / "chat_template.jinja").read_text()
    saved = load_chat_template(folder, ModelSettings(chat_template=text))
    assert saved.ids([QUESTION]) == load_chat_template(folder, ModelSettings()).ids([SYSTEM, QUESTION])


@needs_trl
def test_a_template_that_writes_the_date_writes_the_same_one_every_day() -> None:
    assert "Today Date: 26 Jul 2024" in template("llama3_2").rendered([QUESTION])
    assert "Current date: 2024-07-26" in template("gptoss").rendered([QUESTION])
    other = template("llama3_2", chat_template_kwargs={"date_string": "1 Jan 2026"})
    other.check()
    assert "Today Date: 1 Jan 2026" in other.rendered([QUESTION])


@needs_trl
@pytest.mark.parametrize("name", THINKERS)
def test_the_thought_that_a_header_begins_is_opened_in_the_reply(name: str) -> None:
    asked, tokenizer = template(name), tokenizer_of(name)
    assert asked.begins_thought
    whole = tokenizer.encode("Hm.</think>\n\nIt is 2.", add_special_tokens=False)
    assert asked.reply(whole) == "<think>\nHm.</think>\n\nIt is 2."
    assert without_thinking(asked.reply(whole)).strip() == "It is 2."
    assert without_thinking(asked.reply(tokenizer.encode("Hm, maybe 2", add_special_tokens=False))) == ""
    assert asked.reply([]) == ""


@needs_trl
def test_a_reply_without_thinking_is_its_tokens() -> None:
    tokenizer = tokenizer_of("qwen2_5")
    ids = tokenizer.encode("It is 2.<|im_end|>", add_special_tokens=False)
    assert template("qwen2_5").reply(ids) == "It is 2." == tokenizer.decode(ids, skip_special_tokens=True)


@needs_trl
@pytest.mark.parametrize("special", [True, False])
def test_tags_of_thoughts_stay_in_the_reply_where_they_are_special_tokens(special: bool) -> None:
    tokenizer = tokenizer_of("qwen3", special_think_tags=special)
    ids = tokenizer.encode("<think>a</think><|im_end|>b", add_special_tokens=False)
    asked = ChatTemplate(tokenizer)
    assert asked.reply(ids) == "<think>a</think>b"
    assert "<|im_end|>" in asked.special_tokens
    assert not {"<think>", "</think>"} & set(asked.special_tokens)


def test_what_is_no_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.chat_template: is no Jinja template \(line 1: .*\); mend it"):
        load_chat_template(resolve_model("tiny:llama"), ModelSettings(chat_template="{% for")).check()
    with pytest.raises(InputError, match=r"is no Jinja template \(line 2: No filter named 'shout'\.\); mend it"):
        load_chat_template(resolve_model("tiny:llama"), ModelSettings(chat_template="\n{{ messages | shout }}")).check()
    path = tmp_path / "template.jinja"
    path.write_text("{{ messages[0].content }}")
    assert ModelSettings(chat_template=str(path)).chat_template == "{{ messages[0].content }}"
    path.write_text("no braces")
    for value, problem in ((str(path), "holds no Jinja template"), (str(tmp_path / "absent"), "cannot be read")):
        with pytest.raises(ValueError, match=problem):
            ModelSettings(chat_template=value)
