"""The flows of a run on one screen: rounds, evaluations between them, other contexts of what is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, tags
from prefect.runtime import flow_run

from flows.execute.session import Run
from flows.execute.stages import answer, choose, condition, draw, evaluate, generate, guard, measure, score, train
from flows.folder.checkpoints import clear_checkpoints
from flows.folder.guards import holding_breach, raise_if_stopped, roll_back
from flows.folder.open import open_run, run_lock
from flows.folder.policies import remove_old_states
from flows.folder.replay.other_contexts import open_contexts
from flows.plan.conditions import settings_of
from flows.plan.guards import SAMPLED, TRAINED
from flows.report.sql.knowledge import leave_catalog
from flows.report.status.state import is_unfinished
from flows.runtime.console import Console
from flows.runtime.exit_code import RunStopped
from flows.runtime.server.heartbeats import without_heartbeats
from flows.runtime.server.patience import be_patient
from flows.runtime.server.slots import give_slots_back
from flows.runtime.server.stale_runs import crash_stale_runs, run_tag, tag_this_run
from flows.trackers.beside import Senders, tracking
from flows.viewer.leave import REPORT_FILE, leaving_report
from mopd.settings import Settings
from storage.runs import RunFolder
from storage.shards import collect_garbage
from storage.sql.tables import index_round


def _name() -> str:
    run_dir = flow_run.parameters.get("run_dir")
    return f"run-{Path(run_dir).name}" if run_dir else f"run-{datetime.now(UTC):%Y%m%d-%H%M%S}"


@flow(name="mopd", flow_run_name=_name, persist_result=False)
def run_flow(settings: Settings, run_dir: str | None = None) -> str:
    """Multi-rollout on-policy distillation: rounds of generation, verification, scoring and training.

    `run_dir`: the run's folder or `s3://bucket/prefix`, continued if it is there; null makes a new folder under
    `runs/`. Returns where it lies.
    """
    folder = open_run(settings, run_dir or default_dir(), config=f"flow run {flow_run.name}")
    with in_charge(folder):
        finish(folder)
    return folder.address


def finish(folder: RunFolder) -> None:
    """Make all that the run's plan has and the run has not; the caller holds the run.

    Where a guard asks for that, it goes on from the best policy. Raises RunStopped where one ends it.
    """
    console, is_whole = Console(), False
    report = settings_of(folder).report
    with (
        leaving_report(folder, console.say, wanted=report.page and lacks_page(folder)),
        tracking(folder, report.trackers, console.say) as senders,
    ):
        while not is_whole:
            folder = roll_back(folder, console.say) or folder
            is_whole = _go_on(folder, console, senders)


def lacks_page(folder: RunFolder) -> bool:
    """Whether the run has no page of what it will be when it ends."""
    return folder.store.stat(REPORT_FILE) is None or is_unfinished(folder)


def _go_on(folder: RunFolder, console: Console, senders: Senders) -> bool:
    """Whether the run came to its end; else it goes on from another policy."""
    with Run.open(folder, console) as run:
        if run.finished():
            console.say(f"{folder.address}: finished already, nothing to do")
        else:
            leave_catalog(folder)  # for whoever asks meanwhile
            try:
                is_whole = _work(run, senders)
            except RunStopped:
                leave_catalog(folder)  # for whoever asks why
                raise
            if not is_whole:
                return False
        clear_checkpoints(folder.path)
        remove_old_states(folder, run.settings.rounds - 1, run.settings)
        leave_catalog(folder)
    return True


def _work(run: Run, senders: Senders) -> bool:
    """All rounds; the first and the last policy, or each, are evaluated before they are trained on."""
    for number in range(run.settings.rounds + 1):
        plan = run.plan.evaluations.get(number)
        if plan and run.missing(plan.all()):
            evaluate(run, number)
            senders.send()
        if not goes_on(run, number, TRAINED):
            return False
        if number < run.settings.rounds:
            if run.pending(number):
                round_flow(run, number)
                senders.send()
            if not goes_on(run, number, SAMPLED):
                return False
        index_round(run.folder, number)
    return True


def goes_on(run: Run, number: int, part: int) -> bool:
    """Ask for policy `number` whether its bounds hold. False where the run goes on from another one.

    Raises RunStopped where a breach ends it.
    """
    if run.missing([shard for shard in run.guards(number) if shard.shard == part]):
        guard(run, number, part)
    raise_if_stopped(run.folder, run.plan, number)
    return holding_breach(run.folder, run.plan, number) is None


@flow(name="round", flow_run_name="round-{round:04d}", validate_parameters=False, persist_result=False)
def round_flow(run: Run, round: int) -> None:
    """Policy `round` samples, is judged, shown its peers, scored and trained: policy `round + 1`."""
    draw(run, round)
    generate(run, round)
    if run.round(round).probes:
        try_contexts(run, round)
        choose(run, round)
    condition(run, round)
    if not goes_on(run, round, SAMPLED):
        return
    score(run, round)
    measure(run, round)
    train(run, round)


@flow(name="try", flow_run_name="try-r{round:04d}", validate_parameters=False, persist_result=False)
def try_contexts(run: Run, round: int, answers: bool = True) -> None:
    """The round's rollouts under several contexts: what the teacher says of them and, with `answers`, what the student
    replies when it is shown these contexts."""
    condition(run, round, tried=True)
    if answers:
        answer(run, round)
    score(run, round, tried=True)
    measure(run, round, tried=True)


@flow(name="replay", flow_run_name="{name}-r{round:04d}", persist_result=False)
def replay_flow(run_dir: str, round: int, name: str, overrides: list[str], scores: bool) -> None:
    """Contexts, and scores if asked for, of the rollouts of `round` under the run's settings with `overrides`.

    Their rows stand in the tables of the run in `run_dir`, with `name` in the column `condition`.
    """
    folder = RunFolder.open(run_dir)
    with in_charge(folder):
        other = open_contexts(folder, round, name, overrides, scores=scores)
        with Run.open(folder, Console(), tried=[other.shards], overrides=overrides) as run:
            condition(run, round, tried=True)
            if scores:
                score(run, round, tried=True)
        leave_catalog(folder)


@contextmanager
def in_charge(folder: RunFolder) -> Iterator[None]:
    """Hold the run folder, and clear up what killed processes left in it and on Prefect's server.

    Twice: first there may be no room for anything else, and at the end the last of their workers has ended too.
    """
    be_patient()  # a deployment comes here without a command
    with run_lock(folder), tags("mopd", run_tag(folder)), without_heartbeats():  # the flow that called sends its own
        collect_garbage(folder)
        tag_this_run(folder)
        crash_stale_runs(folder)
        give_slots_back(folder.path)
        yield
        collect_garbage(folder)


def default_dir(prefix: str = "") -> Path:
    """A new folder for each scheduled flow run; its retries come back to it."""
    started: Any = flow_run.scheduled_start_time
    return Path("runs") / f"{prefix}{started:%Y%m%d-%H%M%S}-{str(flow_run.id)[:8]}"
