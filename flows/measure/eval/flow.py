"""The flow behind `mopd eval`: several models answer the same prompts; one engine at a time holds the device."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run
from pydantic import PrivateAttr

from flows.execute.session import Session, Workers
from flows.execute.stages import submit, wait
from flows.execute.work import Rows, commit
from flows.measure.eval import jobs as eval_jobs
from flows.measure.eval.plan import EvalPlan
from flows.measure.eval.prepare import Prepared, model_names, note_request, open_evaluation, prepare
from flows.measure.eval.request import EvalRequest
from flows.measure.eval.results import write_results
from flows.plan.shard import Shard
from flows.plan.stage import STAGES
from flows.report.artifacts import find_manifests, write_artifact
from flows.report.sql.knowledge import leave_catalog
from flows.run import default_dir, in_charge
from flows.runtime.console import Console, Meter
from mopd.settings import Settings
from mopd.tasks.draw import prompt_rows
from mopd.tasks.task import Task
from storage.runs import RunFolder

EVALUATE_MODEL = replace(STAGES["evaluations"], job="flows.measure.eval.jobs:sample_model")
"""As the run's own stage, but for a model that has a name."""


class EvalRun(Session):
    """What the flows and steps of an evaluation are given."""

    _plan: EvalPlan = PrivateAttr()
    _tasks: list[Task] = PrivateAttr()

    @classmethod
    def open(cls, folder: RunFolder, tasks: list[Task], console: Console) -> EvalRun:
        """The session of an evaluation's folder; processes start when they are needed."""
        run = cls(path=folder.address)
        run._folder, run._plan, run._tasks, run._console = folder, EvalPlan.of(folder), tasks, console
        run._workers = Workers(folder, run._plan.settings)
        return run

    @property
    def plan(self) -> EvalPlan:
        """What the evaluation will have."""
        return self._plan

    @property
    def settings(self) -> Settings:
        """The evaluation's settings."""
        return self._plan.settings

    def prompts(self, shard: Shard) -> Rows:
        """Some of what all models are asked."""
        size = self.settings.prompts_per_shard
        tasks = self._tasks[shard.shard * size : (shard.shard + 1) * size]
        return prompt_rows(tasks, run=self.folder.run_id, round=shard.round, split="heldout")


def _name() -> str:
    out = flow_run.parameters.get("out")
    return f"eval-{Path(out).name}" if out else "eval"


@flow(name="mopd-eval", flow_run_name=_name, persist_result=False)
def eval_flow(
    models: tuple[str, ...],
    tasks: str | None = None,
    k: int = 8,
    overrides: tuple[str, ...] = (),
    out: str | None = None,
    reader: str | None = None,
    verifier: str | None = None,
    limit: int | None = None,
) -> str:
    """mean@k, pass@k and maj@k of models and runs beside each other; the page with the results is an artifact.

    `models`: folders, `embedded:…`, run folders or `RUN@N`. `tasks`: a source; null takes the held-out tasks of the
    first run. `overrides`: `key=value`, e.g. `generate.temperature=0.6`. `out`: the folder, continued if it is there;
    null makes a new one under `runs/`. Returns its path.
    """
    request = EvalRequest(models, tasks, reader, verifier, limit, k, overrides)
    target = Path(out) if out else default_dir("eval-")
    prepared = prepare(request, target)
    folder = open_evaluation(prepared, target)
    with in_charge(folder):
        _evaluate_all(note_request(folder, prepared), prepared)
        write_results(folder.path).publish("mopd-eval", f"models side by side, {folder.address}")
        leave_catalog(folder)
    return folder.address


def _evaluate_all(folder: RunFolder, prepared: Prepared) -> None:
    with EvalRun.open(folder, prepared.resolved.tasks, Console()) as run:
        names = model_names(folder, prepared)
        if not run.plan.missing(folder, names):
            run.console.say(f"{folder.address}: finished already, nothing to do")
        for name in names:
            if run.plan.missing(folder, [name]):
                evaluate_model.with_options(task_runner=run.workers.task_runner())(run, name)


@flow(name="evaluate", flow_run_name="evaluate-{name}", validate_parameters=False, persist_result=False)
def evaluate_model(run: EvalRun, name: str) -> None:
    """Prompts -> judged samples of one model: a shard is judged while the next is sampled."""
    part = run.plan.of_model(name)
    with _meter(run, name, part.evaluations) as meter:
        for shard in run.missing(part.prompts):
            commit(run.folder, shard, run.prompts(shard), time.monotonic())
        if missing := run.missing(part.evaluations):
            load = (eval_jobs.load_model_engine, run.folder, name)
            run.workers.hold(EVALUATE_MODEL, f"engine of {name}", len(missing), *load)
        wait(run, submit(run, part.evaluations, meter, stage=EVALUATE_MODEL))
        run.workers.release()
    write_artifact(EVALUATE_MODEL, name, find_manifests(run.folder, part.evaluations))


def _meter(run: EvalRun, where: str, shards: list[Shard]) -> Meter:
    done = len(shards) - len(run.missing(shards))
    return Meter(run.console, where=where, stage="evaluate", total=len(shards), done=done)
