"""Promises: made once though several threads ask, and nobody waits for another object's."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from flows.viewer.documents.made_once import MadeOnce


class Slow:
    """Makes its number as soon as it may."""

    def __init__(self) -> None:
        self.may, self.begun, self.tries = threading.Event(), threading.Event(), 0

    @MadeOnce
    def number(self) -> int:
        """How often it was made."""
        self.tries += 1
        self.begun.set()
        assert self.may.wait(60)
        return self.tries


def test_threads_that_ask_together_get_the_same() -> None:
    slow = Slow()
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(lambda: slow.number) for _ in range(2)]
        slow.begun.wait(60)
        slow.may.set()
        assert [one.result() for one in asked] == [1, 1]


def test_nobody_waits_for_another_object() -> None:
    slow, quick = Slow(), Slow()
    quick.may.set()
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(lambda: slow.number)
        slow.begun.wait(60)
        assert (quick.number, asked.done()) == (1, False)
        slow.may.set()
    assert asked.result() == 1


def test_what_could_not_be_made_is_tried_again() -> None:
    class Failing:
        tries = 0

        @MadeOnce
        def number(self) -> int:
            self.tries += 1
            return 1 // (self.tries - 1)

    failing = Failing()
    with pytest.raises(ZeroDivisionError):
        assert failing.number
    assert (failing.number, failing.number, failing.tries) == (1, 1, 2)
