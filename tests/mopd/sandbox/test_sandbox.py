"""What a sandbox does with programs, on every backend that works here: statuses, restarts, limits, and nothing left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from mopd.errors import InputError
from mopd.sandbox import Limits, Outcome, Sandbox, open_sandbox
from mopd.sandbox.guest.wire import Opaque
from mopd.sandbox.host import ZygoteSandbox
from mopd.settings.verify import VerifySettings

BACKENDS = ("bubblewrap", "unsafe_subprocess")
LIMITS = Limits(cpu_seconds=5.0)
SHORT = Limits(cpu_seconds=0.3)


def opened(backend: str, num_slots: int = 1) -> Sandbox:
    settings = {"sandbox": backend, "sandbox_slots": num_slots, "limits": {"num_processes": 16, "memory_mb": 256}}
    try:
        return open_sandbox(VerifySettings.model_validate(settings))
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=BACKENDS)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with opened(request.param) as one:
        yield one


def call(sandbox: Sandbox, source: str, *args: Any, name: str = "f", limits: Limits = LIMITS) -> Outcome:
    with sandbox.load(source, limits) as program:
        return program.call(name, list(args))


def test_values_in_and_out(sandbox: Sandbox) -> None:
    value = [(1, {2: {3.5}}), b"x", None, True]
    outcome = call(sandbox, "def f(x, y=0):\n    print('noise')\n    return x", value)
    assert (outcome.status, outcome.value) == ("ok", value)
    assert outcome.value[3] is True and outcome.cpu_seconds > 0.0


def test_a_new_solution_for_each_call(sandbox: Sandbox) -> None:
    source = "class Solution:\n    seen = 0\n    def f(self):\n        self.seen += 1\n        return self.seen"
    with sandbox.load(source, LIMITS) as program:
        assert [program.call("Solution.f", []).value for _ in range(2)] == [1, 1]


def test_globals_stay_between_calls_and_not_between_programs(sandbox: Sandbox) -> None:
    source = "import math\nmath.n = getattr(math, 'n', 0)\ndef f():\n    math.n += 1\n    return math.n"
    for _ in range(2):
        with sandbox.load(source, LIMITS) as program:
            assert [program.call("f", []).value for _ in range(2)] == [1, 2]


ENDINGS = [
    ("def f():\n    raise ValueError('no\\nway')", "runtime_error", "ValueError: no way", 2),
    ("def f():\n    return (\n        1 / 0)", "runtime_error", "ZeroDivisionError: division by zero", 3),
    ("x = 1\nimport nothing_like_it", "runtime_error", "ModuleNotFoundError: No module named 'nothing_like_it'", 2),
    ("def f(:\n    pass", "runtime_error", "SyntaxError: invalid syntax", 1),
    ("import sys\nsys.exit()", "runtime_error", "SystemExit", 2),
    ("def g():\n    pass", "runtime_error", "NameError: the program defines no 'f'", None),
    ("def f():\n    return f()", "runtime_error", "RecursionError: maximum recursion depth exceeded", 2),
    ("def f():\n    return bytearray(4 << 30)", "runtime_error", "MemoryError", 2),
    (
        "import os\ndef f():\n    os._exit(0)",
        "crashed",
        "the program ended with exit code 0 and without an answer",
        None,
    ),
    ("import ctypes\ndef f():\n    ctypes.string_at(0)", "crashed", "the program was ended by SIGSEGV", None),
    ("def f():\n    return 'x' * 70_000", "output_limit", "a result over 65536 bytes", None),
    ("def f():\n    return [0] * 70_000", "output_limit", "a result over the output limit", None),
]


@pytest.mark.parametrize(("source", "status", "error", "line"), ENDINGS)
def test_endings(sandbox: Sandbox, source: str, status: str, error: str, line: int | None) -> None:
    outcome = call(sandbox, source)
    assert (outcome.status, outcome.error, outcome.line, outcome.value) == (status, error, line, None)


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n    while True: pass",
        "import time; time.sleep(60)",
        "import sys\n    while True: print('x' * 100)",
        "return 10 ** 10 ** 9",
    ],
)
def test_time_is_up(sandbox: Sandbox, body: str) -> None:
    outcome = call(sandbox, f"def f():\n    {body}", limits=SHORT)
    assert (outcome.status, outcome.value) == ("timeout", None)


def test_time_counts_anew_for_each_call(sandbox: Sandbox) -> None:
    source = "import time\ndef f():\n    until = time.process_time() + 0.2\n    while time.process_time() < until: pass"
    with sandbox.load(source, SHORT) as program:
        assert {program.call("f", []).status for _ in range(4)} == {"ok"}


def test_the_next_call_starts_a_lost_program_again(sandbox: Sandbox) -> None:
    source = "import os, time\ndef f(x):\n    if x == 1: os._exit(3)\n    if x == 2: time.sleep(60)\n    return x"
    with sandbox.load(source, SHORT) as program:
        statuses = [program.call("f", [x]).status for x in (0, 1, 0, 2, 0)]
    assert statuses == ["ok", "crashed", "ok", "timeout", "ok"]


@pytest.mark.parametrize(
    ("returned", "arrives"),
    [
        ("type('I', (int,), {'__eq__': lambda self, other: True, '__hash__': int.__hash__})(6)", int),
        ("type('E', (), {'__eq__': lambda self, other: True})()", Opaque),
        ("True", bool),
        ("float('nan')", float),
    ],
)
def test_nothing_equals_what_it_is_not(sandbox: Sandbox, returned: str, arrives: type) -> None:
    outcome = call(sandbox, f"def f():\n    return {returned}")
    assert outcome.status == "ok" and type(outcome.value) is arrives and outcome.value != 7


def test_a_program_that_patches_the_encoder_tells_nothing_new(sandbox: Sandbox) -> None:
    source = "import json\njson.dumps = lambda *args, **kwargs: '{}'\ndef f():\n    return json.loads('8')"
    assert call(sandbox, source).value == 8


FORGERIES = {
    "at import": "{write}\ndef f():\n    return 7",
    "in a call": "def f():\n    {write}\n    return 7",
    "after the answer": "import threading\ndef f():\n    threading.Timer(0.05, write).start()\n    return 7",
}


@pytest.mark.parametrize("forged", [b'{"ok":7}\n', b"[" * 50_000 + b"\n", b"9" * 60_000 + b"\n", b"\x80\x04N.\n"])
@pytest.mark.parametrize("source", FORGERIES.values(), ids=FORGERIES.keys())
def test_forged_answers(sandbox: Sandbox, source: str, forged: bytes) -> None:
    """Written to every descriptor there is: never taken for an answer."""
    write = f"import os\ndef write():\n    for number in range(3, 64):\n        try: os.write(number, {forged!r})\n"
    with sandbox.load(write + "        except OSError: pass\n" + source.format(write="write()"), LIMITS) as program:
        first = program.call("f", [])
        time.sleep(0.15 if "Timer" in source else 0.0)
        last = program.call("f", []) if first.status == "ok" else first
    assert (last.status, last.value) == ("protocol_error", None)


@pytest.mark.parametrize(
    ("source", "status", "value", "error"),
    [
        ("print(sum(map(int, input().split())))", "ok", "3\n", None),
        ("import sys\nprint('a', end='')\nsys.exit(0)", "ok", "a", None),
        ("exit()", "ok", "", None),
        ("import threading\nthreading.Timer(0.05, print, ['late']).start()", "ok", "late\n", None),
        ("if __name__ == '__main__':\n    import atexit\n    atexit.register(print, 'bye')", "ok", "bye\n", None),
        ("import sys\nsys.stdout.buffer.write(b'\\xff')", "ok", "\ufffd", None),
        ("import sys\nsys.exit(3)", "runtime_error", None, "SystemExit: 3"),
        ("import sys\nsys.exit('bad input')", "runtime_error", None, "SystemExit: bad input"),
        ("import os\nos._exit(4)", "runtime_error", None, "exit code 4"),
        ("print(1)\n1 / 0", "runtime_error", None, "ZeroDivisionError: division by zero"),
        ("while True: print('x' * 1000)", "output_limit", None, "over 65536 bytes of output"),
        ("import ctypes\nctypes.string_at(0)", "crashed", None, "the program was ended by SIGSEGV"),
    ],
)
def test_whole_programs(sandbox: Sandbox, source: str, status: str, value: str | None, error: str | None) -> None:
    outcome = sandbox.run(source, "1 2\n", LIMITS)
    assert (outcome.status, outcome.value, outcome.error) == (status, value, error)


def test_long_stdin(sandbox: Sandbox) -> None:
    outcome = sandbox.run("import sys\nprint(len(sys.stdin.read()))", "x" * (20 << 20), LIMITS)
    assert outcome.value == f"{20 << 20}\n"


EQUAL = "class A:\n    __eq__ = lambda self, other: True\ndef add(a):\n    return A()"
ADD = "def add(a, b=0):\n    if a < 0:\n        raise {error}('negative')\n    return a + b"


@pytest.mark.parametrize(
    ("source", "tests", "status", "error", "line"),
    [
        (ADD, "assert add(1, b=2) == candidate(2, 1) == 3", "ok", None, None),
        (ADD, "assert add(1) == 2, 'off by one'", "runtime_error", "AssertionError: off by one", None),
        (ADD, "add(-1)", "runtime_error", "ValueError: negative", 3),
        (ADD, "try:\n    add(-1)\nexcept ValueError:\n    pass\nelse:\n    assert False", "ok", None, None),
        (
            ADD.replace("{error}", "StopIteration"),
            "for _ in map(add, [-1]): pass",
            "runtime_error",
            "StopIteration: negative",
            3,
        ),
        ("import os\ndef add(a): os._exit(0)", "add(1)", "crashed", "the program ended with exit code 0", None),
        ("def add(a):\n    while True: pass", "add(1)", "timeout", "over 0.3 s of CPU time", None),
        ("def add(a): return 1", "add(1)\nwhile True: pass", "timeout", "the tests: over 0.3 s of CPU time", None),
        (EQUAL, "assert add(1) == 1", "runtime_error", "AssertionError", None),
    ],
)  # fmt: skip
def test_tests_of_a_function_elsewhere(
    sandbox: Sandbox, source: str, tests: str, status: str, error: str | None, line: int | None
) -> None:
    outcome = sandbox.run_tests(source.replace("{error}", "ValueError"), tests, "add", SHORT)
    assert (outcome.status, outcome.line) == (status, line)
    assert outcome.error == error or (error is not None and str(outcome.error).startswith(error))


@pytest.mark.parametrize("backend", BACKENDS)
def test_many_threads(backend: str) -> None:
    source = "def f(x):\n    return x * x"
    with opened(backend, num_slots=2) as sandbox, ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda x: call(sandbox, source, x).value, range(40)))
    assert outcomes == [x * x for x in range(40)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interpreter_that_dies_is_started_again(backend: str) -> None:
    with opened(backend) as sandbox:
        assert sandbox.run("print(1)", "", LIMITS).status == "ok"
        assert isinstance(sandbox, ZygoteSandbox)
        for child in psutil.Process().children():
            child.kill()
            eventually(lambda pid=child.pid: state_of(pid) in "Z-")
        assert sandbox.run("print(1)", "", LIMITS).status == "ok"


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interpreter_that_dies_meanwhile_is_no_verdict(backend: str) -> None:
    with opened(backend) as sandbox, ThreadPoolExecutor(1) as threads:
        sandbox.run("", "", LIMITS)
        idle = len(family())
        running = threads.submit(sandbox.run, "import time\ntime.sleep(60)", "", LIMITS)
        eventually(lambda: len(family()) > idle)
        time.sleep(0.5)  # until the program has begun: one that dies before is started again
        for child in psutil.Process().children():
            child.kill()
        assert running.result().status == ("infrastructure_error" if backend == "bubblewrap" else "crashed")


@pytest.mark.parametrize("backend", BACKENDS)
def test_close_leaves_nothing(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tmp_path.parent.parent.chmod(0o755)
    tmp_path.parent.chmod(0o755)
    opened(backend).close()  # what is cached is there
    before = descriptors(), family(), set(threading.enumerate())
    with (
        opened(backend, num_slots=2) as sandbox,
        sandbox.load("import os, time\nos.fork()\ndef f(): pass", LIMITS) as one,
    ):
        one.call("f", [])
        sandbox.run("import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(60)", "", LIMITS)
    assert (descriptors(), family(), set(threading.enumerate())) == before
    assert list(tmp_path.iterdir()) == []


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def family() -> set[int]:
    """This process's descendants; psutil bears with those that end meanwhile."""
    return {process.pid for process in psutil.Process().children(recursive=True)}


def state_of(pid: int) -> str:
    """The letter of a process's state; - when it is gone."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "-"


def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came true")


def test_packages_are_there_read_only_and_no_others(sandbox: Sandbox) -> None:
    settings = VerifySettings.model_validate({"sandbox": sandbox.backend, "sandbox_slots": 1, "packages": ["pluggy"]})
    source = "import pluggy\ndef f():\n    open(pluggy.__file__, 'a')\ndef g():\n    import iniconfig"
    with open_sandbox(settings) as other, other.load(source, LIMITS) as program:
        assert program.call("f", []).error is not None
        assert "No module named 'iniconfig'" in (program.call("g", []).error or "")
        assert other.policy_digest != sandbox.policy_digest
    assert "No module named 'pluggy'" in (call(sandbox, source).error or "")


def test_a_package_brings_what_it_requires(sandbox: Sandbox) -> None:
    settings = VerifySettings.model_validate({"sandbox": sandbox.backend, "sandbox_slots": 1, "packages": ["pytest"]})
    with open_sandbox(settings) as other:
        outcome = other.run("import pytest, pluggy, iniconfig\nprint(pytest.approx(0.3) == 0.1 + 0.2)", "", LIMITS)
    assert (outcome.status, outcome.value) == ("ok", "True\n")


def test_a_package_that_is_not_installed_is_refused(sandbox: Sandbox) -> None:
    settings = VerifySettings.model_validate({"sandbox": sandbox.backend, "packages": ["nothing-of-that-name"]})
    with pytest.raises(
        InputError, match=r"^verify\.packages: nothing-of-that-name: is not installed here; pip install"
    ):
        open_sandbox(settings)
