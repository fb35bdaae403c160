"""Each run of a comparison is a process of its own, which ends when the comparison does, however that ends.

python -m flows.measure.compare.processes PARENT CONFIG RUN [ORIGIN KEY=VALUE …] is such a process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import yaml

from flows.command import run_command
from flows.folder.replay.fork import fork_run
from flows.measure.compare.arms import Job, fork_overrides
from flows.measure.compare.runs import Say, run_folder
from flows.runtime.exit_code import run_to_exit_code
from mopd.errors import InputError
from storage.runs import RUN_FILE
from storage.stores.files import make_folder

QUIET_SECONDS = 20.0
"""Time between two lines of one run in the terminal; all of them are in its log."""


class Processes:
    """Launches runs as processes, and ends those that are on their way when the comparison ends."""

    def __init__(self, out: Path, say: Say) -> None:
        self._out, self._say = out, say
        self._lock = threading.Lock()
        self._live: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def launch(self, job: Job, origin: Job | None) -> str:
        """Run a job to its end, its output in `logs/`; as `Launcher` has it."""
        folder, config = run_folder(self._out, job), self._out / "configs" / f"{job.name}.yaml"
        make_folder(config.parent)
        config.write_text(yaml.safe_dump(job.settings.model_dump(mode="json"), sort_keys=False))
        command = [sys.executable, "-m", "flows.measure.compare.processes", str(os.getpid()), str(config), str(folder)]
        if origin is not None:
            command += [str(run_folder(self._out, origin)), *fork_overrides(origin.settings, job.settings)]
        process = self._start(command)
        if process is None:
            return "interrupted"
        log = self._out / "logs" / f"{job.name}.log"
        try:
            self._say(f"{job.name}: started")
            last = self._follow(job, process, log)
            code = process.wait()
        finally:
            self._end(process)
        if code == 0:
            return ""
        if origin is None and not (folder / RUN_FILE).exists():
            raise InputError(last)
        return f"failed: {last} (exit code {code}; {log})"

    def _start(self, command: list[str]) -> subprocess.Popen[str] | None:
        """A process that `stop` knows; None after a stop. No stop comes between the question and the start."""
        environment = {"OMP_NUM_THREADS": str(len(os.sched_getaffinity(0))), **os.environ}
        with self._lock:
            if self._stopped:
                return None
            process = subprocess.Popen(
                command,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
            self._live.add(process)
        return process

    def _follow(self, job: Job, process: subprocess.Popen[str], log: Path) -> str:
        """The last line of a process; its lines go to the log, some of them to the terminal."""
        make_folder(log.parent)
        last, time_shown = "no word", time.monotonic()
        assert process.stdout is not None
        with log.open("a", encoding="utf-8") as file:
            for line in process.stdout:
                print(line, end="", file=file, flush=True)
                last = line.strip() or last
                if time.monotonic() - time_shown > QUIET_SECONDS and line.strip():
                    time_shown = time.monotonic()
                    self._say(f"{job.name}: {last}")
        return last.removeprefix("mopd: ")

    def _end(self, process: subprocess.Popen[str]) -> None:
        """Nothing of it is left, also where it could not be followed to its end."""
        _kill(process)
        assert process.stdout is not None
        process.stdout.close()
        process.wait()
        with self._lock:
            self._live.discard(process)

    def stop(self, number: int) -> None:
        """Send a signal to all that run, SIGKILL to what they started too; nothing is started from now on."""
        with self._lock:
            self._stopped = True
            for process in self._live:
                if number == signal.SIGKILL:
                    _kill(process)
                else:
                    process.send_signal(number)


def _kill(process: subprocess.Popen[str]) -> None:
    """A process that lives, with its session; workers have sessions of their own, and end with it."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _end_with(parent: int) -> None:
    """End at once when the comparison was killed: nobody else would, and its Prefect server is gone."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _run(config: str, folder: str, origin: str = "", *overrides: str) -> int:
    """Fork `origin`, where one is named, then run; the exit code. One process, so that inputs are checked once."""

    def fork_and_run() -> int:
        if origin:
            fork_run(Path(origin), 0, list(overrides), Path(folder))
        return run_command(Path(config), Path(folder), [])

    return run_to_exit_code(fork_and_run)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
    sys.exit(_run(*sys.argv[2:]))
