"""A fork that takes several calls: each is judged as by itself, and no fork outlives those who may ask it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import pytest
from guard_processes import is_running, kill, wait_for_end

from mopd.verifiers import guard
from mopd.verifiers.guard import Guarded, UndecidedError

PID = "__import__('os').getpid()"
MARK = "setattr(__import__('sys'), 'marked', True)"
MARKED = "hasattr(__import__('sys'), 'marked')"


@pytest.fixture
def open_guard() -> Iterator[Callable[..., Guarded]]:
    """Guards whose forks take eight calls."""
    opened: list[Guarded] = []

    def open_one(**limits: Any) -> Guarded:
        settings = {"cpu_seconds": 0.2, "wall_seconds": 30.0, "memory_bytes": 256 << 20, "calls_a_fork": 8} | limits
        opened.append(Guarded("builtins:eval", **settings))
        return opened[-1]

    yield open_one
    for guarded in opened:
        guarded.close()


@pytest.fixture
def evaluate(open_guard: Callable[..., Guarded]) -> Guarded:
    return open_guard()


def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """What the function returns in a thread of its own, which has ended then."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(function, *args).result()


def in_copy(function: Callable[[], Any]) -> int:
    """The process id of a forked copy of this process that calls the function and ends."""
    if (pid := os.fork()) == 0:
        try:
            function()
        finally:
            os._exit(0)
    return pid


def test_a_thread_keeps_its_fork_for_so_many_calls(open_guard: Callable[..., Guarded]) -> None:
    evaluate = open_guard(calls_a_fork=3)
    pids = [evaluate(PID) for _ in range(7)]
    assert [pids.index(pid) for pid in pids] == [0, 0, 0, 3, 3, 3, 6]


def test_threads_share_no_fork(evaluate: Guarded) -> None:
    here = evaluate(PID)
    assert in_thread(evaluate, PID) != here
    assert evaluate(PID) == here


def test_a_call_has_a_fork_of_its_own_unless_told_otherwise(open_guard: Callable[..., Guarded]) -> None:
    evaluate = open_guard(calls_a_fork=1)
    evaluate(MARK)
    assert not evaluate(MARKED)


@pytest.mark.parametrize(
    "failing",
    ["9 ** 9 ** 9", "[0] * 10 ** 10", "__import__('os').abort()", "(lambda f: f(f))(lambda f: f(f))", "1 / 0"],
    ids=["hangs", "eats memory", "crashes", "recurses", "raises"],
)
def test_what_fails_where_another_call_was_before_is_asked_again_by_itself(evaluate: Guarded, failing: str) -> None:
    evaluate(MARK)
    assert evaluate(MARKED)
    assert evaluate(f"{failing} if {MARKED} else 'by itself'") == "by itself"
    assert not evaluate(MARKED)


@pytest.mark.parametrize(
    ("failing", "error"),
    [("9 ** 9 ** 9", UndecidedError), ("[0] * 10 ** 10", UndecidedError), ("1 / 0", RuntimeError)],
)
def test_what_fails_by_itself_leaves_no_fork(evaluate: Guarded, failing: str, error: type[Exception]) -> None:
    evaluate(MARK)
    with pytest.raises(error):
        evaluate(failing)
    assert not evaluate(MARKED)


def test_each_call_has_the_whole_cpu_time(evaluate: Guarded) -> None:
    clock = "__import__('time').process_time"
    busy = f"(lambda end: sum(0 for _ in iter(lambda: {clock}() < end, False)) or {PID})({clock}() + 0.12)"
    assert len({evaluate(busy) for _ in range(5)}) == 1


def test_no_limit_runs_while_a_fork_waits(open_guard: Callable[..., Guarded]) -> None:
    evaluate = open_guard(wall_seconds=0.5)
    pid = evaluate(PID)
    time.sleep(0.8)
    assert evaluate(PID) == pid


def test_a_call_that_leaves_much_memory_ends_its_fork(evaluate: Guarded) -> None:
    pid = evaluate("setattr(__import__('sys'), 'left', bytearray(1 << 20)) or " + PID)
    assert evaluate("setattr(__import__('sys'), 'left', bytearray(64 << 20)) or " + PID) == pid
    assert evaluate(PID) != pid


def test_a_fork_that_died_while_it_waited_costs_no_call(evaluate: Guarded) -> None:
    pid = evaluate(PID)
    kill(pid)
    assert evaluate(f"[{PID}]") != [pid]


def test_the_late_answer_to_a_call_that_was_given_up_answers_no_other(
    open_guard: Callable[..., Guarded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "GRACE_SECONDS", -0.7)
    evaluate = open_guard(wall_seconds=1.0)
    evaluate(MARK)
    with pytest.raises(TimeoutError):
        evaluate("__import__('time').sleep(0.5) or 'late'")
    assert evaluate("'first'") == "first"
    time.sleep(0.5)
    assert evaluate("'second'") == "second"


def test_the_answer_to_a_call_that_was_interrupted_answers_no_other(evaluate: Guarded) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt(*_: object) -> NoReturn:
        raise Interrupted

    evaluate(MARK)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Interrupted):
            evaluate("__import__('time').sleep(0.4) or 'late'")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert evaluate("'first'") == "first"
    time.sleep(0.4)
    assert evaluate("'second'") == "second"


def test_a_fork_ends_with_its_thread(evaluate: Guarded) -> None:
    wait_for_end(in_thread(evaluate, PID))


def test_a_fork_ends_with_its_helper(evaluate: Guarded) -> None:
    pid = evaluate(PID)
    kill(evaluate("__import__('os').getppid()"))
    wait_for_end(pid)
    assert evaluate("1 + 1") == 2


def test_a_fork_ends_when_its_guard_is_closed(evaluate: Guarded) -> None:
    pid = evaluate(PID)
    evaluate.close()
    wait_for_end(pid)
    assert evaluate("1 + 1") == 2


def test_a_copy_of_this_process_asks_forks_of_its_own(evaluate: Guarded) -> None:
    pid = evaluate(PID)
    reads, writes = os.pipe()
    os.waitpid(in_copy(lambda: os.write(writes, str(evaluate(PID)).encode())), 0)
    assert int(os.read(reads, 100)) != pid
    assert evaluate(PID) == pid
    os.close(reads)
    os.close(writes)


def test_a_copy_of_this_process_holds_no_fork_of_it(evaluate: Guarded) -> None:
    evaluate(PID)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(evaluate, f"__import__('time').sleep(0.5) or {PID}")
        time.sleep(0.2)
        copy = in_copy(signal.pause)  # in the middle of a call of another thread
    try:
        wait_for_end(asked.result())
        assert is_running(copy)
    finally:
        kill(copy)
        os.waitpid(copy, 0)
