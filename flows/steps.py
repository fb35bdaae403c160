"""Steps: Prefect tasks that make one shard each. Body of all: done already? skip; else produce and commit.

Prefect's own result cache is off: the manifest under the shard's key is the only truth about what is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows import jobs, measure_jobs
from flows.progress import Meter
from flows.session import Run, Session
from flows.shard import Shard
from flows.worker import WorkerDied
from mopd.groups import num_further
from mopd.tasks.draw import draw_prompts, prompt_rows
from storage.shards import Manifest, commit_shard

S = TypeVar("S", bound=Session)


def _worker_died(_task: Any, _run: Any, state: Any) -> bool:
    """Retry for a dead worker only: the same input gives the same error otherwise."""
    return isinstance(state.result(raise_on_failure=False), WorkerDied)


def step(function: Callable[[S, Shard, Meter], Manifest]) -> Any:
    """A step named after its function, e.g. `generate-r0003-s0002`."""
    name = function.__name__.removesuffix("_step")

    def produce(run: S, shard: Shard, meter: Meter) -> Manifest:
        manifest = run.find(shard) or function(run, shard, meter)
        meter.finished(manifest)
        return manifest

    produce.__doc__ = function.__doc__
    return task(
        name=name,
        task_run_name=f"{name}-r{{shard.round:04d}}-s{{shard.shard:04d}}",
        cache_policy=NO_CACHE,
        persist_result=False,
        retry_condition_fn=_worker_died,
    )(produce)


@step
def draw_step(run: Run, shard: Shard, _: Meter) -> Manifest:
    """Draw the round's prompts."""
    settings, plan = run.plan.at(shard.round).settings, run.plan.rounds[shard.round]
    drawn = draw_prompts(
        run.tasks(shard.round).train,
        run=run.folder.run_id,
        round=shard.round,
        seed=settings.seed,
        num_prompts=settings.generate.num_prompts,
        num_further=num_further(settings.generate),
        split="train",
        part=plan.candidates.prompts(plan.prompts.index(shard)),
    )
    return commit_prompts(run, shard, drawn)


@step
def draw_heldout_step(run: Run, shard: Shard, _: Meter) -> Manifest:
    """Note the held-out prompts that a policy is asked."""
    plan = run.plan.at(shard.round)
    size = plan.settings.prompts_per_shard
    first = (shard.shard - plan.num_train_shards) * size
    tasks = run.tasks(shard.round).heldout[first : first + size]
    rows = prompt_rows(tasks, run=run.folder.run_id, round=shard.round, split="heldout")
    return commit_prompts(run, shard, rows)


def _job_step(name: str, job: Callable[..., Manifest], on: Literal["device", "cpu"]) -> Any:
    """A step that is one job of a worker."""

    def produce(run: Run, shard: Shard, meter: Meter) -> Manifest:
        worker = run.workers.device if on == "device" else run.workers.cpu
        return _on(worker.run(job, run.path, shard, report=meter.report))

    produce.__name__, produce.__doc__ = f"{name}_step", job.__doc__
    return step(produce)


generate_step = _job_step("generate", jobs.generate_shard, on="device")
verify_step = _job_step("verify", jobs.verify_shard, on="cpu")
condition_step = _job_step("condition", jobs.condition_shard, on="cpu")
score_step = _job_step("score", jobs.score_shard, on="device")
train_step = _job_step("train", jobs.train_policy, on="device")
record_step = _job_step("record", jobs.commit_updates, on="cpu")


measure_step = _job_step("measure", measure_jobs.measure_shard, on="cpu")
choose_step = _job_step("choose", measure_jobs.choose_shard, on="cpu")


def asking_step(name: str, sample: Callable[..., Any], judge: Callable[..., Manifest]) -> Any:
    """A step that samples on the device, and judges on the CPU while the next shard is sampled."""

    def produce(run: Session, shard: Shard, meter: Meter) -> Manifest:
        samples, seconds = run.workers.device.run(sample, run.path, shard, report=meter.report)
        return _on(run.workers.cpu.run(judge, run.path, shard, samples, seconds))

    produce.__name__, produce.__doc__ = f"{name}_step", sample.__doc__
    return step(produce)


evaluate_step = asking_step("evaluate", jobs.sample_shard, jobs.judge_shard)
answer_step = asking_step("answer", measure_jobs.answer_shard, measure_jobs.judge_answers)


def commit_prompts(run: Session, shard: Shard, rows: list[dict[str, Any]]) -> Manifest:
    """Publish a shard of prompts."""
    return commit_shard(
        run.folder,
        shard.table,
        round=shard.round,
        shard=shard.shard,
        key=shard.key,
        rows=rows,
        parents=shard.parents(run.folder),
        info={},
    )


def _on(result: Any) -> Manifest:
    assert isinstance(result, Manifest)
    return result
