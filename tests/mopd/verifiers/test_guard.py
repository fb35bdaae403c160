"""A guarded call ends, whatever is called, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from guard_processes import kill, wait_for_end

from mopd.verifiers.guard import Guarded, UndecidedError


@pytest.fixture(params=[1, 8])
def evaluate(request: pytest.FixtureRequest) -> Iterator[Guarded]:
    guarded = Guarded(
        "builtins:eval", cpu_seconds=0.2, wall_seconds=30.0, memory_bytes=256 << 20, calls_a_fork=request.param
    )
    yield guarded
    guarded.close()


def test_values_come_back(evaluate: Guarded) -> None:
    assert evaluate("[1, 'two', None]") == [1, "two", None]


@pytest.mark.parametrize(
    "text",
    ["9 ** 9 ** 9", "[0] * 10 ** 10", "__import__('os').abort()", "(lambda f: f(f))(lambda f: f(f))"],
)
def test_what_hangs_or_crashes_is_undecided_and_the_next_call_works(evaluate: Guarded, text: str) -> None:
    with pytest.raises(UndecidedError):
        evaluate(text)
    assert evaluate("1 + 1") == 2


@pytest.mark.parametrize(
    "text",
    [
        "open('{}', 'w')",
        "__import__('os').system('touch {}')",
        "__import__('os').mkdir('{}')",
        "__import__('subprocess').run(['touch', '{}'])",
        "__import__('socket').create_connection(('127.0.0.1', 9))",
    ],
)
def test_text_that_is_evaluated_does_not_reach_the_machine(evaluate: Guarded, tmp_path: Path, text: str) -> None:
    target = tmp_path / "touched"
    with pytest.raises(RuntimeError, match="PermissionError"):
        evaluate(text.format(target))
    assert not target.exists()


def test_what_the_function_raises_is_told(evaluate: Guarded) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError: division by zero"):
        evaluate("1 / 0")


def test_no_cpu_time_used_is_the_machines_fault() -> None:
    sleeping = Guarded("time:sleep", wall_seconds=0.3)
    with pytest.raises(TimeoutError, match=r"no answer in 0\.3 s"):
        sleeping(60)
    sleeping.close()


def test_a_helper_that_cannot_start_says_why() -> None:
    with pytest.raises(RuntimeError, match="can't start: ModuleNotFoundError: No module named 'no_such_module'"):
        Guarded("no_such_module:function")()


def test_a_helper_that_was_killed_is_started_again(evaluate: Guarded) -> None:
    first = evaluate("__import__('os').getppid()")
    kill(first)
    assert evaluate("__import__('os').getppid()") != first


@pytest.mark.parametrize("calls_a_fork", [1, 2])
@pytest.mark.parametrize("end", ["", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
def test_helper_and_forks_end_with_their_process(end: str, calls_a_fork: int) -> None:
    program = f"""
from mopd.verifiers.guard import Guarded
evaluate = Guarded("builtins:eval", calls_a_fork={calls_a_fork})
print(evaluate("__import__('os').getpid()"), evaluate("__import__('os').getppid()"), flush=True)
{end}"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    for pid in done.stdout.split():
        wait_for_end(int(pid))
