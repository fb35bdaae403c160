"""Things of one kind by name, each registered where it is written: peer policies, verifiers, row formats and so on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Entry = TypeVar("Entry")
Function = TypeVar("Function", bound=Callable[..., Any])


class Registry(dict[str, Entry]):
    """Entries by name, in the order in which they were registered; a name stands for one of them."""

    def __init__(self, kind: str) -> None:
        """`kind`: what an entry is, e.g. "verifier"."""
        super().__init__()
        self.kind = kind

    def add(self, name: str, entry: Entry) -> None:
        """Registers an entry."""
        assert name not in self, f"there is a {self.kind} named {name} already"
        self[name] = entry

    def register(self, name: str | None = None) -> Callable[[Function], Function]:
        """For functions that are entries: registers the one decorated, by default under its own name."""

        def decorate(function: Function) -> Function:
            self.add(name or function.__name__, function)  # type: ignore[arg-type]
            return function

        return decorate

    def unknown(self, name: str) -> str:
        """What is wrong with a name that isn't here, and the names that are."""
        return f"{name!r} is unknown; choose one of {', '.join(sorted(self))}"
