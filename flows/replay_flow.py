"""The flow behind `mopd condition` and `mopd score`."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.other_contexts import open_contexts
from flows.progress import Console
from flows.run import in_charge
from flows.session import Run
from flows.stages import condition, score
from storage.catalog import write_catalog
from storage.runs import RunFolder


@flow(name="replay", flow_run_name="{name}-r{round:04d}", persist_result=False)
def replay_flow(run_dir: str, round: int, name: str, overrides: list[str], scores: bool) -> None:
    """Contexts, and scores if asked for, of the rollouts of `round` under the run's settings with `overrides`.

    Their rows stand in the tables of the run in `run_dir`, with `name` in the column `condition`.
    """
    folder = RunFolder.open(Path(run_dir))
    with in_charge(folder):
        other = open_contexts(folder, round, name, overrides, scores=scores)
        with Run.open(folder, Console(), tried=[other.shards]) as run:
            condition(run, round, tried=True)
            if scores:
                score(run, round, tried=True)
        write_catalog(folder)
