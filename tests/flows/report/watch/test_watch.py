"""`mopd status --watch`: what is told, how it ends, and how little is read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flows.cli import main
from flows.execute.attempts import Attempts
from flows.folder.open import run_lock
from flows.plan.guards import SAMPLED
from flows.plan.run import RunPlan
from flows.plan.stage import STAGES
from flows.report.watch import loop
from flows.report.watch.bars import screen
from flows.report.watch.changes import changes
from flows.report.watch.look import Look, Looker
from flows.report.watch.loop import painted, watch
from flows.runtime.exit_code import RunStopped
from storage.runs import RunFolder
from storage.stores.local import LocalStore
from tests.flows.folder.replay.test_rollback import breach, until
from tests.flows.plan.test_plan import commit, run_of

ONE_ROUND = {"rounds": 1, "evaluate.when": "never", "generate.num_prompts": 3, "prompts_per_shard": 1}


def test_stages_and_errors_are_told_as_they_come(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run", ONE_ROUND)
    looker = Looker(folder)
    first = looker.look()
    assert list(changes(None, first)) == [
        f"{folder.address}: not finished, and nobody runs it; tiny:llama, contrastive contexts"
    ]
    assert list(changes(first, looker.look())) == []
    part = plan.rounds[0]
    for shard in (*part.prompts, *part.rollouts[:2]):
        commit(folder, shard)
    with pytest.raises(ValueError, match="odd"), Attempts(folder).at(STAGES["rollouts"], part.rollouts[2]):
        raise ValueError("odd")
    with run_lock(folder):
        second = looker.look()
    lines = list(changes(first, second))
    assert lines[0].startswith("round 0    generate   2/3 shards, ")
    assert lines[1].startswith("generate r0000 s0002: failed once, ") and lines[1].endswith(": ValueError: odd")
    assert lines[2].startswith(f"{folder.address}: run by process {os.getpid()} on ")
    assert list(changes(second, second)) == []


def test_the_screen_shows_the_round_at_work_and_what_its_process_says(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run", ONE_ROUND)
    for shard in (*plan.rounds[0].prompts, *plan.rounds[0].rollouts[:1]):
        commit(folder, shard)
    look = Looker(folder).look()
    said = {"where": "round 0", "stage": "generate", "done": 1, "part": 0.5, "shards": 3, "line": "round 0  sampling"}
    holds = {"pool": "engine of policy 0", "devices": 2}
    shown = screen(Look(look.status, look.holder, {"stages": [said], "holds": holds})).splitlines()
    assert "rounds     ░░░░░░░░░░░░░░░░░░░░░░░░ 0/1" in shown
    assert any(line.startswith("generate   ████████████░░░░░░░░░░░░     1/3 ") for line in shown)
    assert shown[shown.index("round 0  sampling") + 1] == "holds: engine of policy 0, 2 devices"


def test_what_is_finished_is_looked_at_once_and_manifests_are_read_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, plan = run_of(tmp_path / "run", {**ONE_ROUND, "rounds": 2})
    for shard in plan.rounds[0].all():
        commit(folder, shard)
    read: Counter[str] = Counter()
    listed: Counter[str] = Counter()
    true_read, true_list = LocalStore.read, LocalStore.list_files

    def counting_read(self: LocalStore, name: str) -> bytes:
        read[name] += 1
        return true_read(self, name)

    def counting_list(self: LocalStore, prefix: str) -> Any:
        listed[prefix] += 1
        return true_list(self, prefix)

    monkeypatch.setattr(LocalStore, "read", counting_read)
    monkeypatch.setattr(LocalStore, "list_files", counting_list)
    looker = Looker(folder)
    looker.look()
    commit(folder, plan.rounds[1].prompts[0])
    commit(folder, plan.rounds[1].rollouts[0])
    read.clear(), listed.clear()
    for _ in range(3):
        status = looker.look().status
    assert status["rounds"][1]["stages"]["generate"]["shards_done"] == 1
    manifests = {name: times for name, times in read.items() if name.endswith(".json") and "/" in name}
    assert set(manifests.values()) == {1} and all("round=0001" in name for name in manifests)
    assert not any("round=0000" in prefix for prefix in listed)


def test_it_ends_with_a_run_that_is_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, plan = run_of(tmp_path / "run", ONE_ROUND)
    for shard in plan.rounds[0].all():
        commit(folder, shard)
    assert main(["status", str(folder.path), "--watch"]) == 0
    assert capsys.readouterr().out == f"{folder.address}: finished; tiny:llama, contrastive contexts\n"


def test_a_line_wider_than_the_terminal_loses_its_end(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run", ONE_ROUND)
    for shard in plan.rounds[0].all():
        commit(folder, shard)
    look = Looker(folder).look()
    terminal = Console(width=40)
    assert len(terminal.render_lines(painted(look))) == len(screen(look).splitlines())


def test_it_ends_when_who_ran_it_has_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = run_of(tmp_path / "run", ONE_ROUND)
    held, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with pytest.raises(RuntimeError), run_lock(folder):
            held.set()
            leave.wait(60)
            raise RuntimeError

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(60)
    threading.Timer(1.0, leave.set).start()
    assert watch(folder, 0.1) == 1
    holder.join()
    error = capsys.readouterr().err
    assert error.startswith(f"mopd: {folder.address}: not finished, and who ran it has gone (process {os.getpid()} on ")
    assert error.endswith(f"); mopd run {folder.address} goes on with it\n")


def test_of_a_run_that_a_guard_ended_it_says_what_the_run_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = run_of(tmp_path / "run", {"rounds": 2, "guards.on_breach": "stop"})
    until(folder, 1, SAMPLED, **breach("stop"))
    with pytest.raises(RunStopped, match=r"run: stopped at policy 1 by entropy: far too little; mopd run "):
        watch(folder, 0.1, start_seconds=0.3)
    assert capsys.readouterr().out.startswith(f"{folder.address}: not finished, stopped by entropy at policy 1; ")


def test_one_that_nobody_runs_is_waited_for_a_little(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = run_of(tmp_path / "run", ONE_ROUND)
    with folder.store.hold():  # as who only checks the inputs holds it
        looker = Looker(folder)
        assert looker.look().holder.text == "another process"
    assert watch(folder, 0.1, start_seconds=0.3) == 1
    assert "who ran it has gone; mopd run " in capsys.readouterr().err


def test_ctrl_c_is_quiet(tmp_path: Path) -> None:
    folder, _ = run_of(tmp_path / "run", ONE_ROUND)
    command = [sys.executable, "-m", "flows.cli", "status", str(folder.path), "--watch", "--every", "0.1"]
    with run_lock(folder), subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, b"")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--every", "2"], "--every: goes with --watch"),
        (["--watch", "--every", "0"], "--every 0: give more than 0 seconds"),
        (["--watch", "--json"], "--json: one state is for programs; leave --watch out"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = run_of(tmp_path / "run", ONE_ROUND)
    assert main(["status", str(folder.path), *words]) == 2
    assert capsys.readouterr().err == f"mopd: {message}\n"


def test_looks_that_fail_are_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from storage.errors import StorageError

    folder, plan = run_of(tmp_path / "run", ONE_ROUND)
    for shard in plan.rounds[0].all():
        commit(folder, shard)
    true_look, failed = Looker.look, []

    def look(self: Looker) -> Look:
        if len(failed) < loop.MOST_MISSED:
            failed.append(1)
            raise StorageError("a shard went away")
        return true_look(self)

    monkeypatch.setattr(Looker, "look", look)
    assert watch(folder, 0.01) == 0


def test_who_looks_hinders_nobody_who_takes_the_run(tmp_path: Path) -> None:
    folder, _ = run_of(tmp_path / "run", ONE_ROUND)
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            folder.store.holder()

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    for _ in range(50):
        with run_lock(folder):
            assert folder.store.holder().held
    over.set()
    for looker in lookers:
        looker.join()


def test_a_run_that_got_more_rounds_is_read_anew(tmp_path: Path) -> None:
    folder, plan = run_of(tmp_path / "run", ONE_ROUND)
    for shard in plan.rounds[0].all():
        commit(folder, shard)
    looker = Looker(folder)
    assert looker.look().finished
    settings = {**folder.document["settings"], "rounds": 2}
    RunFolder(folder.store, {**folder.document, "settings": settings}).save(folder)
    look = looker.look()
    assert (look.finished, len(look.status["rounds"])) == (False, 2)
    assert len(RunPlan.of(RunFolder.open(folder.path)).rounds) == 2
