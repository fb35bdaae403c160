"""Messages as token ids: a model's chat template with what the settings say of it, and thoughts in replies."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mopd.errors import InputError
from mopd.models.folders import load_tokenizer
from mopd.models.jinja_text import arguments_of, with_defaults
from mopd.tasks.task import Message

if TYPE_CHECKING:
    from mopd.settings import ModelSettings

THINK_TAGS = ("<think>", "</think>")
TODAY = datetime(2024, 7, 26)
"""What a template that writes the date is told, so that tomorrow's token ids are today's: Llama's own fallback."""
TEMPLATE_FILE = "chat_template.jinja"
_QUESTION = "What is asked?"


class TemplateRefusal(InputError):
    """What a chat template refuses, and the way out: the two arguments."""

    @property
    def problem(self) -> str:
        """The first of them."""
        return str(self.args[0])

    def __str__(self) -> str:
        return "; ".join(map(str, self.args))


class ChatTemplate:
    """A model's chat template, with a system prompt and arguments: one renderer for all that a model is asked.

    `text` stands in for the tokenizer's own template; `arguments` are its variables, such as `enable_thinking`.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        text: str | None = None,
        arguments: dict[str, Any] | None = None,
        system_prompt: str | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.system_prompt = system_prompt
        self._arguments = arguments or {}
        self._replacement = {} if text is None else {"chat_template": text}

    @classmethod
    def of(cls, tokenizer: Any, settings: ModelSettings) -> ChatTemplate:
        """The template by the settings of a run, not checked."""
        return cls(
            tokenizer,
            text=settings.chat_template,
            arguments=dict(settings.chat_template_kwargs),
            system_prompt=settings.system_prompt,
        )

    @property
    def is_plain(self) -> bool:
        """Whether it is the tokenizer's own template and nothing else."""
        return not (self._replacement or self._arguments or self.system_prompt)

    @cached_property
    def text(self) -> str:
        """The Jinja template. Raises InputError where the tokenizer has several, and none by default."""
        try:
            return str(self._replacement.get("chat_template") or self.tokenizer.get_chat_template())
        except ValueError as error:
            raise InputError(f"{' '.join(str(error).split())}; name a file in model.chat_template") from error

    def messages(self, messages: Sequence[Message]) -> list[Message]:
        """The messages, the system prompt before them where they have no system message."""
        return with_system_prompt(messages, self.system_prompt)

    def ids(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the messages, up to and with the header of the assistant's reply.

        Raises TemplateRefusal: the template has no system role, say, or wants roles to alternate.
        """
        return [int(token_id) for token_id in self._apply(messages, tokenize=True, return_dict=False)]

    def rendered(self, messages: Sequence[Message]) -> str:
        """What `ids` are the tokens of."""
        return str(self._apply(messages, tokenize=False))

    def reply(self, token_ids: Iterable[int]) -> str:
        """What the model said: without special tokens, with the <think> that the header of the reply began."""
        pieces = [(tag, list(ids)) for tag, ids in groupby(map(int, token_ids), key=self._special_tags.get)]
        text = "".join(
            tag * len(ids) if tag else self.tokenizer.decode(ids, skip_special_tokens=True) for tag, ids in pieces
        )
        return f"{THINK_TAGS[0]}\n{text}" if self.begins_thought and pieces else text

    @cached_property
    def knows_thinking(self) -> bool:
        """Whether replies may think aloud inside <think>."""
        return THINK_TAGS[1] in self.text

    @cached_property
    def begins_thought(self) -> bool:
        """Whether the header of a reply leaves a <think> open, so that the reply itself has the closing tag alone."""
        if not self.knows_thinking:
            return False
        header = self._rendered_question.rpartition(_QUESTION)[2]
        opened, closed = map(header.rfind, THINK_TAGS)
        return opened > closed

    @cached_property
    def _rendered_question(self) -> str:
        """A question as the template writes it: alone, or after a system message where it wants one."""
        question = {"role": "user", "content": _QUESTION}
        try:
            return self.rendered([question])
        except TemplateRefusal:
            with suppress(TemplateRefusal):
                return self.rendered([{"role": "system", "content": "Reply."}, question])
            raise

    @cached_property
    def special_tokens(self) -> list[str]:
        """Tokens that would end a turn, or begin one, were they spelled in a message."""
        added = [str(token) for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        tokens = dict.fromkeys([*self.tokenizer.all_special_tokens, *added])
        return [token for token in tokens if token and token not in THINK_TAGS]

    @cached_property
    def _special_tags(self) -> dict[int, str]:
        """The tags of thoughts that the tokenizer would leave out as special tokens."""
        if not self.knows_thinking:
            return {}
        added = self.tokenizer.added_tokens_decoder.items()
        return {token_id: str(token) for token_id, token in added if token.special and str(token) in THINK_TAGS}

    def check(self) -> None:
        """What the settings say must be something that the template takes. Raises InputError, naming the setting."""
        self._check_arguments()
        if self.system_prompt is not None:
            self._check_system_prompt(self.system_prompt)
        if _QUESTION not in self._rendered_question:
            raise InputError(
                "the model's chat template leaves out what the user says, as those do that want a message in parts; "
                "name a file with another template in model.chat_template"
            )

    def standalone(self) -> str:
        """The template for those who render without the settings: they stand in it."""
        return with_defaults(self.text, self._arguments, self.system_prompt)

    def _check_arguments(self) -> None:
        try:
            known = arguments_of(self.text) - set(self.tokenizer.special_tokens_map)
        except InputError as error:
            raise InputError(f"model.chat_template: {error}; mend it, or name another file") from error
        for name in self._arguments:
            if name not in known:
                choices = f"it knows {', '.join(sorted(known))}" if known else "it knows none"
                raise InputError(
                    f"model.chat_template_kwargs: {name} is nothing that the chat template knows; {choices}"
                )

    def _check_system_prompt(self, system_prompt: str) -> None:
        way_out = "write it into the questions instead, or name a file with another template in model.chat_template"
        try:
            rendered = self.rendered([{"role": "user", "content": _QUESTION}])
        except TemplateRefusal as error:
            raise InputError(f"model.system_prompt: {error.problem}; {way_out}") from error
        if not is_shown(system_prompt, rendered):
            raise InputError(f"model.system_prompt: the model's chat template leaves out system messages; {way_out}")

    def _apply(self, messages: Sequence[Message], **options: Any) -> Any:
        from jinja2 import TemplateError

        asked = self.messages(messages)
        options |= {"add_generation_prompt": True, **self._replacement, **self._arguments, **self._clock}
        try:
            return self.tokenizer.apply_chat_template(asked, **options)
        except (TemplateError, TypeError, ValueError) as error:
            roles = ", ".join(message["role"] for message in asked)
            reason = " ".join(str(error).split()) or type(error).__name__
            raise TemplateRefusal(
                f"the model's chat template refuses messages of {roles} ({reason})",
                "leave out what it does not take, or name a file with another template in model.chat_template",
            ) from error

    @cached_property
    def _clock(self) -> dict[str, Callable[[str], str]]:
        return {"strftime_now": TODAY.strftime} if "strftime_now" in self.text else {}


def load_chat_template(folder: str | Path, settings: ModelSettings) -> ChatTemplate:
    """The chat template of a model's folder by the settings. Raises InputError where there is none."""
    tokenizer = load_tokenizer(folder)
    if tokenizer.chat_template is None and settings.chat_template is None:
        raise InputError(
            f"{folder}: the tokenizer has no chat template; use an instruction-tuned model, or name a file in "
            "model.chat_template"
        )
    return ChatTemplate.of(tokenizer, settings)


def save_chat_template(template: ChatTemplate, folder: Path) -> None:
    """Puts a template with its settings beside a policy's weights, for those who open it without the run.

    What the policy before it was asked in may lie there already.
    """
    path = folder / TEMPLATE_FILE
    if path.exists() or not template.is_plain:
        path.write_text(template.standalone(), encoding="utf-8")


def with_system_prompt(messages: Sequence[Message], system_prompt: str | None) -> list[Message]:
    """The messages, the system prompt before them where they have no system message."""
    if system_prompt is None or any(message["role"] == "system" for message in messages):
        return list(messages)
    return [{"role": "system", "content": system_prompt}, *messages]


def is_shown(text: str, rendered: str) -> bool:
    """Whether a rendering has the text, but for white space."""
    return re.sub(r"\s+", " ", text.strip()) in re.sub(r"\s+", " ", rendered)
