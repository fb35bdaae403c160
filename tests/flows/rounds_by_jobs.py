"""A run of the tiny model made by the jobs alone, in this process: no Prefect, no workers. Done shards are skipped.

python -m tests.flows.rounds_by_jobs RUN [KEY=VALUE …]: as a process of its own, to be killed, or to have company.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from flows.execute.work import judge_shard, load_device, make_shard, sample_shard
from flows.folder.open import run_document, tasks_digest
from flows.plan.guards import needed_guards
from flows.plan.run import RunPlan
from flows.plan.shard import RoundPlan, Shard
from flows.plan.stage import STAGES, Stage
from flows.runtime.messages import silent
from mopd.models.folders import model_digest, resolve_model
from mopd.settings import Settings, load_settings
from mopd.tasks.draw import load_tasks
from storage.runs import RunFolder, is_run
from storage.shards import Manifest
from storage.stores.address import Address

EXAMPLES = Path(__file__).parents[2] / "examples"
TINY = EXAMPLES / "tiny.yaml"
SMALL = (
    *("generate.engine=fake", "rounds=3", "generate.num_prompts=2", "evaluate.when=never"),
    *("train.updates_per_round=1", "train.keep_trainer_states=3"),
)


def make_run(address: Address, *overrides: str) -> RunFolder:
    """Make whatever a run of three rounds of one shard each has not made yet."""
    return make_whole(address, load_settings(TINY, [*SMALL, *overrides]))


def make_whole(address: Address, settings: Settings) -> RunFolder:
    """Make whatever a run of these settings has not made yet."""
    torch.set_num_threads(1)
    folder = (
        RunFolder.open(address)
        if is_run(address)
        else RunFolder.create(address, run_document(settings, "tiny", inputs(settings)))
    )
    plan = RunPlan.of(folder)
    for part in plan.rounds:
        make_round(folder, part)
    for evaluation in plan.evaluations.values():
        make_shards(folder, evaluation.prompts)
        make_shards(folder, evaluation.evaluations)
    for version in range(len(plan.guards)):
        for shard in needed_guards(plan, folder, version):
            make_shards(folder, [shard])
    return folder


def inputs(settings: Settings, known: object = None) -> dict[str, Any]:
    """What `flows.folder.open.inputs_of` finds in a process of its own, of models that are no names of a hub."""
    tasks = load_tasks(settings.tasks, settings.seed)
    return {
        "model_digest": model_digest(resolve_model(settings.model.path)),
        "teacher_digest": None,
        "tasks_digest": tasks_digest(settings),
        "num_train": len(tasks.train),
        "num_heldout": len(tasks.heldout),
    }


def make_round(folder: RunFolder, plan: RoundPlan) -> None:
    """Make what is missing of a round, stage by stage."""
    tried = [getattr(plan_part, table) for table in TRIED for plan_part in plan.probes]
    for shards in (
        *(plan.prompts, plan.rollouts, plan.verdicts, *tried, [plan.choice] if plan.choice else []),
        *(plan.with_control("contexts"), plan.with_control("scores"), plan.with_control("signals")),
        *([plan.policy], [plan.updates]),
    ):
        make_shards(folder, shards)


TRIED = ("contexts", "scores", "signals", "answers")


def make_shards(folder: RunFolder, shards: list[Shard]) -> None:
    """Make what is missing of a table's shards, with what they need loaded once for them all."""
    missing = [shard for shard in shards if shard.find(folder) is None]
    if not missing:
        return
    stage = STAGES[missing[0].table]
    loaded = load_device(stage.load, folder) if stage.load else None
    for shard in missing:
        make(stage, folder, shard, loaded)
    if hasattr(loaded, "close"):
        loaded.close()


def make(stage: Stage, folder: RunFolder, shard: Shard, loaded: Any = None) -> Manifest:
    """One shard, as the workers make it."""
    if not stage.judge:
        return make_shard(loaded, silent, stage.job, folder, shard)
    sampled = sample_shard(loaded, silent, stage.job, folder, shard)
    return judge_shard(None, silent, stage.judge, folder, shard, sampled)


if __name__ == "__main__":
    make_run(*sys.argv[1:])
