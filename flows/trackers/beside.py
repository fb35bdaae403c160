"""Trackers beside a run: each is sent what is new by a process of its own, and nobody waits for it before the end.

One that is away, that hangs or raises costs a line, and is tried again after the next round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context

from flows.runtime.exit_code import RunStopped
from flows.runtime.places.base import log_of
from flows.runtime.shell import shell_command
from flows.runtime.worker import Worker, WorkerDied, WorkerStopped, load_nothing
from flows.trackers.send import send_missing
from mopd.settings.report import TrackerName
from storage.runs import RunFolder

SILENCE_SECONDS = 60.0
"""After which a tracker's process is ended: for a chapter, to begin, or for what is left to be sent when it closes."""
END_SECONDS = 60.0
"""How long a run that has ended waits for its trackers, all together."""


@contextmanager
def tracking(folder: RunFolder, names: Iterable[TrackerName], say: Callable[[str], None]) -> Iterator[Senders]:
    """The trackers of a run. They are told of its end, be it that a guard ended it; an error ends them at once."""
    senders = Senders(folder, names, say)
    try:
        yield senders
    except RunStopped:
        senders.close()
        raise
    except BaseException:
        senders.kill()
        raise
    senders.close()


class Senders:
    """What sends to the trackers that a run's settings name. The caller holds the run."""

    def __init__(self, folder: RunFolder, names: Iterable[TrackerName], say: Callable[[str], None]) -> None:
        self._senders = [Sender(folder, name, say) for name in dict.fromkeys(names)]

    def send(self) -> None:
        """Have each sent what is new; returns at once."""
        for sender in self._senders:
            sender.begin()

    def close(self) -> None:
        """Send the last of it, and wait for that, not for long; a signal ends that too."""
        try:
            self.send()
            late = wait([future for sender in self._senders for future in sender.futures], END_SECONDS).not_done
            for sender in self._senders:
                if not late.isdisjoint(sender.futures):
                    sender.say(f"the run has ended, and it has not all after {END_SECONDS:.0f} s")
        finally:
            self.kill()

    def kill(self) -> None:
        """End their processes. What was not sent is sent when the run goes on, or by `mopd track`."""
        for sender in self._senders:
            sender.kill()


class Sender:
    """The process that sends to one tracker, and the thread that waits for it."""

    def __init__(self, folder: RunFolder, name: TrackerName, say: Callable[[str], None]) -> None:
        self._folder, self._name, self._say = folder, name, say
        self._worker = self._new_worker()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"tracker-{name}")
        self.futures: list[Future[None]] = []
        """What is asked for and not done: at most one that runs, and one that waits for it."""

    def begin(self) -> None:
        """Send what is new, or, where that is going on, once more behind it."""
        self.futures = [future for future in self.futures if not future.done()]
        if all(future.running() for future in self.futures):
            self.futures.append(self._thread.submit(copy_context().run, self._send_missing))  # whose log is the flow's

    def kill(self) -> None:
        """End the process; nothing more is sent."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._worker.kill()

    def say(self, problem: str) -> None:
        """A line: what went wrong, and how it is sent yet."""
        again = shell_command("track", self._folder.address, to=self._name)
        self._say(f"tracker {self._name}: {problem}; what it lacks is sent after the next round, or by {again}")

    def _send_missing(self) -> None:
        try:
            self._worker.run(send_missing, self._folder.store, self._name)
        except WorkerStopped:
            return
        except Exception as error:  # whatever a library raises, the run goes on
            self.say(failure_text(error))
            self._worker.kill()
            self._worker = self._new_worker()

    def _new_worker(self) -> Worker:
        log = log_of(self._folder.path / "logs", f"tracker-{self._name}")
        return Worker(f"tracker {self._name}", load_nothing, log=log, silence_seconds=SILENCE_SECONDS)


def failure_text(error: Exception) -> str:
    """Why nothing was sent, on one line."""
    if isinstance(error, WorkerDied):
        return f"its process ended, or did nothing for {SILENCE_SECONDS:.0f} s"
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first.strip()[:200]}" if first else type(error).__name__
