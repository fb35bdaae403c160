"""One round on one screen."""

from __future__ import annotations

from prefect import flow

from flows.session import Run
from flows.stages import condition, draw, generate, score, train


@flow(name="round", flow_run_name="round-{round:04d}", validate_parameters=False, persist_result=False)
def round_flow(run: Run, round: int) -> None:
    """Policy `round` samples, is judged, shown its peers, scored and trained: policy `round + 1`."""
    draw(run, round)
    generate(run, round)
    condition(run, round)
    score(run, round)
    train(run, round)
