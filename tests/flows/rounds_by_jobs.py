"""A run of the tiny model made by the jobs alone, in this process: no Prefect, no workers. Done shards are skipped.

python -m tests.flows.rounds_by_jobs RUN: as a process of its own, to be killed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from flows import jobs, measure_jobs
from flows.plan import RunPlan
from flows.prepare import run_document, tasks_digest
from flows.shard import SIDE_TABLES, RoundPlan, Shard
from flows.stage_settings import settings_of
from flows.worker import silent
from mopd.models import model_digest, resolve_model
from mopd.settings import Settings, load_settings
from mopd.tasks import draw_prompts, load_tasks, prompt_rows
from storage.runs import RUN_FILE, RunFolder
from storage.shards import commit_shard

TINY = Path(__file__).parents[2] / "examples" / "tiny.yaml"
SMALL = (
    *("generate.engine=fake", "rounds=3", "generate.num_prompts=2", "evaluate.when=never"),
    *("train.updates_per_round=1", "train.keep_trainer_states=3"),
)


def make_run(path: Path, *overrides: str) -> RunFolder:
    """Make whatever a run of three rounds of one shard each has not made yet."""
    torch.set_num_threads(1)
    settings = load_settings(TINY, [*SMALL, *overrides])
    folder = (
        RunFolder.open(path)
        if (path / RUN_FILE).exists()
        else RunFolder.create(path, run_document(settings, "tiny", inputs(settings)))
    )
    plan = RunPlan.of(folder)
    for version in range(plan.settings.rounds + 1):
        for shard in plan.evaluations[version].evaluations if version in plan.evaluations else ():
            evaluate(folder, shard)
        for part in plan.rounds[version : version + 1]:
            _make_round(folder, part)
    return folder


def evaluate(folder: RunFolder, shard: Shard) -> None:
    """Make one shard of an evaluation, with its prompts, where it is missing."""
    if shard.find(folder) is not None:
        return
    prompts, settings = shard.input("prompts"), settings_of(folder)
    size, first = settings.prompts_per_shard, shard.shard * settings.prompts_per_shard
    tasks = load_tasks(settings.tasks, settings.seed).heldout[first : first + size]
    if prompts.find(folder) is None:
        rows = prompt_rows(tasks, run=folder.run_id, round=shard.round, split="heldout")
        place = {"round": shard.round, "shard": prompts.shard, "key": prompts.key}
        commit_shard(folder, "prompts", **place, rows=rows, parents=[], info={})
    engine = jobs.load_engine(folder.path, shard.round)
    jobs.judge_shard(None, silent, folder.path, shard, *jobs.sample_shard(engine, silent, folder.path, shard))


def inputs(settings: Settings) -> dict[str, Any]:
    """What `flows.prepare.inputs_of` finds in a process of its own."""
    return {
        "model_digest": model_digest(resolve_model(settings.model.path)),
        "teacher_digest": None,
        "tasks_digest": tasks_digest(settings),
        "num_heldout": len(load_tasks(settings.tasks, settings.seed).heldout),
    }


def _make_round(folder: RunFolder, plan: RoundPlan) -> None:
    tried = {table: [shard for part in plan.probes for shard in getattr(part, table)] for table in SIDE_TABLES}
    _draw(folder, plan.prompts[0])
    for shards, job in (
        (plan.rollouts, jobs.generate_shard),
        (plan.verdicts, jobs.verify_shard),
        (tried["contexts"], jobs.condition_shard),
        (tried["scores"], jobs.score_shard),
        (tried["signals"], measure_jobs.measure_shard),
        (tried["answers"], answer),
        ([plan.choice] if plan.choice else [], measure_jobs.choose_shard),
        (plan.with_control("contexts"), jobs.condition_shard),
        (plan.with_control("scores"), jobs.score_shard),
        (plan.with_control("signals"), measure_jobs.measure_shard),
        ([plan.policy], jobs.train_policy),
        ([plan.updates], jobs.commit_updates),
    ):
        make_shards(folder, plan.policy.round, shards, job)


LOADS: dict[Any, Any] = {jobs.generate_shard: jobs.load_engine, jobs.score_shard: jobs.load_scorer}


def make_shards(folder: RunFolder, version: int, shards: list[Shard], job: Any) -> None:
    """Make what is missing of some shards with policy `version`."""
    for shard in shards:
        if shard.find(folder) is None:
            load = LOADS.get(job)
            job(load(folder.path, version) if load else None, lambda _: None, folder.path, shard)


def answer(_: None, report: Any, path: Path, shard: Shard) -> None:
    """Sample and judge one shard of answers."""
    engine = measure_jobs.load_answerer(path, shard.round)
    measure_jobs.judge_answers(None, report, path, shard, *measure_jobs.answer_shard(engine, report, path, shard))


def _draw(folder: RunFolder, shard: Shard) -> None:
    if shard.find(folder) is not None:
        return
    settings, place = settings_of(folder), {"round": shard.round, "shard": shard.shard, "key": shard.key}
    tasks, number = load_tasks(settings.tasks, settings.seed), settings.generate.num_prompts
    rows = draw_prompts(
        tasks.train,
        run=folder.run_id,
        round=shard.round,
        seed=settings.seed,
        num_prompts=number,
        num_further=0,
        split="train",
    )
    commit_shard(folder, "prompts", **place, rows=rows, parents=[], info={})


if __name__ == "__main__":
    make_run(Path(sys.argv[1]))
