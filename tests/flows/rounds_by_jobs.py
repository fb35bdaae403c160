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
from flows.shard import SIDE_TABLES, EvaluationPlan, RoundPlan, Shard
from flows.stage_settings import settings_of
from mopd.models.folders import model_digest, resolve_model
from mopd.settings import Settings, load_settings
from mopd.tasks.draw import draw_prompts, load_tasks, prompt_rows
from storage.runs import RUN_FILE, RunFolder
from storage.shards import commit_shard

EXAMPLES = Path(__file__).parents[2] / "examples"
TINY = EXAMPLES / "tiny.yaml"
SMALL = (
    *("generate.engine=fake", "rounds=3", "generate.num_prompts=2", "evaluate.when=never"),
    *("train.updates_per_round=1", "train.keep_trainer_states=3"),
)


def make_run(path: Path, *overrides: str) -> RunFolder:
    """Make whatever a run of three rounds of one shard each has not made yet."""
    return make_whole(path, load_settings(TINY, [*SMALL, *overrides]))


def make_whole(path: Path, settings: Settings) -> RunFolder:
    """Make whatever a run of these settings has not made yet."""
    torch.set_num_threads(1)
    folder = (
        RunFolder.open(path)
        if (path / RUN_FILE).exists()
        else RunFolder.create(path, run_document(settings, "tiny", inputs(settings)))
    )
    plan = RunPlan.of(folder)
    for part in plan.rounds:
        _make_round(folder, part)
    for version, evaluation in plan.evaluations.items():
        _evaluate(folder, plan, version, evaluation)
    return folder


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
    _draw(folder, plan)
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
    """Make what is missing of some shards with policy `version`, loaded once for them all."""
    missing, load = [shard for shard in shards if shard.find(folder) is None], LOADS.get(job)
    loaded = load(folder.path, version) if missing and load else None
    for shard in missing:
        job(loaded, lambda _: None, folder.path, shard)
    if job is jobs.generate_shard and loaded is not None:
        loaded.close()


def answer(_: None, report: Any, path: Path, shard: Shard) -> None:
    """Sample and judge one shard of answers."""
    engine = measure_jobs.load_answerer(path, shard.round)
    measure_jobs.judge_answers(None, report, path, shard, *measure_jobs.answer_shard(engine, report, path, shard))


def _evaluate(folder: RunFolder, plan: RunPlan, version: int, part: EvaluationPlan) -> None:
    """Ask a policy the held-out questions."""
    tasks = load_tasks(plan.settings.tasks, plan.settings.seed).heldout
    rows = prompt_rows(tasks, run=folder.run_id, round=version, split="heldout")
    size = plan.settings.prompts_per_shard
    for index, shard in enumerate(part.prompts):
        _commit_prompts(folder, shard, rows[index * size : (index + 1) * size])
    missing = [shard for shard in part.evaluations if shard.find(folder) is None]
    engine = jobs.load_engine(folder.path, version) if missing else None
    for shard in missing:
        samples, seconds = jobs.sample_shard(engine, lambda _: None, folder.path, shard)  # type: ignore[arg-type]
        jobs.judge_shard(None, lambda _: None, folder.path, shard, samples, seconds)
    if engine is not None:
        engine.close()


def _draw(folder: RunFolder, plan: RoundPlan) -> None:
    settings = settings_of(folder)
    rows = draw_prompts(
        load_tasks(settings.tasks, settings.seed).train,
        run=folder.run_id,
        round=plan.policy.round,
        seed=settings.seed,
        num_prompts=settings.generate.num_prompts,
        num_further=0,
        split="train",
    )
    for index, shard in enumerate(plan.prompts):
        _commit_prompts(folder, shard, rows[plan.candidates.prompts(index)])


def _commit_prompts(folder: RunFolder, shard: Shard, rows: list[dict[str, Any]]) -> None:
    if shard.find(folder) is None:
        place = {"round": shard.round, "shard": shard.shard, "key": shard.key}
        commit_shard(folder, "prompts", **place, rows=rows, parents=shard.parents(folder), info={})


if __name__ == "__main__":
    make_run(Path(sys.argv[1]))
