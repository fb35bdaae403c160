"""The warm interpreters: started once a slot, asked to fork once a program."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mopd.sandbox.cgroups import ControlGroup
from mopd.sandbox.process import START_SECONDS, SandboxFailure, receive_report, report_channel
from mopd.sandbox.users import SlotUser

GUEST_MODULES = (
    *("arrays", "wire", "confine", "channel", "plain", "mirrors", "remote", "objects", "peer"),
    *("decoys", "program_peer", "tests", "program", "zygote"),
)
"""In the order of their imports."""
PYTHON_OPTIONS = ("-s", "-P", "-S", "-B", "-X", "utf8", "-")
"""Nothing of the host's but the environment, which is this; the source is read from stdin."""
ENVIRONMENT = {"PYTHONHASHSEED": "0", "LD_BIND_NOW": "1", "MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Sets have the same order each time; libraries are linked before the first fork; threads don't reserve 64 MB each;
numpy starts none."""
TESTING_FOLDER = "TESTING_FOLDER"
"""The variable that says where tests find pytest."""
BOOTSTRAP = """
import socket, sys, types
def start(texts, control, config):
    for name, text in texts.items():
        module = sys.modules[name] = types.ModuleType(name)
        exec(compile(text, name, "exec"), module.__dict__)
    for name in texts:
        del sys.modules[name]
    module.zygote(socket.socket(fileno=control), config)
start(TEXTS, int(sys.argv[1]), CONFIG)
"""


@dataclass(frozen=True)
class Backend:
    """How a warm interpreter is started, and what it does to a program."""

    name: str
    command: list[str]
    """Everything before the arguments of Python's own command line: a wrapper, if any, and the interpreter."""
    environment: dict[str, str]
    config: dict[str, Any]
    """What the guest is told: `isolated`, `seccomp`."""
    version: str = ""
    """Of the wrapper, as it tells it."""
    policy: list[Any] = field(default_factory=list)
    """What else the digest of the policy covers."""

    @property
    def policy_digest(self) -> str:
        text = json.dumps([self.name, self.version, self.policy, self.config, guest_source()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


class Zygote:
    """One slot's warm interpreter. Safe to use from several threads."""

    def __init__(self, backend: Backend, user: SlotUser, spawn: Callable[..., Any], group: ControlGroup) -> None:
        """`spawn(function)` calls it in a thread that lives as long as the sandbox: a process started with
        --die-with-parent dies with the thread that started it."""
        self.backend = backend
        self.user = user
        self.num_programs = 0
        self._spawn = spawn
        self.group = group
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def launch(self, request: dict[str, Any], descriptors: list[int]) -> None:
        """Asks for a program; starts the interpreter where it isn't up. Raises SandboxFailure."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._stop()
                self._spawn(self._start)
            assert self._control is not None and self._scratch is not None
            message = json.dumps(request | {"scratch": self._scratch.name}).encode()
            try:
                socket.send_fds(self._control, [message], descriptors)
            except OSError as error:
                self._stop()
                raise SandboxFailure(f"the warm interpreter is gone ({error})") from error

    def stop(self) -> None:
        """Ends the interpreter with all its programs."""
        with self._lock:
            self._stop()
        self.group.remove()

    def _start(self) -> None:
        host_end, guest_end = report_channel()
        self._control = host_end
        self._scratch = tempfile.TemporaryDirectory(prefix="mopd-sandbox-")
        config = self.backend.config | {"own_processes": self.backend.config["isolated"] or self.user.uid is not None}
        command = [*self.backend.command, *PYTHON_OPTIONS, str(guest_end.fileno())]
        with guest_end, tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as errors:
            source.write(f"CONFIG = {config!r}\n{guest_source()}".encode())
            source.seek(0)
            try:
                self.user.own(Path(self._scratch.name))
                self._process = subprocess.Popen(
                    command,
                    stdin=source,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    pass_fds=(guest_end.fileno(),),
                    env=self.backend.environment,
                    cwd="/",
                    start_new_session=True,
                    **self.user.popen_arguments(),
                )
                guest_end.close()
                self._wait_until_ready(host_end)
            except (OSError, subprocess.SubprocessError, SandboxFailure) as error:
                self._stop()
                errors.seek(0)
                lines = errors.read().decode(errors="replace").strip().splitlines()
                raise SandboxFailure(lines[-1] if lines else str(error)) from error

    def _wait_until_ready(self, control: socket.socket) -> None:
        control.settimeout(START_SECONDS)
        message, pid = receive_report(control)
        if message != b"ready":
            raise SandboxFailure("the warm interpreter ended at its start")
        self.group.add(pid)
        control.settimeout(None)

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()  # the interpreter ends when it reads this
            self._control = None
        if self._process is not None:
            end(self._process)
            self._process = None
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None


def end(process: subprocess.Popen[bytes]) -> None:
    """Waits for a process that is about to end, or ends it."""
    try:
        process.wait(2.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def guest_source() -> str:
    """The program of a warm interpreter: its modules as one text."""
    folder = Path(__file__).parent / "guest"
    texts = {f"mopd.sandbox.guest.{name}": (folder / f"{name}.py").read_text("utf-8") for name in GUEST_MODULES}
    return f"TEXTS = {texts!r}\n{BOOTSTRAP}"
