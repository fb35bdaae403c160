"""Attributes that are made when they are first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Made = TypeVar("Made")


class MadeOnce(Generic[Made]):
    """As `functools.cached_property`, but made once where several threads ask, and each object's by itself.

    Python's holds all objects of a class up for one of them (3.11), or is made by each thread that asks (3.12).
    """

    def __init__(self, make: Callable[[Any], Made]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type | None = None) -> Made:
        attributes = instance.__dict__  # where it stands from then on, before this one is asked
        with attributes.setdefault(f"lock of {self._name}", threading.RLock()):
            if self._name not in attributes:
                attributes[self._name] = self._make(instance)
            made: Made = attributes[self._name]
            return made
