"""The run flow: rounds, and evaluations between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, tags
from prefect.runtime import flow_run

from flows.patience import be_patient
from flows.prepare import open_run, run_lock
from flows.progress import Console
from flows.round import round_flow
from flows.session import Run
from flows.stages import evaluate
from flows.stale import crash_stale_runs, run_tag, tag_this_run
from mopd.settings import Settings
from storage.catalog import write_catalog
from storage.runs import RunFolder
from storage.shards import collect_garbage

GARBAGE_GRACE_SECONDS = 3600.0
"""What no manifest names is removed at a start after this time: longer than a commit that may still go on lasts."""


def _name() -> str:
    run_dir = flow_run.parameters.get("run_dir")
    return f"run-{Path(run_dir).name}" if run_dir else f"run-{datetime.now(UTC):%Y%m%d-%H%M%S}"


@flow(name="mopd", flow_run_name=_name, persist_result=False)
def run_flow(settings: Settings, run_dir: str | None = None) -> str:
    """Multi-rollout on-policy distillation: rounds of generation, verification, scoring and training.

    `run_dir`: the run's folder, continued if it is there; null makes a new one under `runs/`. Returns its path.
    """
    folder = open_run(settings, Path(run_dir) if run_dir else default_dir(), config=f"flow run {flow_run.name}")
    console = Console()
    with in_charge(folder), Run.open(folder, console) as run:
        if run.finished():
            console.say(f"{folder.path}: finished already, nothing to do")
        else:
            _work(run)
        write_catalog(folder)
    return str(folder.path)


@contextmanager
def in_charge(folder: RunFolder) -> Iterator[None]:
    """Hold the run folder, and clear up what a killed process left in it and on Prefect's server."""
    be_patient()  # a deployment comes here without a command
    with run_lock(folder), tags("mopd", run_tag(folder)):
        collect_garbage(folder, GARBAGE_GRACE_SECONDS)
        tag_this_run(folder)
        crash_stale_runs(folder)
        yield


def _work(run: Run) -> None:
    """All rounds; the first and the last policy, or each, are evaluated before they are trained on."""
    for number in range(run.settings.rounds + 1):
        plan = run.plan.evaluations.get(number)
        if plan and run.missing(plan.all()):
            evaluate(run, number)
        if number < run.settings.rounds and run.pending(number):
            round_flow(run, number)


def default_dir(prefix: str = "") -> Path:
    """A new folder for each scheduled flow run; its retries come back to it."""
    started: Any = flow_run.scheduled_start_time
    return Path("runs") / f"{prefix}{started:%Y%m%d-%H%M%S}-{str(flow_run.id)[:8]}"
