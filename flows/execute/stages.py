"""Stage flows: each turns the shards of one table into those of the next, and skips what is done."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from prefect import flow
from prefect.context import TagsContext
from prefect.futures import PrefectFuture

from flows.execute.session import Run, Session
from flows.execute.steps import step_of
from flows.folder.guards import breach_line, breaches, read_guards
from flows.plan.selection import round_selection, selection_line
from flows.plan.shard import RoundPlan, Shard
from flows.plan.stage import STAGES, Stage
from flows.report.artifacts import write_artifact, write_guards
from flows.runtime.console import Meter
from flows.runtime.interrupts import raise_if_interrupted
from flows.viewer.leave import report_link
from mopd.timeline import span


def untagged() -> Any:
    """Steps that are begun in it carry no tags, the run's neither: for them each would ask the server for a slot."""
    return TagsContext(current_tags=set())


def stage(function: Callable[..., None]) -> Callable[..., None]:
    """A stage flow, its run named e.g. `generate-r0003`, with threads for the steps that its run has room for."""
    name = function.__name__

    @functools.wraps(function)
    def without_tags(*args: Any, **kwargs: Any) -> None:
        with untagged():
            function(*args, **kwargs)

    stage_flow: Any = flow(
        name=name, flow_run_name=f"{name}-r{{round:04d}}", validate_parameters=False, persist_result=False
    )(without_tags)

    @functools.wraps(function)
    def begin(run: Run, *args: Any, **kwargs: Any) -> None:
        with span(name, "stage"):
            stage_flow.with_options(task_runner=run.workers.task_runner())(run, *args, **kwargs)

    return begin


@stage
def draw(run: Run, round: int) -> None:
    """Tasks -> the round's prompts."""
    _make(run, run.round(round).prompts)


@stage
def generate(run: Run, round: int) -> None:
    """Prompts -> rollouts -> verdicts: a shard is judged while the next is sampled, further ones if they are needed."""
    part = run.round(round)
    with _meter(run, part.verdicts) as verified, _meter(run, part.rollouts) as generated:
        _ask(run, round, generated, verified)
        _release(run, part.rollouts)
    part = run.round(round)
    _publish(run, part.rollouts)
    _publish(run, part.verdicts)
    selection = round_selection(run.plan.rounds[round], run.folder)
    if selection is not None:
        run.console.say(f"{f'round {round}':<10} {'groups':<10} {selection_line(selection)}")


def _ask(run: Run, round: int, generated: Meter, verified: Meter) -> None:
    """Sample and judge the round's shards in order, until no further one is certain to be needed."""
    futures: deque[PrefectFuture[Any]] = deque()
    begun = 0
    while True:
        part = run.round(round)
        hold(run, part.rollouts)
        for place in range(begun, len(part.rollouts)):
            futures += _ask_shard(run, part, place, generated, verified)
        begun = len(part.rollouts)
        if not futures:
            return
        wait(run, [futures.popleft()])


def _ask_shard(run: Run, part: RoundPlan, place: int, generated: Meter, verified: Meter) -> list[PrefectFuture[Any]]:
    """Submit one shard; the prompts of a further one are drawn when its turn comes."""
    prompts, sampled, judged = [part.prompts[place]], [part.rollouts[place]], [part.verdicts[place]]
    wait(run, submit(run, prompts, _meter(run, prompts)))
    generated.expect(len(part.rollouts))
    verified.expect(len(part.verdicts))
    first = submit(run, sampled, generated)
    return [*first, *submit(run, judged, verified, wait_for=first)]


@stage
def verify(run: Run, round: int) -> None:
    """Rollouts that are there -> verdicts of another verifier, which is tried."""
    _make(run, run.shown("verdicts", round, tried=True))


@stage
def condition(run: Run, round: int, tried: bool = False) -> None:
    """Verdicts -> what the teacher is shown; with `tried`, under every context that is tried."""
    _make(run, run.shown("contexts", round, tried=tried))


@stage
def score(run: Run, round: int, tried: bool = False) -> None:
    """Contexts -> what student and teacher say about each rollout."""
    _make(run, run.shown("scores", round, tried=tried))


@stage
def measure(run: Run, round: int, tried: bool = False) -> None:
    """Scores -> how well they agree with the verdicts, prompt by prompt."""
    _make(run, run.shown("signals", round, tried=tried))


@stage
def answer(run: Run, round: int) -> None:
    """Contexts that are tried -> what the student replies when it is shown them."""
    _make(run, run.shown("answers", round, tried=True))


@stage
def rejudge(run: Run, round: int) -> None:
    """Verdicts that are tried -> what they change of the run's own."""
    _make(run, run.shown("rejudged", round, tried=True))


@stage
def choose(run: Run, round: int) -> None:
    """What the candidates of a probe came to -> the context that the round trains on."""
    choice = run.round(round).choice
    assert choice is not None, "only a round with a probe chooses"
    _make(run, [choice])
    manifest = run.find(choice)
    if manifest is not None:
        run.console.say(
            f"{f'round {round}':<10} {'choose':<10} {manifest.info['chosen']} contexts: {manifest.info['why']}"
        )


@stage
def guard(run: Run, round: int, part: int) -> None:
    """What is there of policy `round` -> whether its bounds hold; `part`: the number of the shard."""
    shards = [shard for shard in run.guards(round) if shard.shard == part]
    wait(run, submit(run, shards, _meter(run, shards)))
    write_guards(read_guards(run.folder, shards), _about(run, shards))
    for row in breaches(run.folder, shards):
        run.console.say(f"{_where(shards):<10} {'guard':<10} {breach_line(row)}")


@stage
def train(run: Run, round: int) -> None:
    """Scores -> the next policy and its updates."""
    part = run.round(round)
    _make(run, [part.policy])
    wait(run, submit(run, [part.updates], _meter(run, [part.updates])))


@stage
def evaluate(run: Run, round: int) -> None:
    """Held-out prompts -> judged samples of policy version `round`; the engine stays for the round that follows."""
    part = run.plan.evaluations[round]
    wait(run, submit(run, part.prompts, _meter(run, part.prompts)))
    following = run.round(round).rollouts if round < run.settings.rounds else []
    _make(run, part.evaluations, keep_for=following)


def _make(run: Run, shards: list[Shard], *, keep_for: list[Shard] | None = None) -> None:
    """Make what is missing of a table's shards, with devices where they need them.

    `keep_for`: shards that the same will make after these, so that it stays loaded.
    """
    with _meter(run, shards) as meter:
        hold(run, shards, keep_for or [])
        wait(run, submit(run, shards, meter))
        if not keep_for:
            _release(run, shards)
    _publish(run, shards)


def _release(run: Run, shards: list[Shard]) -> None:
    """A stage is over. What it has loaded ends too where nothing of the run is left to be made with it: training has
    that memory."""
    run.workers.release(is_wanted=run.wants(STAGES[shards[0].table].load, shards[0].round))


def hold(run: Session, shards: list[Shard], following: list[Shard] | None = None) -> None:
    """Have devices ready for what is missing of some shards, enough for those that follow too."""
    missing = run.missing(shards)
    if missing and STAGES[missing[0].table].load:
        num_shards = max(len(missing), len(run.missing(following or [])))
        run.workers.hold_for(STAGES[missing[0].table], missing[0], num_shards)


def _meter(run: Run, shards: list[Shard]) -> Meter:
    done = len(shards) - len(run.missing(shards))
    stage = STAGES[shards[0].table].name
    return Meter(run.console, where=_where(shards), stage=stage, total=len(shards), done=done)


def _where(shards: list[Shard]) -> str:
    first = shards[0]
    return f"{'policy' if first.table in ('evaluations', 'guards') else 'round'} {first.round}"


def submit(
    run: Session,
    shards: list[Shard],
    meter: Meter,
    wait_for: Iterable[PrefectFuture[Any]] = (),
    *,
    stage: Stage | None = None,
) -> list[PrefectFuture[Any]]:
    """Submit the step of their stage for each shard that is missing; a worker that dies costs it a retry."""
    retrying = step_of(stage or STAGES[shards[0].table]).with_options(retries=run.settings.shard_retries)
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


def _publish(run: Run, shards: list[Shard]) -> None:
    made = [manifest for shard in shards if (manifest := run.find(shard)) is not None]
    write_artifact(STAGES[shards[0].table], _about(run, shards), made)


def _about(run: Run, shards: list[Shard]) -> str:
    """What stands beside an artifact: what it is of, and where the run's page will be."""
    if not run.settings.report.page:
        return _where(shards)
    return (
        f"{_where(shards)} · when the run has ended: [report.html]({report_link(run.folder)}) in {run.folder.address}"
    )
