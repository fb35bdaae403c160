"""Steps: Prefect tasks that make one shard each. Body of all: done already? skip; else let a worker make it.

Prefect's own result cache is off: the manifest under the shard's key is the only truth about what is done.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.execute.session import Session
from flows.plan.shard import Shard
from flows.plan.stage import Stage
from flows.runtime.console import Meter
from flows.runtime.worker import WorkerDied
from storage.shards import Manifest


@cache
def step_of(stage: Stage) -> Any:
    """The step of a stage, its runs named e.g. `generate-r0003-s0002`."""

    def make(run: Session, shard: Shard, meter: Meter) -> Manifest:
        manifest = run.find(shard) or run.workers.make(stage, shard, partial(meter.report, key=shard.key))
        meter.finished(manifest)
        return manifest

    return task(
        name=stage.name,
        task_run_name=f"{stage.name}-r{{shard.round:04d}}-s{{shard.shard:04d}}",
        cache_policy=NO_CACHE,
        persist_result=False,
        retry_condition_fn=_worker_died,
    )(make)


def _worker_died(_task: Any, _run: Any, state: Any) -> bool:
    """Retry for a dead worker only: the same input gives the same error otherwise."""
    return isinstance(state.result(raise_on_failure=False), WorkerDied)
