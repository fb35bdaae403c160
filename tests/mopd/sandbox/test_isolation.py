"""What a program in bubblewrap can't reach, and what ends it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from mopd.sandbox import Limits, Sandbox, open_sandbox, probe_sandbox, users
from mopd.sandbox.cgroups import ControlGroup, homes
from mopd.sandbox.seccomp import CLONE, CLONE3, DENIED, PRLIMIT64, SOCKET
from mopd.settings.verify import VerifySettings

LIMITS = Limits(cpu_seconds=5.0)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="user ids of slots are for root")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with isolated() as one:
        yield one


def isolated(num_slots: int = 1) -> Sandbox:
    reason = probe_sandbox()
    if reason is not None:
        pytest.skip(reason)
    return open_sandbox(VerifySettings(sandbox_slots=num_slots))


def printed(sandbox: Sandbox, source: str) -> str:
    outcome = sandbox.run(source, "", LIMITS)
    assert outcome.status == "ok", outcome
    return str(outcome.value)


def test_every_denied_system_call(sandbox: Sandbox) -> None:
    source = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        f"for number in {sorted(DENIED.values())}:\n"
        "    print(libc.syscall(number, 0, 0, 0, 0, 0, 0), ctypes.get_errno())"
    )
    assert printed(sandbox, source) == f"-1 {errno.EPERM}\n" * len(DENIED)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((CLONE, 0x10000000 | signal.SIGCHLD), errno.EPERM),
        ((CLONE, 0x20000 | signal.SIGCHLD), errno.EPERM),
        ((CLONE3, 0, 0), errno.ENOSYS),
        ((PRLIMIT64, 1, 7, 0, 0), errno.EPERM),
        ((SOCKET, 2, 1, 0), errno.EPERM),
        ((SOCKET, 16, 3, 0), errno.EPERM),
        ((SOCKET, 40, 1, 0), errno.EPERM),
    ],
    ids=["new user", "new mounts", "clone3", "limits of another", "internet", "netlink", "vsock"],
)
def test_system_calls_denied_by_argument(sandbox: Sandbox, arguments: tuple[int, ...], error: int) -> None:
    call = f"libc.syscall({', '.join(map(str, arguments))})"
    source = f"import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nprint({call}, ctypes.get_errno())"
    assert printed(sandbox, source) == f"-1 {error}\n"


def test_what_programs_need_is_allowed(sandbox: Sandbox) -> None:
    source = (
        "import os, resource, socket, subprocess, threading\n"
        "threading.Thread(target=print, args=['thread']).start()\n"
        "print(subprocess.run(['echo', 'child'], capture_output=True, text=True).stdout, end='')\n"
        "resource.setrlimit(resource.RLIMIT_STACK, resource.getrlimit(resource.RLIMIT_STACK))\n"
        "a, b = socket.socketpair(); a.send(b'x'); open('file', 'w').close()\n"
        "print(os.listdir('.'))"
    )
    assert printed(sandbox, source) == "thread\nchild\n['file']\n"


def test_what_a_program_sees(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOPD_TEST_SECRET", "x")
    source = """
import os, sys
def is_open(number):
    try:
        return bool(os.fstat(number))
    except OSError:
        return False
print([path for path in ("/proc/self", "/sys", "/home", "/root", "/dev/shm") if os.path.exists(path)])
print(os.getpid(), os.listdir("/tmp"), sorted(os.listdir("/dev")))
print("MOPD_TEST_SECRET" in os.environ, [path for path in sys.path if "packages" in path])
print(len([number for number in range(3, 1024) if is_open(number)]))
"""
    assert printed(sandbox, source).splitlines() == [
        "[]",
        "1 [] ['full', 'null', 'random', 'stdin', 'urandom', 'zero']",
        "False []",
        "1",
    ]


THREADS = "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(1,), daemon=True).start()"


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("open('/file', 'w')", "OSError"),
        ("open('/usr/file', 'w')", "OSError"),
        ("open('/dev/file', 'w')", "OSError"),
        ("for n in range(64): open(f'/tmp/{n}', 'wb').write(bytes(1 << 20))", "OSError: [Errno 28]"),
        ("open('/tmp/x', 'wb').truncate(1 << 30)", "OSError: [Errno 27]"),
        ("import os\nos.setuid(0)", "OSError"),
        ("import os\nos.kill(-1, 9)", "ProcessLookupError"),
        (THREADS, "RuntimeError: can't start new thread"),
        ("kept = []\nwhile True:\n    kept.append(open('/dev/null'))", "OSError: [Errno 24]"),
    ],
)
def test_limits(sandbox: Sandbox, source: str, error: str) -> None:
    outcome = sandbox.run(source, "", LIMITS)
    assert (outcome.status, str(outcome.error)[: len(error)]) == ("runtime_error", error)


def test_no_trace_of_the_program_before(sandbox: Sandbox) -> None:
    printed(sandbox, "open('/tmp/left', 'w')\nimport os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(60)")
    assert printed(
        sandbox, "import os\nprint(os.listdir('/tmp'))\ntry: os.kill(-1, 0)\nexcept OSError as e: print(e)"
    ) == ("[]\n[Errno 3] No such process\n")


@as_root
def test_each_slot_has_a_user_of_its_own() -> None:
    source = "import os, time\nprint(os.getuid(), os.getgid(), os.getgroups())\ntime.sleep(0.5)"
    with isolated(num_slots=2) as sandbox, ThreadPoolExecutor(2) as threads:
        seen = {line.strip() for line in threads.map(lambda _: printed(sandbox, source), range(2))}
    assert len(seen) == 2
    assert all(int(line.split()[0]) >= users.FIRST_UID and line.split()[0] == line.split()[1] for line in seen)


HOST = """
import os, subprocess
from mopd.sandbox import Limits, open_sandbox
from mopd.settings.verify import VerifySettings

sandbox = open_sandbox(VerifySettings(sandbox_slots=1))
sandbox.run("", "", Limits())
print(sandbox._slots[0]._process.pid, flush=True)
sandbox.run("import os, time\\nos.fork()\\ntime.sleep(60)", "", Limits(cpu_seconds=60.0))
"""


def test_a_killed_host_leaves_no_process() -> None:
    isolated().close()
    host = subprocess.Popen([sys.executable, "-c", HOST], stdout=subprocess.PIPE, text=True)
    assert host.stdout is not None
    with host.stdout:
        monitor = int(host.stdout.readline())
    time.sleep(0.2)
    started = [monitor, *(process.pid for process in psutil.Process(monitor).children(recursive=True))]
    host.kill()
    host.wait()
    assert len(started) >= 3 and gone(started)


def gone(pids: list[int]) -> bool:
    for _ in range(500):
        states = [status.read_text() for pid in pids if (status := Path(f"/proc/{pid}/status")).exists()]
        if all("State:\tZ" in text for text in states):
            return True
        time.sleep(0.01)
    return False


def test_control_groups() -> None:
    if not homes():
        pytest.skip("no control groups can be made here")
    group = ControlGroup("test", Limits(memory_bytes=64 << 20, file_bytes=1 << 20))
    sleeper = subprocess.Popen(["sleep", "60"])
    group.add(sleeper.pid)
    assert all(str(sleeper.pid) in (folder / "cgroup.procs").read_text().split() for folder in group.folders)
    sleeper.kill()
    sleeper.wait()
    group.remove()
    assert group.folders == []


CHILDREN = """
import os, time
for _ in range(6):
    if os.fork() == 0:
        kept = b"x" * (100 << 20)
        time.sleep(60)
print([os.waitpid(-1, 0)[1] for _ in range(2)])
"""


def test_memory_of_a_slot_is_bounded() -> None:
    """Each process is within its limit, all together are not: children go, the program itself may, the slot stays."""
    if "memory" not in {controller for _, _, controller in homes()}:
        pytest.skip("no control groups for memory can be made here")
    isolated().close()
    with open_sandbox(VerifySettings.model_validate({"sandbox_slots": 1, "limits": {"memory_mb": 64}})) as sandbox:
        outcome = sandbox.run(CHILDREN, "", LIMITS)
        assert outcome.value == "[9, 9]\n" or outcome.status == "crashed"
        assert printed(sandbox, "print(1)") == "1\n"
