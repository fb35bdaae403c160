"""Two replicas of one core each against one worker of one core: a round's rollouts and scores, wall time.

    python benchmarks/replicas.py --repeats 3 --results benchmarks/results/replicas.json

The stages run as they do in `mopd run`, by the local place's pools, without Prefect. Each time counts from the moment
that a stage asks for its devices to its last shard: processes that start and models that are loaded are in it. Both
sides make the same shards, one after the other in one run, and must come to the same digests. What stands between
(verdicts, contexts) is made on all cores, and not counted. Cores that something else uses show in `load`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from results_file import add_result

from flows.execute.session import Workers
from flows.folder.open import open_run
from flows.plan.run import RunPlan
from flows.plan.shard import Shard
from flows.plan.stage import STAGES
from flows.runtime.messages import silent
from flows.runtime.server.patience import TEMPORARY
from flows.runtime.worker import warm_up
from mopd.settings import Settings, load_settings
from storage.digest import digest_tables
from storage.runs import RunFolder

CONFIG = Path(__file__).parents[1] / "examples" / "demo.yaml"
TIMED = {"rollouts": "generate", "scores": "score"}
BEFORE = {"rollouts": ["prompts"], "scores": ["verdicts", "contexts"]}
"""What is made before a timed stage, on all cores."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--engine", default="transformers")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()
    os.environ[TEMPORARY] = "1"  # no server is asked for devices
    warm_up()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(options.repeats):
            for replicas in (1, 2):
                settings = settings_of(options, replicas)
                results.append({"replicas": replicas, **measure(settings, Path(folder) / f"{repeat}-{replicas}")})
                print(results[-1], flush=True)
    assert len({str(result.pop("digests")) for result in results}) == 1, "both must make the same"
    said = {"engine": options.engine, "shards": options.shards, **summary(results)}
    print(said)
    if options.results is not None:
        add_result(options.results, results, **said)


def settings_of(options: argparse.Namespace, replicas: int) -> Settings:
    """A round of so many shards of one prompt, its engine and its scorer with so many replicas of one core."""
    cores = len(os.sched_getaffinity(0))
    return load_settings(
        CONFIG,
        [
            *(
                "rounds=1",
                "evaluate.when=never",
                "train.updates_per_round=1",
                "prompts_per_shard=1",
                f"generate.num_prompts={options.shards}",
            ),
            *(f"generate.engine={options.engine}", f"place.devices={cores}"),
            f"place.replicas={{generate: {replicas}, score: {replicas}}}",
            *options.overrides,
        ],
    )


def measure(settings: Settings, path: Path) -> dict[str, Any]:
    """Seconds of each timed stage, of both, and the load of the machine when it began."""
    folder = open_run(settings, path, config="replicas")
    workers = Workers(folder, settings)
    found: dict[str, Any] = {"load": round(os.getloadavg()[0], 2)}
    for table, stage in TIMED.items():
        for before in BEFORE[table]:
            make(workers, folder, before)
        began = time.monotonic()
        make(workers, folder, table)
        found[f"{stage} s"] = round(time.monotonic() - began, 2)
    workers.close()
    found["both s"] = round(sum(found[f"{stage} s"] for stage in TIMED.values()), 2)
    return {**found, "digests": {table: digest_tables(folder)[table] for table in TIMED}}


def make(workers: Workers, folder: RunFolder, table: str) -> None:
    """A table's shards of the round, as many at once as there are replicas."""
    shards: list[Shard] = getattr(RunPlan.of(folder).rounds[0].needed(folder), table)
    stage = STAGES[table]
    pool = workers.hold_for(stage, shards[0], len(shards)) if stage.load else workers.cpu
    with ThreadPoolExecutor(pool.size) as threads:
        list(threads.map(lambda shard: workers.make(stage, shard, silent), shards))
    workers.release()


def summary(results: list[dict[str, Any]]) -> dict[str, float]:
    """How many times as fast two replicas are, of the best times of each side."""
    best = {number: min(one["both s"] for one in results if one["replicas"] == number) for number in (1, 2)}
    return {"times as fast": round(best[1] / best[2], 3)}


if __name__ == "__main__":
    main()
