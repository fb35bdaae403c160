"""The flow behind `mopd eval`: several models answer the same prompts; one engine at a time holds the device."""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import PrivateAttr

from flows import eval_jobs
from flows.artifacts import write_artifact
from flows.eval_plan import EvalPlan
from flows.eval_prepare import Prepared, names_of, note_request, open_evaluation, prepare
from flows.eval_request import EvalRequest
from flows.eval_results import write_results
from flows.progress import Console, Meter
from flows.run import default_dir, in_charge
from flows.session import Session, Workers
from flows.shard import Shard
from flows.stages import THREADS, submit, wait
from flows.steps import asking_step, commit_prompts, step
from mopd.settings import Settings
from mopd.tasks.draw import prompt_rows
from mopd.tasks.task import Task
from storage.catalog import write_catalog
from storage.runs import RunFolder
from storage.shards import Manifest


class EvalRun(Session):
    """What the flows and steps of an evaluation are given."""

    _plan: EvalPlan = PrivateAttr()
    _tasks: list[Task] = PrivateAttr()

    @classmethod
    def open(cls, folder: RunFolder, tasks: list[Task], console: Console) -> EvalRun:
        """The session of an evaluation's folder; processes start when they are needed."""
        run = cls(path=folder.path)
        run._folder, run._plan, run._tasks, run._console = folder, EvalPlan.of(folder), tasks, console
        run._workers = Workers(folder.path)
        return run

    @property
    def plan(self) -> EvalPlan:
        """What the evaluation will have."""
        return self._plan

    @property
    def settings(self) -> Settings:
        """The evaluation's settings."""
        return self._plan.settings

    @property
    def tasks(self) -> list[Task]:
        """What all models are asked."""
        return self._tasks


def _name() -> str:
    out = flow_run.parameters.get("out")
    return f"eval-{Path(out).name}" if out else "eval"


@flow(name="mopd", flow_run_name=_name, persist_result=False)
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
    prepared = prepare(request)
    folder = open_evaluation(prepared, Path(out) if out else default_dir("eval-"))
    with in_charge(folder):
        _evaluate_all(note_request(folder, prepared), prepared)
        write_results(folder.path).publish("mopd-eval", f"models side by side, {folder.path}")
        write_catalog(folder)
    return str(folder.path)


def _evaluate_all(folder: RunFolder, prepared: Prepared) -> None:
    with EvalRun.open(folder, prepared.resolved.tasks, Console()) as run:
        names = names_of(folder, prepared)
        if not run.plan.missing(folder, names):
            run.console.say(f"{folder.path}: finished already, nothing to do")
        for name in names:
            if run.plan.missing(folder, [name]):
                evaluate_model(run, name)


@flow(
    name="evaluate",
    flow_run_name="evaluate-{name}",
    task_runner=ThreadPoolTaskRunner(max_workers=THREADS),  # type: ignore[arg-type]
    validate_parameters=False,
    persist_result=False,
)
def evaluate_model(run: EvalRun, name: str) -> None:
    """Prompts -> judged samples of one model: a shard is judged while the next is sampled."""
    part = run.plan.of_model(name)
    with _meter(run, name, part.evaluations) as meter:
        for shard in run.missing(part.prompts):
            draw_tasks_step(run, shard, _meter(run, "prompts", part.prompts))
        if run.missing(part.evaluations):
            run.workers.hold(f"engine of {name}", eval_jobs.load_model_engine, run.path, name)
        wait(run, submit(run, evaluate_model_step, part.evaluations, meter))
        run.workers.release()
    write_artifact("evaluate", name, [found for shard in part.evaluations if (found := run.find(shard)) is not None])


@step
def draw_tasks_step(run: EvalRun, shard: Shard, _: Meter) -> Manifest:
    """Note the tasks that all models are asked."""
    size = run.settings.prompts_per_shard
    tasks = run.tasks[shard.shard * size : (shard.shard + 1) * size]
    return commit_prompts(run, shard, prompt_rows(tasks, run=run.folder.run_id, round=shard.round, split="heldout"))


evaluate_model_step = asking_step("evaluate_model", eval_jobs.sample_model, eval_jobs.judge_model)


def _meter(run: EvalRun, where: str, shards: list[Shard]) -> Meter:
    done = len(shards) - len(run.missing(shards))
    return Meter(run.console, where=where, stage="evaluate", total=len(shards), done=done)
