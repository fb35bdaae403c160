"""One round of multi-rollout on-policy distillation without Prefect: the whole method in a row, in one process.

    python examples/one_round.py                                  # a tiny random model, in seconds
    python examples/one_round.py examples/demo.yaml RUN_FOLDER    # any config

Every stage is the function that the flows call; every table is committed as a shard, so `mopd sql RUN_FOLDER "…"`
works on the result. What Prefect adds is scheduling, retries, processes of their own and a page to watch.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mopd.condition import condition
from mopd.contexts.summaries import instruction_of
from mopd.engines import make_engine
from mopd.errors import InputError
from mopd.evaluate import summarize_evaluation
from mopd.generate import generate, sample_evaluation
from mopd.models.chat_template import ChatTemplate, load_chat_template
from mopd.models.folders import model_digest, resolve_model
from mopd.score import Scorer
from mopd.settings import Settings, load_settings
from mopd.tasks.draw import draw_prompts, load_tasks
from mopd.train import train_round
from mopd.verify import verify
from storage.errors import StorageError
from storage.runs import RunFolder
from storage.shards import commit_shard, shard_key
from storage.sql.catalog import query

Rows = list[dict[str, Any]]
ROUND = 0
QUERY = """
SELECT success, count(*) AS rollouts, round(avg(mean_teacher_logprob), 2) AS teacher_logprob,
       round(avg(list_avg(proximal_logprobs)), 2) AS student_logprob, count(first_success) AS saw_a_success
FROM episodes GROUP BY ALL ORDER BY ALL
"""


def main(config: str = "examples/tiny.yaml", run_folder: str | None = None) -> None:
    """Prompts, rollouts, verdicts, contexts, scores, one trained policy; each table a shard."""
    settings = load_settings(config)
    if settings.generate.groups.kind != "all":
        raise InputError(f"{config}: generate.groups may ask further prompts, which mopd run does; set it to all here")
    folder = resolve_model(settings.model.path)
    template, digest = load_chat_template(folder, settings.model), model_digest(folder)
    path = Path(run_folder or tempfile.mkdtemp(prefix="mopd-one-round-"))
    run = RunFolder.create(path, {"settings": settings.model_dump(mode="json"), "model_digest": digest})
    tasks = load_tasks(settings.tasks, settings.seed)

    def commit(table: str, rows: Rows) -> Rows:
        """One shard for the whole round; the flows commit one every `prompts_per_shard` groups."""
        key = shard_key(
            table, version=1, settings={"config": config}, model=digest, inputs=[], seed=settings.seed, shard=0
        )
        commit_shard(run, table, round=ROUND, shard=0, key=key, rows=rows, parents=[], info={})
        print(f"{table:10} {len(rows):5} rows   {time.monotonic() - began:6.1f} s", flush=True)
        return rows

    began = time.monotonic()
    count = settings.generate.num_prompts
    prompts = commit(
        "prompts",
        draw_prompts(tasks.train, run=run.run_id, round=ROUND, seed=settings.seed, num_prompts=count, split="train"),
    )
    rollouts = commit("rollouts", sample(prompts, settings, folder, template, run.run_id))
    summarized = bool(instruction_of(settings))
    verdicts = commit("verdicts", verify(prompts, rollouts, settings.verify, summarized=summarized))
    contexts = commit(
        "contexts", condition(prompts, rollouts, verdicts, settings.condition, template, run_seed=settings.seed)
    )
    scorer = Scorer(settings, policy_folder=folder)  # in the first round the teacher is the student itself
    scores = commit("scores", scorer.score(rollouts, verdicts, contexts, policy_version=0))
    policy = path / "policy"
    updates = train_round(scores, settings, policy_folder=folder, state_folder=None, out=policy, round=ROUND)
    commit("updates", [{"run": run.run_id, **update} for update in updates])

    print()
    print_result(run)
    print_heldout(settings, tasks.heldout, {"before": folder, "after": policy}, template)
    print(f"\nAll of it is in {path}")


def sample(prompts: Rows, settings: Settings, folder: Path, template: ChatTemplate, run: str) -> Rows:
    """A group of rollouts a prompt; the device is free again afterwards."""
    engine = make_engine(settings.generate, settings.model, folder)
    rollouts = generate(
        prompts,
        engine,
        template,
        settings.generate,
        run=run,
        round=ROUND,
        seed=settings.seed,
        policy_version=0,
        instruction=instruction_of(settings),
    )
    engine.close()
    return rollouts


def print_result(run: RunFolder) -> None:
    """What the teacher made of right and wrong rollouts, by SQL."""
    result = query(run, QUERY)
    print("  ".join(result.columns))
    for row in result.rows:
        print("  ".join(str(value) for value in row))


def print_heldout(settings: Settings, tasks: list[Any], policies: dict[str, Path], template: ChatTemplate) -> None:
    """mean@k and pass@k of both policies on questions that were not trained on."""
    if not tasks:
        return
    prompts = draw_prompts(tasks, run="", round=ROUND, seed=settings.seed, num_prompts=len(tasks), split="heldout")
    for name, folder in policies.items():
        engine = make_engine(settings.generate, settings.model, folder)
        samples = sample_evaluation(prompts, engine, template, settings, run="", policy_version=0)
        engine.close()
        verdicts = verify(prompts, samples, settings.verify)
        summary = summarize_evaluation(verdicts, settings.evaluate, settings.seed)
        print(f"{name:7} mean@{summary.k} {summary.mean_at_k:.3f}   pass@{summary.k} {summary.pass_at_k:.3f}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (InputError, StorageError) as error:
        sys.exit(f"one_round: {error}")
