"""The runs of a comparison: the first arm of a seed, then the others as forks of it; each a process of its own.

python -m flows.compare_runs PARENT CONFIG RUN [ORIGIN KEY=VALUE …] is such a process; it ends when its parent does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Protocol

import yaml

from flows.arms import Job, fork_overrides
from flows.plan import RunPlan
from flows.prepare import ended_cleanly
from flows.progress import clock
from flows.signals import Terminated
from mopd.errors import InputError
from mopd.settings import Settings
from storage.files import make_folder
from storage.runs import RUN_FILE, RunFolder

QUIET_SECONDS = 20.0
"""Time between two lines of one run in the terminal; all of them are in its log."""
PATIENCE_SECONDS = 30.0
"""What a run that is interrupted may take to end."""
FINISHED, WAS_THERE = "finished", "finished before"

Say = Callable[[str], None]


class Launcher(Protocol):
    """What runs jobs."""

    def launch(self, job: Job, origin: Job | None) -> str:
        """Run a job to its end, begun as a fork of `origin` where there is one; returns "" or why it failed.

        Raises InputError for what will be wrong with all jobs.
        """

    def stop(self, number: int) -> None:
        """End all jobs that run, by a signal."""


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
        firsts: dict[int, Future[None]] = {}
        futures: list[Future[None]] = []
        pool = ThreadPoolExecutor(self.workers, initializer=_take_share, initargs=(_shares(self.workers),))
        with pool, self._ending(launcher):
            for job in sorted((job for job in self.jobs if job.name not in self.states), key=self._is_other):
                futures.append(pool.submit(self._one, job, firsts.get(job.seed), launcher, after_each))
                if job.arm == self.jobs[0].arm:
                    firsts[job.seed] = futures[-1]
            for future in futures:
                future.result()

    @contextmanager
    def _ending(self, launcher: Launcher) -> Iterator[None]:
        """Ctrl-C, SIGTERM and errors end the runs too, in the way that a single run ends by them."""
        try:
            yield
        except BaseException as error:
            self._over.set()
            launcher.stop(signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT)
            raise

    def _is_other(self, job: Job) -> bool:
        return job.arm != self.jobs[0].arm

    def _one(self, job: Job, first: Future[None] | None, launcher: Launcher, after_each: Callable[[], object]) -> None:
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
        first = next(one for one in self.jobs if one.seed == job.seed)
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
    same = not run.differences(settings.model_dump(mode="json"))
    return same and ended_cleanly(run) and not RunPlan.of(run).missing(run)


def has_rollouts(folder: Path) -> bool:
    """Whether a run has all rollouts of its first round."""
    if not (folder / RUN_FILE).exists():
        return False
    run = RunFolder.open(folder)
    plan = RunPlan.of(run)
    return not plan.missing_of(run, plan.rounds[0].needed(run).rollouts)


class Processes:
    """Launches runs as processes, and ends those that are on their way when the comparison ends."""

    def __init__(self, out: Path, say: Say) -> None:
        self._out, self._say = out, say
        self._live: set[subprocess.Popen[str]] = set()
        self._stopped = False
        self._starting = threading.Lock()

    def launch(self, job: Job, origin: Job | None) -> str:
        """Run a job to its end, its output in `logs/`; as `Launcher` has it."""
        folder, config = run_folder(self._out, job), self._out / "configs" / f"{job.name}.yaml"
        make_folder(config.parent)
        config.write_text(yaml.safe_dump(job.settings.model_dump(mode="json"), sort_keys=False))
        command = [sys.executable, "-m", "flows.compare_runs", str(os.getpid()), str(config), str(folder)]
        if origin is not None:
            command += [str(run_folder(self._out, origin)), *fork_overrides(origin.settings, job.settings)]
        process = self._begin(command)
        if process is None:
            return "interrupted"
        self._say(f"{job.name}: started")
        log = self._out / "logs" / f"{job.name}.log"
        code, last = self._follow(job, process, log)
        if code == 0:
            return ""
        if origin is None and not (folder / RUN_FILE).exists():
            raise InputError(last)
        return f"failed: {last} (exit code {code}; {log})"

    def _begin(self, command: list[str]) -> subprocess.Popen[str] | None:
        """The process, known to `stop` as soon as it is there; None where `stop` came before it."""
        cores = len(os.sched_getaffinity(0))
        with self._starting:
            if self._stopped:
                return None
            process = subprocess.Popen(
                command,
                env={"OMP_NUM_THREADS": str(cores), **os.environ},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._live.add(process)
            return process

    def _follow(self, job: Job, process: subprocess.Popen[str], log: Path) -> tuple[int, str]:
        """The exit code of the process and its last line; its lines go to the log, some of them to the terminal."""
        make_folder(log.parent)
        last, said = "no word", time.monotonic()
        with log.open("a") as file, process:
            assert process.stdout is not None
            for line in process.stdout:
                print(line, end="", file=file, flush=True)
                last = line.strip() or last
                if time.monotonic() - said > QUIET_SECONDS and line.strip():
                    said = time.monotonic()
                    self._say(f"{job.name}: {last}")
        self._live.discard(process)
        return process.returncode, last.removeprefix("mopd: ")

    def stop(self, number: int) -> None:
        """Send a signal to all that run and wait until they have ended; after a while they are killed."""
        with self._starting:
            self._stopped = True
        for process in list(self._live):
            with suppress(ProcessLookupError):
                process.send_signal(number)
        for process in list(self._live):
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


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


def _end_with(parent: int) -> None:
    """End at once when the comparison was killed: nobody else would, and its Prefect server is gone."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _run(config: str, folder: str, origin: str = "", *overrides: str) -> int:
    """Fork `origin`, where one is named, then run; the exit code. One process, so that inputs are checked once."""
    from flows.cli import main

    sets = [part for one in overrides for part in ("--set", one)]
    forked = main(["fork", origin, "--round", "0", *sets, folder]) if origin else 0
    return forked or main(["run", config, "--run", folder])


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
    sys.exit(_run(*sys.argv[2:]))
