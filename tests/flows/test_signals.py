"""Ctrl-C is not lost when its exception is."""

from __future__ import annotations

import os
import signal

import pytest

from flows.signals import Terminated, orderly_end, raise_if_interrupted


def test_a_ctrl_c_whose_exception_was_swallowed_is_raised_again() -> None:
    with orderly_end():
        raise_if_interrupted()
        with pytest.raises(KeyboardInterrupt):  # stands for a callback that Python drops exceptions of
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            raise_if_interrupted()
    with orderly_end():
        raise_if_interrupted()


def test_sigterm_is_an_exception_and_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with orderly_end(), pytest.raises(Terminated):
        os.kill(os.getpid(), signal.SIGTERM)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
