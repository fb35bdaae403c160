"""A prompt as the student was asked it."""

from __future__ import annotations

from collections.abc import Sequence

from mopd.contexts.summaries import instruction_of, with_instruction
from mopd.models.chat_template import with_system_prompt
from mopd.settings import Settings
from mopd.tasks.task import Message


def asked_messages(messages: Sequence[Message], settings: Settings | None) -> list[Message]:
    """The messages of a training prompt with what the settings of its round put around and behind them; alone, where
    these can't be read."""
    if settings is None:
        return [*messages]
    users = any(message["role"] == "user" for message in messages)
    asked = with_instruction(list(messages), instruction_of(settings)) if users else messages
    return with_system_prompt(asked, settings.model.system_prompt)
