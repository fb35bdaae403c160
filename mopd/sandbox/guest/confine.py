"""What a process does to itself before it runs a program. Runs inside the sandbox: the standard library alone."""

from __future__ import annotations

import ctypes
import os
import resource
from typing import Any

CLONE_NEWNS, CLONE_NEWPID = 0x20000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT = 1, 2, 4, 32
PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 22, 24, 36, 38
SECCOMP_MODE_FILTER = 2
CAPABILITY_VERSION = 0x20080522
NUM_CAPABILITIES = 64
NUM_INODES = 4096
STACK_BYTES = 64 << 20
PAGE = 4096

libc = ctypes.CDLL(None, use_errno=True)


class FilterProgram(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def system_call(name: str, *args: Any) -> None:
    """A function of the C library that answers -1 on failure; raises OSError then."""
    if getattr(libc, name)(*args) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def new_process_namespace() -> None:
    """The next process that this one forks is number 1 of a process namespace of its own."""
    system_call("unshare", CLONE_NEWPID)


def return_to_process_namespace(own: int) -> None:
    """Undoes that; `own` is a pidfd of the caller."""
    system_call("setns", own, CLONE_NEWPID)


def leave_mounts() -> None:
    """Mounts are private from now on."""
    system_call("unshare", CLONE_NEWNS)


def mount_tmp(num_bytes: int) -> None:
    """A fresh /tmp of limited size, the only place that can be written."""
    options = f"size={num_bytes},mode=1777,nr_inodes={NUM_INODES}".encode()
    system_call("mount", b"tmpfs", b"/tmp", b"tmpfs", MS_NOSUID | MS_NODEV, options)


def mount_input() -> None:
    """What stands on stdin as a file too, which /dev/stdin leads to: there is no /proc that would lead to descriptor 0.
    Nobody can write it."""
    size = os.fstat(0).st_size
    options = f"size={size + PAGE},mode=755,nr_inodes=4".encode()
    system_call("mount", b"tmpfs", b"/input", b"tmpfs", MS_NOSUID | MS_NODEV, options)
    target = os.open("/input/stdin", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
    at = 0
    while at < size:
        at += os.sendfile(target, 0, at, size - at)
    os.close(target)
    system_call("mount", None, b"/input", None, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, None)


def become_reaper() -> None:
    """Orphans below this process become its children."""
    system_call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def set_limits(limits: dict[str, int], *, own_processes: bool) -> None:
    """Limits for this process and what it starts. Processes are counted for each user: a limit only makes sense where
    the user has no others (`own_processes`). Time is kept outside."""
    bounds = [
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (resource.RLIMIT_NOFILE, limits["num_open_files"]),
        (resource.RLIMIT_CORE, 0),
    ]
    if own_processes:
        bounds.append((resource.RLIMIT_NPROC, limits["num_processes"]))
    for kind, bound in bounds:
        hard = resource.getrlimit(kind)[1]
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (bound, bound))
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    stack = STACK_BYTES if hard == resource.RLIM_INFINITY else min(STACK_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (stack, hard))


def drop_capabilities() -> None:
    """Every capability, for good."""
    for capability in range(NUM_CAPABILITIES):
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == -1:
            break  # past the last one that this kernel knows
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    system_call("capset", header, (ctypes.c_uint32 * 6)())


def refuse_new_privileges() -> None:
    system_call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def install_filter(instructions: bytes) -> None:
    """A seccomp filter, for this process and everything that it starts."""
    program = FilterProgram(len(instructions) // 8, instructions)
    system_call("prctl", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)
