"""A worker's death costs its job a retry, never the run; no worker outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flows.runtime.worker import CONTEXT, EVERYTHING, Worker, WorkerDied, WorkerStopped, _kill_group, in_own_process
from flows.runtime.worker_process import serve
from mopd.errors import EngineDead, InputError
from tests.flows.runtime import worker_jobs as jobs

ROOT = Path(__file__).parents[3]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"


@pytest.fixture
def worker(notes: Path) -> Iterator[Worker]:
    worker = Worker("test", jobs.load, notes, log=notes.parent / "logs" / "workers.log")
    yield worker
    worker.kill()


def test_the_resource_is_loaded_once_and_closed_at_the_end(worker: Worker, notes: Path) -> None:
    assert not notes.exists()
    assert [worker.run(jobs.add, 1, n) for n in range(3)] == [1, 2, 3]
    worker.close()
    assert notes.read_text().split() == ["loaded", "closed"]


def test_a_process_whose_parent_was_interrupted_before_it_said_what_for_ends_without_a_word() -> None:
    parent_end, child_end = CONTEXT.Pipe()
    process = CONTEXT.Process(target=serve, args=(child_end, None, EVERYTHING))
    process.start()
    child_end.close()
    parent_end.close()
    process.join(60)
    assert process.exitcode == 0  # 1 is a traceback's


def test_reports_arrive_before_the_result(worker: Worker) -> None:
    reports: list[dict[str, Any]] = []
    worker.run(jobs.add, 7, 1, report=reports.append)
    assert reports == [{"a": 7}]


def test_errors_come_back_as_they_are_and_the_worker_lives(worker: Worker) -> None:
    with pytest.raises(InputError, match=r"tasks\.jsonl:3: broken"):
        worker.run(jobs.fail)
    pid = worker.pid
    assert worker.run(jobs.add, 1, 1) == 2
    assert worker.pid == pid


@pytest.mark.parametrize("error", [EOFError("no data left in file"), ConnectionRefusedError("the hub refuses")])
def test_an_error_of_a_job_about_its_own_files_and_connections_is_no_death(worker: Worker, error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        worker.run(jobs.lose_engine, error)
    assert worker.pid is not None


def test_a_load_that_fails_is_an_error_of_the_job() -> None:
    worker = Worker("test", jobs.refuse)
    for _ in range(2):
        with pytest.raises(InputError, match="no such model"):
            worker.run(jobs.add, 1, 1)
        assert worker.pid is None


def test_what_a_dead_worker_started_ends_too(worker: Worker) -> None:
    pids: list[int] = []
    with pytest.raises(WorkerDied, match="SIGKILL"):
        worker.run(jobs.leave_a_child, report=lambda report: pids.append(report["pid"]))
    wait_until(lambda: not alive(pids[0]))


def test_a_process_that_took_over_a_dead_workers_id_is_left_alone() -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        _kill_group(cast(Any, SimpleNamespace(pid=stranger.pid, is_alive=lambda: False)))
        with pytest.raises(subprocess.TimeoutExpired):
            stranger.wait(0.2)
        stranger.kill()


def test_a_killed_worker_is_told_and_starts_again(worker: Worker, notes: Path) -> None:
    with pytest.raises(WorkerDied, match=r"killed by SIGKILL; see .*workers\.log"):
        worker.run(jobs.die_once)
    assert worker.run(jobs.die_once) == worker.pid
    assert notes.read_text().split() == ["loaded", "loaded"]


def test_a_log_that_cannot_be_written_to_is_an_error_like_others(worker: Worker, notes: Path) -> None:
    log = notes.parent / "logs" / "workers.log"
    log.mkdir(parents=True)
    with pytest.raises(IsADirectoryError, match=r"workers\.log"):
        worker.run(jobs.add, 1, 1)
    log.rmdir()
    assert worker.run(jobs.add, 1, 1) == 2


def test_a_worker_that_died_while_nobody_used_it_costs_no_job_a_retry(worker: Worker, notes: Path) -> None:
    worker.run(jobs.add, 1, 1)
    process = worker._process
    assert process is not None and process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not process.is_alive())
    assert worker.run(jobs.add, 1, 1) == 2
    assert notes.read_text().split() == ["loaded", "loaded"]


def test_a_worker_that_is_killed_in_the_middle_of_a_message_has_died(worker: Worker) -> None:
    def kill(report: dict[str, Any]) -> None:
        time.sleep(0.5)  # its result is on the way by now
        os.kill(report["pid"], signal.SIGKILL)

    with pytest.raises(WorkerDied, match="killed by SIGKILL"):
        worker.run(jobs.send_much, report=kill)
    assert worker.run(jobs.add, 1, 1) == 2


def test_killing_a_worker_on_purpose_is_no_death(worker: Worker) -> None:
    errors: list[BaseException] = []
    pids: list[int] = []

    def work() -> None:
        try:
            worker.run(jobs.sleep, report=lambda report: pids.append(report["pid"]))
        except WorkerStopped as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: bool(pids))
    worker.kill()
    thread.join(10)
    assert errors
    assert not alive(pids[0])
    with pytest.raises(WorkerStopped):
        worker.run(jobs.add, 1, 1)


def test_a_worker_ends_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from flows.runtime.worker import CONTEXT, Worker\n"
        "from tests.flows.runtime import worker_jobs as j\n"
        "CONTEXT.set_forkserver_preload([])\n"  # no model is loaded here
        "Worker('orphan', j.load, Path(sys.argv[1])).run(j.sleep, report=lambda r: print(r['pid'], flush=True))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "notes")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        os.kill(parent.pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid))


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_who_shows_reports_is_not_told_of_silence(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download from a slow hub, a package that pip fetches: nothing comes for a while, and nothing is to be shown."""
    monkeypatch.setattr("flows.runtime.worker.TELL_SECONDS", 0.1)
    lines: list[str] = []
    assert in_own_process(jobs.report_once, 1.0, report=lambda report: lines.append(report["line"])) == "done"
    assert lines == ["begun"]
    reports: list[dict[str, Any]] = []  # a stage is told of it: it counts the time
    assert worker.run(jobs.report_once, 1.0, report=reports.append) == "done"
    assert reports.count({"line": "begun"}) == 1 and {} in reports


def test_a_silent_worker_is_ended_and_starts_again(notes: Path) -> None:
    worker = Worker("test", jobs.load, notes, silence_seconds=2.0)
    with pytest.raises(WorkerDied, match=r"2 s without a sign of life \(place\.silence_seconds\)"):
        worker.run(jobs.sleep)
    assert worker.run(jobs.add, 1, 1) == 2
    worker.kill()


def test_who_works_pass_by_pass_is_not_silent(notes: Path) -> None:
    worker = Worker("test", jobs.load, notes, silence_seconds=2.0)
    assert worker.run(jobs.beat_now_and_then, 5.0) == "done"
    worker.kill()


@pytest.mark.parametrize(
    "error", [EngineDead("vLLM's engine is dead"), RuntimeError("CUDA error: unspecified launch failure")]
)
def test_a_dead_engine_is_a_death_of_the_worker(worker: Worker, error: Exception) -> None:
    with pytest.raises(WorkerDied, match=r"its engine is dead.*workers\.log"):
        worker.run(jobs.lose_engine, error)
    assert type(error).__name__ in (worker._log or Path()).read_text()
    assert worker.run(jobs.add, 1, 1) == 2
