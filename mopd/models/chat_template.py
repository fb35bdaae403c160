"""Messages as token ids, under a model's chat template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mopd.errors import InputError
from mopd.tasks.task import Message


def template_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Token ids of the messages, up to and with the header of the assistant's reply.

    Raises InputError where the template refuses them: it has no system role, say, or wants roles to alternate.
    """
    from jinja2 import TemplateError

    try:
        token_ids = tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, tokenize=True, return_dict=False
        )
    except TemplateError as error:
        roles = ", ".join(message["role"] for message in messages)
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"the model's chat template refuses messages of {roles} ({reason}); leave out what it does not take, or "
            "use a model whose template takes it"
        ) from error
    return [int(token_id) for token_id in token_ids]
