"""The warm interpreter of a sandbox, the zygote: forks once for each program. The standard library alone; mopd never
imports it.

It runs no program itself. Each program's process is number 1 of a process namespace of its own: it sees no other, and
when it ends, the kernel ends everything that it left.

Host to zygote: one JSON message a program, with descriptors: the channel for reports, the program's own channel, and
for a whole program its stdout and stdin. Reports to the host: "program", whose sender's process id the kernel vouches
for, or "broken: ..."; in the end how the program ended.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

from mopd.sandbox.guest.channel import Channel
from mopd.sandbox.guest.confine import (
    become_reaper,
    drop_capabilities,
    install_filter,
    leave_mounts,
    mount_input,
    mount_tmp,
    new_process_namespace,
    refuse_new_privileges,
    return_to_process_namespace,
    set_limits,
)
from mopd.sandbox.guest.program import serve, warm_up

MAX_REQUEST, MAX_DESCRIPTORS, MAX_REPORT = 1 << 16, 4, 1000
MAX_DESCRIPTOR = 1 << 16
PREIMPORTED = """
    array ast bisect cmath collections contextlib copy dataclasses datetime decimal enum fractions functools heapq io
    inspect itertools json math numbers operator random re statistics string struct time traceback types typing warnings
"""
"""What programs import most. Each shared library makes each fork dearer, and so does threading, which has much to do
after one; those that few programs import are left to them."""
Request = dict[str, Any]


class Zygote:
    """Its programs, by the descriptor that tells of their end."""

    def __init__(self, control: socket.socket, config: Request) -> None:
        self.control = control
        self.config = config
        self.own = os.pidfd_open(os.getpid())
        self.poller = select.poll()
        self.programs: dict[int, tuple[int, socket.socket, str]] = {}

    def serve(self) -> NoReturn:
        """Forks a program for each request and reports each end, until the host hangs up."""
        self.poller.register(self.control, select.POLLIN)
        self.control.send(b"ready")
        while True:
            for descriptor, _ in self.poller.poll():
                if descriptor == self.control.fileno():
                    self.take_request()
                else:
                    self.bury(descriptor)

    def take_request(self) -> None:
        message, descriptors, _, _ = socket.recv_fds(self.control, MAX_REQUEST, MAX_DESCRIPTORS)
        if not message:
            self.hang_up()
        report = socket.socket(fileno=descriptors[0])
        try:
            self.start(json.loads(message) | self.config, report, descriptors[1:])
        except OSError as error:  # no process to be had, say
            tell_broken(report, error)
            report.close()
        for descriptor in descriptors[1:]:
            os.close(descriptor)

    def start(self, request: Request, report: socket.socket, descriptors: list[int]) -> None:
        folder = "" if request["isolated"] else new_folder(request["scratch"])
        if request["isolated"]:
            new_process_namespace()
        pid = os.fork()
        if pid == 0:
            self.control.close()
            become_program(request, folder, report, descriptors)
        if request["isolated"]:
            return_to_process_namespace(self.own)
        handle = os.pidfd_open(pid)
        self.programs[handle] = pid, report, folder
        self.poller.register(handle, select.POLLIN)

    def bury(self, handle: int) -> None:
        """Reaps a program and reports how it ended."""
        pid, report, folder = self.programs.pop(handle)
        self.poller.unregister(handle)
        os.close(handle)
        _, status, usage = os.wait4(pid, 0)
        if folder:
            self.end_strays(pid)
            remove_folder(folder)
        ended = {"status": os.waitstatus_to_exitcode(status), "cpu": usage.ru_utime + usage.ru_stime}
        with contextlib.suppress(OSError):  # the host may have hung up
            report.send(json.dumps(ended).encode())
        report.close()

    def end_strays(self, group: int) -> None:
        """Ends what a program left behind, where no namespace does: its group, and orphans that have become ours."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        listed = Path(f"/proc/self/task/{os.getpid()}/children")
        known = {pid for pid, _, _ in self.programs.values()}
        while strays := set(map(int, listed.read_text().split())) - known:
            for stray in strays:
                os.kill(stray, signal.SIGKILL)
                os.waitpid(stray, 0)

    def hang_up(self) -> NoReturn:
        for pid, _, folder in self.programs.values():
            os.kill(pid, signal.SIGKILL)
            if folder:
                os.waitpid(pid, 0)
                self.end_strays(pid)
        os._exit(0)


def zygote(control: socket.socket, config: Request) -> NoReturn:
    """Warms up, then serves."""
    for name in PREIMPORTED.split():
        with contextlib.suppress(ImportError):  # an interpreter built without zlib, say
            importlib.import_module(name)
    if config["packages"]:
        sys.path.append(config["packages"])
    sys.set_int_max_str_digits(0)  # time limits bound what a long number costs
    if not config["isolated"]:
        become_reaper()
    empty = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(empty, standard)
    os.close(empty)
    sys.argv[:] = ["program.py"]
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # as `site` does, which is left out
    warm_up()
    gc.collect()
    gc.freeze()
    Zygote(control, config).serve()


def become_program(request: Request, folder: str, report: socket.socket, descriptors: list[int]) -> NoReturn:
    """Gives up every right, says so, and serves the host's questions about one program."""
    try:
        os.setsid()
        for standard, descriptor in zip((1, 0), descriptors[1:]):
            os.dup2(descriptor, standard)
            os.close(descriptor)
        confine(request, folder, whole=len(descriptors) > 1)
        report.send(b"program")
    except BaseException as error:
        tell_broken(report, error)
        os._exit(1)
    channel = descriptors[0]
    os.closerange(3, channel)
    os.closerange(channel + 1, MAX_DESCRIPTOR)
    random.seed(0)  # the same program, the same verdict
    serve(Channel(channel, request["limits"]["output_bytes"]))
    os._exit(0)


def confine(request: Request, folder: str, *, whole: bool) -> None:
    """The order matters: each step takes away what the ones before it needed."""
    if request["isolated"]:
        leave_mounts()
        mount_tmp(request["limits"]["file_bytes"])
        if whole:
            mount_input()
    os.chdir(folder or "/tmp")
    set_limits(request["limits"], own_processes=request["own_processes"])
    if request["isolated"]:
        drop_capabilities()
    refuse_new_privileges()
    if request["isolated"]:
        install_filter(bytes.fromhex(request["seccomp"]))


def new_folder(parent: str) -> str:
    import tempfile

    return tempfile.mkdtemp(dir=parent)


def remove_folder(folder: str) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def tell_broken(report: socket.socket, error: BaseException) -> None:
    report.send(f"broken: {type(error).__name__}: {error}".encode()[:MAX_REPORT])
