"""Stage flows: each turns the shards of one table into those of the next, and skips what is done."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from prefect import flow
from prefect.context import TagsContext
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from flows.artifacts import write_artifact
from flows.progress import Meter
from flows.selection import round_selection, selection_line
from flows.session import Run, Session
from flows.shard import RoundPlan, Shard
from flows.signals import raise_if_interrupted
from flows.steps import (
    answer_step,
    choose_step,
    condition_step,
    draw_heldout_step,
    draw_step,
    evaluate_step,
    generate_step,
    measure_step,
    record_step,
    score_step,
    train_step,
    verify_step,
)

THREADS = 4
"""Steps in flight: one on the device, one on the CPU, and what waits for them."""


def untagged() -> Any:
    """Steps that are begun in it carry no tags, the run's neither: for them each would ask the server for a slot."""
    return TagsContext(current_tags=set())


def stage(function: Any) -> Any:
    """A stage flow, its run named e.g. `generate-r0003`."""
    name = function.__name__

    @functools.wraps(function)
    def without_tags(*args: Any, **kwargs: Any) -> Any:
        with untagged():
            return function(*args, **kwargs)

    return flow(
        name=name,
        flow_run_name=f"{name}-r{{round:04d}}",
        task_runner=ThreadPoolTaskRunner(max_workers=THREADS),  # type: ignore[arg-type]
        validate_parameters=False,
        persist_result=False,
    )(without_tags)


@stage
def draw(run: Run, round: int) -> None:
    """Tasks -> the round's prompts."""
    shards = run.round(round).prompts
    with _meter(run, "draw", round, shards) as meter:
        for shard in run.missing(shards):
            draw_step(run, shard, meter)


@stage
def generate(run: Run, round: int) -> None:
    """Prompts -> rollouts -> verdicts: a shard is judged while the next is sampled, further ones if they are needed."""
    part = run.round(round)
    with (
        _meter(run, "verify", round, part.verdicts) as verified,
        _meter(run, "generate", round, part.rollouts) as generated,
    ):
        _ask(run, round, generated, verified)
        run.workers.release()
    part = run.round(round)
    _publish(run, "generate", round, part.rollouts)
    _publish(run, "verify", round, part.verdicts)
    selection = round_selection(run.plan.rounds[round], run.folder)
    if selection is not None:
        run.console.say(f"{f'round {round}':<10} {'groups':<10} {selection_line(selection)}")


def _ask(run: Run, round: int, generated: Meter, verified: Meter) -> None:
    """Sample and judge the round's shards in order, until no further one is certain to be needed."""
    futures: deque[PrefectFuture[Any]] = deque()
    begun = 0
    while True:
        part = run.round(round)
        for place in range(begun, len(part.rollouts)):
            futures += _ask_shard(run, part, place, generated, verified)
        begun = len(part.rollouts)
        if not futures:
            return
        wait(run, [futures.popleft()])


def _ask_shard(run: Run, part: RoundPlan, place: int, generated: Meter, verified: Meter) -> list[PrefectFuture[Any]]:
    """Submit one shard; the prompts of a further one are drawn when its turn comes."""
    prompts, sampled, judged = [part.prompts[place]], [part.rollouts[place]], [part.verdicts[place]]
    for shard in run.missing(prompts):
        draw_step(run, shard, _meter(run, "draw", shard.round, prompts))
    if run.missing(sampled):
        run.workers.engine(sampled[0].round)
    generated.expect(len(part.rollouts))
    verified.expect(len(part.verdicts))
    first = submit(run, generate_step, sampled, generated)
    return [*first, *submit(run, verify_step, judged, verified, wait_for=first)]


@stage
def condition(run: Run, round: int, probe: bool = False) -> None:
    """Verdicts -> what the teacher is shown; with `probe`, under every candidate of the round's probe."""
    _make(run, "condition", round, condition_step, _shown(run, "contexts", round, probe))


@stage
def score(run: Run, round: int, probe: bool = False) -> None:
    """Contexts -> what student and teacher say about each rollout."""
    _make(run, "score", round, score_step, _shown(run, "scores", round, probe), run.workers.scorer)


@stage
def measure(run: Run, round: int, probe: bool = False) -> None:
    """Scores -> how well they agree with the verdicts, prompt by prompt."""
    _make(run, "measure", round, measure_step, _shown(run, "signals", round, probe))


@stage
def answer(run: Run, round: int) -> None:
    """Contexts of a probe -> what the student replies when it is shown them."""
    _make(run, "answer", round, answer_step, _shown(run, "answers", round, True), run.workers.answerer)


@stage
def choose(run: Run, round: int) -> None:
    """What the candidates of a probe came to -> the context that the round trains on."""
    choice = run.round(round).choice
    assert choice is not None, "only a round with a probe chooses"
    _make(run, "choose", round, choose_step, [choice])
    manifest = run.find(choice)
    if manifest is not None:
        run.console.say(
            f"{f'round {round}':<10} {'choose':<10} {manifest.info['chosen']} contexts: {manifest.info['why']}"
        )


def _shown(run: Run, table: str, round: int, probe: bool) -> list[Shard]:
    """A table's shards of the round: its own and its control's, or those of its probe, shard by shard."""
    part = run.round(round)
    if not probe:
        return part.with_control(table)
    shards = {(one.table, one.key): one for side in part.probes for one in getattr(side, table)}
    return sorted(shards.values(), key=lambda shard: shard.shard)


def _make(
    run: Run, stage: str, round: int, step: Any, shards: list[Shard], hold: Callable[[int], Any] | None = None
) -> None:
    """Make what is missing of some shards, holding the device with a worker for this policy where one is given."""
    with _meter(run, stage, round, shards) as meter:
        if hold is not None and run.missing(shards):
            hold(round)
        wait(run, submit(run, step, shards, meter))
        if hold is not None:
            run.workers.release()
    _publish(run, stage, round, shards)


@stage
def train(run: Run, round: int) -> None:
    """Scores -> the next policy and its updates."""
    policy, updates = run.round(round).policy, run.round(round).updates
    with _meter(run, "train", round, [policy]) as meter:
        if run.missing([policy]):
            run.workers.trainer(round)
        wait(run, submit(run, train_step, [policy], meter))
        run.workers.release()
        wait(run, submit(run, record_step, [updates], _meter(run, "record", round, [updates])))
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
        wait(run, submit(run, evaluate_step, plan.evaluations, meter))
    _publish(run, "evaluate", round, plan.evaluations)


def _meter(run: Run, stage: str, round: int, shards: list[Shard]) -> Meter:
    where = f"policy {round}" if stage == "evaluate" else f"round {round}"
    done = len(shards) - len(run.missing(shards))
    return Meter(run.console, where=where, stage=stage, total=len(shards), done=done)


def submit(
    run: Session, step: Any, shards: list[Shard], meter: Meter, wait_for: Iterable[PrefectFuture[Any]] = ()
) -> list[PrefectFuture[Any]]:
    """Submit the step for each shard that is missing; a worker that dies costs it a retry."""
    retrying = step.with_options(retries=run.settings.shard_retries)
    with untagged():
        return [retrying.submit(run, shard, meter, wait_for=list(wait_for)) for shard in run.missing(shards)]


def wait(run: Session, futures: list[PrefectFuture[Any]]) -> None:
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
