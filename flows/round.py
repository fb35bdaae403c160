"""One round on one screen."""

from __future__ import annotations

from prefect import flow

from flows.session import Run
from flows.stages import answer, choose, condition, draw, generate, measure, score, train


@flow(name="round", flow_run_name="round-{round:04d}", validate_parameters=False, persist_result=False)
def round_flow(run: Run, round: int) -> None:
    """Policy `round` samples, is judged, shown its peers, scored and trained: policy `round + 1`."""
    draw(run, round)
    generate(run, round)
    if run.round(round).probes:
        try_contexts(run, round)
        choose(run, round)
    condition(run, round)
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
