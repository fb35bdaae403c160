"""Containers that both of two interpreters hold: what one changes is changed in the other, and identity is kept.

Runs inside the sandbox: the standard library alone. A list that crosses for the first time gets a number; from then on
each message carries along what has become of such containers since the last one, so that a change in place is seen on
the other side, and the same list is the same list there.
"""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from operator import is_
from typing import Any

from mopd.sandbox.guest.arrays import fill_array, is_array

KINDS: dict[str, type] = {
    kind.__name__: kind for kind in (list, dict, set, bytearray, deque, OrderedDict, defaultdict, Counter)
}
BASES: tuple[type, ...] = (list, dict, set, bytearray, deque)
MAPPINGS = (dict, OrderedDict, defaultdict, Counter)
UNUSED = 3
"""References to a container that nobody but its mirror holds: the mirror's, and those of the two calls that count."""


def parts_of(container: Any) -> tuple[Any, ...]:
    """What a container holds, in order, whatever its class overrides; a mapping's keys, then its values."""
    if isinstance(container, dict):
        keys = tuple(_mapping(container).__iter__(container))
        return (*keys, *(dict.__getitem__(container, key) for key in keys))
    if isinstance(container, bytearray):
        return (bytes(container),)
    if is_array(container):
        return (container.tobytes(),)
    base: Any = next(base for base in BASES if isinstance(container, base))
    return tuple(base.__iter__(container))


def _mapping(container: Any) -> Any:
    """Whose methods a mapping's are: an ordered one keeps its order beside the dict that it is."""
    return OrderedDict if isinstance(container, OrderedDict) else dict


def refill(container: Any, parts: list[Any]) -> None:
    """Gives a container other contents in place."""
    if isinstance(container, dict):
        half = len(parts) // 2
        pairs = list(zip(parts[:half], parts[half:]))
        _mapping(container).clear(container)
        for key, value in pairs:
            _mapping(container).__setitem__(container, key, value)
    elif isinstance(container, bytearray):
        container[:] = parts[0]
    elif is_array(container):
        fill_array(container, parts[0])
    elif isinstance(container, set):
        set.clear(container)
        set.update(container, parts)
    else:
        base: Any = list if isinstance(container, list) else deque
        base.clear(container)
        base.extend(container, parts)


class Mirror:
    """One container, with what it held when both sides last agreed."""

    __slots__ = ("agreed", "container", "number")

    def __init__(self, number: int, container: Any) -> None:
        self.number = number
        self.container = container
        self.agreed: tuple[Any, ...] | None = None
        """None until the other side has it."""

    def changed(self) -> bool:
        """Whether it holds other things than the other side knows: told by identity, which asks no object."""
        if self.agreed is None:
            return True
        parts = parts_of(self.container)
        if isinstance(self.container, bytearray) or is_array(self.container):
            return parts != self.agreed
        return len(parts) != len(self.agreed) or not all(map(is_, parts, self.agreed))

    def agree(self) -> None:
        """The other side is about to know what it holds now, or has just said it."""
        self.agreed = parts_of(self.container)


class Mirrors:
    """All containers that the other side has too, by number."""

    def __init__(self, next_number: Callable[[], int]) -> None:
        self._next_number = next_number
        self._mirrors: dict[int, Mirror] = {}
        self._numbers: dict[int, int] = {}

    def number_of(self, container: Any) -> int:
        """The number of a container, a new one where it has none."""
        number = self._numbers.get(id(container))
        if number is None:
            number = self._next_number()
            self.add(number, container)
        return number

    def add(self, number: int, container: Any) -> None:
        """Takes up a container under its number."""
        self._mirrors[number] = Mirror(number, container)
        self._numbers[id(container)] = number

    def find(self, number: int) -> Any:
        """The container of that number. Raises KeyError."""
        return self._mirrors[number].container

    def __contains__(self, number: int) -> bool:
        return number in self._mirrors

    def changed(self) -> Iterator[Mirror]:
        """Those that changed since both sides agreed; more may be added meanwhile."""
        seen: set[int] = set()
        while fresh := [mirror for number, mirror in self._mirrors.items() if number not in seen]:
            seen.update(mirror.number for mirror in fresh)
            for mirror in fresh:
                if mirror.changed():
                    mirror.agree()
                    yield mirror

    def agree(self, number: int) -> None:
        """The container holds what the other side has just said."""
        self._mirrors[number].agree()

    def unused(self) -> list[int]:
        """Drops the containers that nobody but this table holds, unless there is news of them; their numbers."""
        alone = [mirror for mirror in self._mirrors.values() if sys.getrefcount(mirror.container) < UNUSED]
        dropped = [mirror.number for mirror in alone if not mirror.changed()]
        self.drop(dropped)
        return dropped

    def drop(self, numbers: list[int]) -> None:
        """Forgets containers, where they are known."""
        for number in numbers:
            mirror = self._mirrors.pop(number, None)
            if mirror is not None:
                self._numbers.pop(id(mirror.container), None)
