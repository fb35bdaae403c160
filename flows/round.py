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
        probe_flow(run, round)
        choose(run, round)
    condition(run, round)
    score(run, round)
    measure(run, round)
    train(run, round)


@flow(name="probe", flow_run_name="probe-{round:04d}", validate_parameters=False, persist_result=False)
def probe_flow(run: Run, round: int) -> None:
    """The round's rollouts under several contexts: what the teacher says of them, what the student replies then."""
    condition(run, round, probe=True)
    answer(run, round)
    score(run, round, probe=True)
    measure(run, round, probe=True)
