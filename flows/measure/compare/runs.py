"""The runs of a comparison: the first arm of a seed, then the others as forks of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Protocol

from flows.folder.open import ended_cleanly
from flows.measure.compare.arms import Job
from flows.plan.conditions import changed_settings
from flows.plan.run import RunPlan
from flows.runtime.console import clock
from flows.runtime.interrupts import END_SECONDS, noted_signals
from mopd.settings import Settings
from storage.runs import RUN_FILE, RunFolder

PATIENCE_SECONDS = END_SECONDS - 4
"""What a run that is interrupted may take to end: it is killed before the comparison's own time is over."""
POLL_SECONDS = 0.2
FINISHED, WAS_THERE = "finished", "finished before"

Say = Callable[[str], None]


class Launcher(Protocol):
    """What runs jobs."""

    def launch(self, job: Job, origin: Job | None) -> str:
        """Run a job to its end, begun as a fork of `origin` where there is one; returns "" or why it failed.

        Raises InputError for what will be wrong with all jobs.
        """

    def stop(self, number: int) -> None:
        """Send a signal to all jobs that run; none is begun from now on. `launch` returns where it ends them."""


@dataclass
class Runs:
    """All runs of a comparison: what was done, what failed, how long it takes still."""

    out: Path
    jobs: list[Job]
    say: Say
    workers: int = 1
    """Runs at once."""
    states: dict[str, str] = field(default_factory=dict)
    """By run: FINISHED, WAS_THERE, or why it is neither."""
    _seconds: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)

    def folder(self, job: Job) -> Path:
        """Where a job's run is kept."""
        return run_folder(self.out, job)

    def note_finished(self) -> int:
        """Note which runs are done already; returns how many."""
        done = [job.name for job in self.jobs if is_finished(self.folder(job), job.settings)]
        self.states |= dict.fromkeys(done, WAS_THERE)
        return len(done)

    def work(self, launcher: Launcher, after_each: Callable[[], object]) -> None:
        """Do all that is not noted as done, `workers` runs at a time; `after_each` is called behind every run."""
        pool = ThreadPoolExecutor(self.workers, initializer=_take_share, initargs=(_shares(self.workers),))
        with noted_signals() as signals, pool:
            try:
                futures = self._submit(pool, launcher, after_each)
                self._attend(futures, launcher, signals)
            except BaseException:
                launcher.stop(signal.SIGKILL)  # the pool waits for its threads, and they for their runs
                raise
        for future in futures:
            future.result()

    def _submit(
        self, pool: ThreadPoolExecutor, launcher: Launcher, after_each: Callable[[], object]
    ) -> list[Future[None]]:
        firsts: dict[int, Future[None]] = {}
        futures: list[Future[None]] = []
        for job in sorted((job for job in self.jobs if job.name not in self.states), key=self._is_fork):
            futures.append(pool.submit(self._run_job, job, firsts.get(job.seed), launcher, after_each))
            if job.arm == self.jobs[0].arm:
                firsts[job.seed] = futures[-1]
        return futures

    def _attend(self, futures: list[Future[None]], launcher: Launcher, signals: list[int]) -> None:
        """Wait for all. Ctrl-C, SIGTERM and errors end the runs too, in the way that a single run ends by them.

        One more signal kills them, and so does the end of our patience.
        """
        waiting, failed = set(futures), False
        while waiting and not signals and not failed:
            done, waiting = wait(waiting, POLL_SECONDS, FIRST_EXCEPTION)
            failed = any(future.exception() is not None for future in done)
        if not signals and not failed:
            return
        self._over.set()
        launcher.stop(signals[0] if signals else signal.SIGINT)
        deadline, heard = time.monotonic() + PATIENCE_SECONDS, min(len(signals), 1)
        while wait(waiting, POLL_SECONDS).not_done:
            if len(signals) > heard or time.monotonic() > deadline:
                launcher.stop(signal.SIGKILL)

    def _is_fork(self, job: Job) -> bool:
        return job.arm != self.jobs[0].arm

    def _run_job(
        self, job: Job, first: Future[None] | None, launcher: Launcher, after_each: Callable[[], object]
    ) -> None:
        if first is not None:
            first.result()  # it was begun before this one: a thread works on it, or has
        if self._over.is_set():
            return
        try:
            began = time.monotonic()
            why = self._do(job, launcher)
            if self._over.is_set():
                return  # it was ended together with the comparison
            with self._lock:
                self._note(job, why or FINISHED, time.monotonic() - began)
                after_each()
        except BaseException:
            self._over.set()
            raise

    def _do(self, job: Job, launcher: Launcher) -> str:
        origin = self._origin(job)
        if origin is not None and not has_rollouts(self.folder(origin)):
            return f"not started: {origin.name} has no rollouts of round 0 to share"
        return launcher.launch(job, origin)

    def _origin(self, job: Job) -> Job | None:
        """The job whose run this one's is a fork of; None for a first arm, and for a fork that is there."""
        first = next(candidate for candidate in self.jobs if candidate.seed == job.seed)
        return None if first is job or (self.folder(job) / RUN_FILE).exists() else first

    def _note(self, job: Job, state: str, seconds: float) -> None:
        self.states[job.name] = state
        if state == FINISHED:
            self._seconds.append(seconds)
        took = f" in {clock(seconds)}" if state == FINISHED else ""
        self.say(f"{job.name}: {state}{took}; {self.progress()}")

    def progress(self) -> str:
        """How many runs are done, and about how long the others take."""
        left = len(self.jobs) - len(self.states)
        text = f"{len(self.states)} of {len(self.jobs)} runs"
        if not left or not self._seconds:
            return text
        mean = sum(self._seconds) / len(self._seconds)
        return f"{text}, about {clock(mean * -(-left // self.workers))} left"


def run_folder(out: Path, job: Job) -> Path:
    """Where a comparison keeps a job's run."""
    return out / "runs" / job.name


def is_finished(folder: Path, settings: Settings) -> bool:
    """Whether a run of these settings is there with nothing left to do."""
    if not (folder / RUN_FILE).exists():
        return False
    run = RunFolder.open(folder)
    same = not changed_settings(run, settings)
    return same and ended_cleanly(run) and not RunPlan.of(run).missing(run)


def has_rollouts(folder: Path) -> bool:
    """Whether a run has all rollouts of its first round."""
    if not (folder / RUN_FILE).exists():
        return False
    run = RunFolder.open(folder)
    plan = RunPlan.of(run)
    return not plan.missing_of(run, plan.rounds[0].needed(run).rollouts)


def _shares(workers: int) -> Queue[list[int]]:
    """The cores, dealt out evenly: runs beside each other that share cores slow each other many times over."""
    cores = sorted(os.sched_getaffinity(0))
    shares: Queue[list[int]] = Queue()
    for worker in range(workers):
        shares.put(cores[worker::workers] or cores)
    return shares


def _take_share(shares: Queue[list[int]]) -> None:
    """Bind this thread, and the processes that it starts, to its cores."""
    os.sched_setaffinity(0, shares.get())
