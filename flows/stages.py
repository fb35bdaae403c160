"""Stage flows: each turns the shards of one table into those of the next, and skips what is done."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from flows.artifacts import write_artifact
from flows.plan import Shard
from flows.progress import Meter
from flows.session import Run
from flows.signals import raise_if_interrupted
from flows.steps import (
    condition_step,
    draw_heldout_step,
    draw_step,
    evaluate_step,
    generate_step,
    record_step,
    score_step,
    train_step,
    verify_step,
)

THREADS = 4
"""Steps in flight: one on the device, one on the CPU, and what waits for them."""


def stage(function: Any) -> Any:
    """A stage flow, its run named e.g. `generate-r0003`."""
    name = function.__name__
    return flow(
        name=name,
        flow_run_name=f"{name}-r{{round:04d}}",
        task_runner=ThreadPoolTaskRunner(max_workers=THREADS),  # type: ignore[arg-type]
        validate_parameters=False,
        persist_result=False,
    )(function)


@stage
def draw(run: Run, round: int) -> None:
    """Tasks -> the round's prompts."""
    shards = run.plan.rounds[round].prompts
    with _meter(run, "draw", round, shards) as meter:
        for shard in run.missing(shards):
            draw_step(run, shard, meter)


@stage
def generate(run: Run, round: int) -> None:
    """Prompts -> rollouts -> verdicts: a shard is judged while the next is sampled."""
    rollouts, verdicts = run.plan.rounds[round].rollouts, run.plan.rounds[round].verdicts
    with _meter(run, "verify", round, verdicts) as verified, _meter(run, "generate", round, rollouts) as meter:
        if run.missing(rollouts):
            run.workers.engine(round)
        futures = []
        for sampled, judged in zip(rollouts, verdicts, strict=True):
            first = _submit(run, generate_step, [sampled], meter)
            futures += [*first, *_submit(run, verify_step, [judged], verified, wait_for=first)]
        _wait(run, futures)
        run.workers.release()
    _publish(run, "generate", round, rollouts)
    _publish(run, "verify", round, verdicts)


@stage
def condition(run: Run, round: int) -> None:
    """Verdicts -> what the teacher is shown."""
    shards = run.plan.rounds[round].contexts
    with _meter(run, "condition", round, shards) as meter:
        _wait(run, _submit(run, condition_step, shards, meter))
    _publish(run, "condition", round, shards)


@stage
def score(run: Run, round: int) -> None:
    """Contexts -> what student and teacher say about each rollout."""
    shards = run.plan.rounds[round].scores
    with _meter(run, "score", round, shards) as meter:
        if run.missing(shards):
            run.workers.scorer(round)
        _wait(run, _submit(run, score_step, shards, meter))
        run.workers.release()
    _publish(run, "score", round, shards)


@stage
def train(run: Run, round: int) -> None:
    """Scores -> the next policy and its updates."""
    policy, updates = run.plan.rounds[round].policy, run.plan.rounds[round].updates
    with _meter(run, "train", round, [policy]) as meter:
        if run.missing([policy]):
            run.workers.trainer(round)
        _wait(run, _submit(run, train_step, [policy], meter))
        run.workers.release()
        _wait(run, _submit(run, record_step, [updates], _meter(run, "record", round, [updates])))
    _publish(run, "train", round, [policy])


@stage
def evaluate(run: Run, round: int) -> None:
    """Held-out prompts -> judged samples of policy version `round`; the engine stays for the round that follows."""
    plan = run.plan.evaluations[round]
    with _meter(run, "evaluate", round, plan.evaluations) as meter:
        for shard in run.missing(plan.prompts):
            draw_heldout_step(run, shard, _meter(run, "draw", round, plan.prompts))
        if run.missing(plan.evaluations):
            run.workers.engine(round)
        _wait(run, _submit(run, evaluate_step, plan.evaluations, meter))
    _publish(run, "evaluate", round, plan.evaluations)


def _meter(run: Run, stage: str, round: int, shards: list[Shard]) -> Meter:
    where = f"policy {round}" if stage == "evaluate" else f"round {round}"
    done = len(shards) - len(run.missing(shards))
    return Meter(run.console, where=where, stage=stage, total=len(shards), done=done)


def _submit(
    run: Run, step: Any, shards: list[Shard], meter: Meter, wait_for: Iterable[PrefectFuture[Any]] = ()
) -> list[PrefectFuture[Any]]:
    """Submit the step for each shard that is missing; a worker that dies costs it a retry."""
    retrying = step.with_options(retries=run.settings.shard_retries)
    return [retrying.submit(run, shard, meter, wait_for=list(wait_for)) for shard in run.missing(shards)]


def _wait(run: Run, futures: list[PrefectFuture[Any]]) -> None:
    """Wait for all. At the first error, or a signal, the workers end: no step goes on behind a failed run's back."""
    try:
        for future in futures:
            future.result()
            raise_if_interrupted()
    except BaseException:
        run.workers.kill()
        raise


def _publish(run: Run, stage: str, round: int, shards: list[Shard]) -> None:
    where = f"policy {round}" if stage == "evaluate" else f"round {round}"
    write_artifact(stage, where, [manifest for shard in shards if (manifest := run.find(shard)) is not None])
