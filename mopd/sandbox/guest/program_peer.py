"""The program's end of what its tests ask of it.

Runs inside the sandbox: the standard library alone. The program shares this interpreter.
"""

from __future__ import annotations

import io
import random
import sys
from typing import Any

from mopd.sandbox.guest.channel import Conversation
from mopd.sandbox.guest.objects import Message
from mopd.sandbox.guest.peer import ACTIONS, Peer
from mopd.sandbox.guest.plain import imported


class Printed(io.TextIOBase):
    """Text that a program prints, up to a bound; the rest is lost."""

    def __init__(self, max_chars: int) -> None:
        self.max_chars = max_chars
        self._text = ""

    def writable(self) -> bool:
        """Nothing else."""
        return True

    def write(self, text: str) -> int:
        """Keeps it."""
        self._text += text[: self.max_chars - len(self._text)]
        return len(text)

    def taken(self) -> str:
        """What was printed since the last time."""
        text, self._text = self._text, ""
        return text


class ProgramPeer(Peer):
    """The program's end: it does all that the tests ask."""

    def __init__(self, conversation: Conversation, names: dict[str, Any]) -> None:
        super().__init__(conversation.exchange, 1, names)
        self.conversation = conversation
        self.actions = {**ACTIONS, "find": lambda on, name: find(names, name), "listen": self.listen}
        self.actions["seed"] = lambda on, name, *args, **kwargs: random.seed(*args, **kwargs)
        self.printed: Printed | None = None

    def listen(self, on: Any, name: str) -> None:
        """From here on what the program prints goes to its tests, with the message that follows."""
        sys.stdout = self.printed = Printed(self.conversation.channel.max_bytes // 2)

    def sealed(self, message: Message) -> Message:
        """As everywhere, with what was printed meanwhile."""
        if self.printed is not None:
            message["printed"] = self.printed.taken()
        return super().sealed(message)

    def serve(self, question: dict[str, Any]) -> None:
        """Answers one question of the tests; they may be asked back meanwhile."""
        self.conversation.question = question
        self.take_in(question["message"])
        answer = self.perform(question["message"])
        self.conversation.channel.answer(self.conversation.question, {"message": answer})

    def named(self, name: str) -> Any:
        """A thing of the standard library by its name."""
        return imported(name)


def find(names: dict[str, Any], name: str) -> Any:
    """The program's function or class of that name; `Solution.f` makes a new Solution for each call."""
    owner, _, method = name.rpartition(".")
    if (owner or name) not in names:
        raise NameError(f"the program defines no {owner or name!r}")
    if not owner:
        return names[name]
    return lambda *args, **kwargs: getattr(names[owner](), method)(*args, **kwargs)
