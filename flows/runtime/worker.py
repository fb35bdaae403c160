"""Worker processes: a resource (an engine, a model) is loaded once, then jobs run on it one after another.

A worker can be killed without taking the run along, frees the device when it ends, and ends by itself when its parent
dies. Workers are forked from a server process that has torch imported: that costs seconds once, not once a stage.
Jobs are importable functions `job(resource, report, *args)`.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from flows.runtime.messages import DEAD_ENGINE_CODE, Message, Report, naming_worker, outcome, silent
from flows.runtime.out_of_memory import GIGABYTE, MemoryWatch, OutOfMemory
from flows.runtime.places.share import Share
from flows.runtime.worker_process import serve

CONTEXT = multiprocessing.get_context("forkserver")
PRELOAD, PRELOAD_ENGINE = "flows.execute.preload", "flows.execute.preload_vllm"
CONTEXT.set_forkserver_preload([PRELOAD])
EVERYTHING = Share()
PATIENCE_SECONDS = 20.0
POLL_SECONDS = 0.2
TELL_SECONDS = 5.0
"""Who asked is told so often that the job goes on, where the worker reports nothing."""


class WorkerDied(RuntimeError):
    """The process ended without an answer (killed, crashed): the job can be tried again."""


class WorkerStopped(RuntimeError):
    """The run is ending and took its worker down on purpose: the job must not be tried again."""


def warm_up(*, engine: bool = False) -> None:
    """Begin to import what workers need, ahead of the first one; with `engine`, vLLM too."""
    CONTEXT.set_forkserver_preload([PRELOAD, *([PRELOAD_ENGINE] if engine else [])])
    forkserver.ensure_running()


def load_nothing(*_: Any) -> None:
    """For workers whose jobs load what they need."""


class Worker:
    """A process that loads `load(*args)` on first use and runs jobs on it; started again after a death."""

    def __init__(
        self,
        name: str,
        load: Callable[..., Any],
        *args: Any,
        log: Path | None = None,
        share: Share = EVERYTHING,
        silence_seconds: float = math.inf,
    ) -> None:
        """`share`: what of the host it may use. Silent for `silence_seconds`, it is ended: a WorkerDied."""
        self.name = name
        self._load = (load, args)
        self._log, self._share, self._silence_seconds = log, share, silence_seconds
        self._lock = threading.Lock()
        self._process: ForkServerProcess | None = None
        self._connection: Connection | None = None
        self._watch: MemoryWatch | None = None
        self._stopped = False
        self._was_silent = False

    def run(self, job: Callable[..., Any], *args: Any, report: Report = silent) -> Any:
        """The job's result; its exceptions are raised here. One job at a time.

        Raises WorkerDied, WorkerStopped, or OutOfMemory where the system killed the process for that, or it said so.
        """
        with self._lock, naming_worker(self.name, self._log):
            if self._stopped:
                raise WorkerStopped(f"{self.name}: stopped")
            if self._process is not None and not self._process.is_alive():
                self._reap(0.0)  # it died while it had nothing to do: no job's fault
            if self._process is None:
                self._start()
                self._load_resource(report)
            return self._call(job, args, report=report)

    def _load_resource(self, report: Report) -> None:
        """Load; a process that failed to is taken down, so that the next job loads again and sees the same error."""
        try:
            self._call(*self._load, report=report)
        except Exception:
            self._reap(0.0)
            raise

    @property
    def pid(self) -> int | None:
        """The live process, if there is one."""
        return self._process.pid if self._process else None

    def close(self) -> None:
        """Let the resource close itself and end the process."""
        with self._lock:
            self._stopped = True
            if self._connection is not None:
                self._connection.close()
            self._reap(PATIENCE_SECONDS)

    def kill(self) -> None:
        """End the process now, from any thread; a job that runs raises WorkerStopped in its own."""
        self._stopped = True
        process = self._process
        if process is not None:
            _kill_group(process)

    def _start(self) -> None:
        if self._log is not None:
            self._log.parent.mkdir(parents=True, exist_ok=True)
        parent_end, child_end = CONTEXT.Pipe()
        process = CONTEXT.Process(target=serve, args=(child_end, self._log, self._share), name=f"mopd {self.name}")
        process.start()
        self._process, self._connection = process, parent_end
        assert process.pid is not None, "a process that was started has an id"
        self._watch = MemoryWatch(process.pid)
        child_end.close()
        if self._stopped:  # `kill` came while there was no process yet
            raise self._death()

    def _call(self, function: Callable[..., Any], args: tuple[Any, ...], *, report: Report) -> Any:
        assert self._connection is not None
        try:
            self._connection.send((function, args))
        except ConnectionError as error:
            raise self._death() from error
        return outcome(self._messages(self._connection, report), report)

    def _messages(self, connection: Connection, report: Report) -> Iterator[Message]:
        """What comes; while nothing does, an empty report now and then says that the job goes on."""
        while True:
            yield self._receive(connection, report)

    def _receive(self, connection: Connection, report: Report) -> Message:
        """The next message. Raises as `run` where none will come: the process is dead, or has been silent for too long.

        Watches the process too: its own children may hold the connection open after its death.
        """
        assert self._process is not None and self._watch is not None
        heard = told = time.monotonic()
        while not connection.poll(POLL_SECONDS):
            self._watch.look()
            now = time.monotonic()
            if now - told > TELL_SECONDS:
                told = now
                report({})
            self._was_silent = now - heard > self._silence_seconds
            if self._was_silent or not (self._process.is_alive() or connection.poll(0)):
                raise self._death()
        try:
            message: Message = connection.recv()
        except (EOFError, OSError) as error:  # it died between two messages, or in the middle of one
            raise self._death() from error
        return message

    def _death(self) -> Exception:
        was_silent, self._was_silent = self._was_silent, False
        code, watch = self._reap(0.0 if was_silent else POLL_SECONDS), self._watch
        if self._stopped:
            return WorkerStopped(f"{self.name}: stopped")
        where = f"; see {self._log}" if self._log else ""
        if was_silent:
            silence = f"ended after {self._silence_seconds:.0f} s without a sign of life (place.silence_seconds)"
            return WorkerDied(f"{self.name}: the worker process was {silence}{where}")
        if code == -signal.SIGKILL and watch is not None and watch.was_killed():
            return OutOfMemory(f"killed for memory at {watch.peak_bytes / GIGABYTE:.1f} GB", watch.peak_bytes)
        if code == DEAD_ENGINE_CODE:
            return WorkerDied(f"{self.name}: its engine is dead, and so the worker process has ended{where}")
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return WorkerDied(f"{self.name}: the worker process was {how}{where}")

    def _reap(self, patience: float) -> int:
        """Wait for the end, force it after `patience` seconds, and take down what the process started."""
        if self._process is None:
            return 0
        process, self._process, self._connection = self._process, None, None
        process.join(patience)
        _kill_group(process)
        process.join()
        return process.exitcode or 0


def in_own_process(
    check: Callable[..., Any], *args: Any, report: Report = silent, silence_seconds: float = math.inf
) -> Any:
    """What a check that needs torch, a tokenizer or the hub returns or raises; `report` is told what it says.

    Silent for `silence_seconds`, it is ended: a WorkerDied.
    """

    def unless_silent(message: dict[str, Any]) -> None:
        if message:
            report(message)

    worker = Worker("check", load_nothing, silence_seconds=silence_seconds)
    try:
        return worker.run(check, *args, report=unless_silent)
    except BaseException:
        worker.kill()  # a signal: what it is at, which may take minutes, is of no use any more
        raise
    finally:
        worker.close()


def _kill_group(process: ForkServerProcess) -> None:
    """The process and what it started; by its own id too, in case it had no time to found its group.

    The id of a dead process may belong to a stranger. It can't while the group lives on: then no process has the id.
    """
    assert process.pid is not None
    alive = process.is_alive()
    for kill in (os.killpg, os.kill) if alive else () if _exists(process.pid) else (os.killpg,):
        with contextlib.suppress(ProcessLookupError):
            kill(process.pid, signal.SIGKILL)


def _exists(pid: int) -> bool:
    try:
        os.getpgid(pid)
    except ProcessLookupError:
        return False
    return True
