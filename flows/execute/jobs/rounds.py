"""The jobs of a round up to its scores, and of evaluations."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from flows.execute.chosen import condition_of, publish_chosen
from flows.execute.work import Rows, Work, commit, read_shard, select_groups
from flows.folder.commits import commits_of, pinned
from flows.folder.policies import base_folder, policy_folder, teacher_state
from flows.plan.conditions import CONTROL
from flows.plan.counts import JUDGES
from flows.plan.selection import chosen_groups, control_groups
from mopd.contexts.summaries import instruction_of
from mopd.models.chat_template import ChatTemplate, load_chat_template
from mopd.settings import GenerateSettings, ModelSettings, Settings
from storage.runs import RunFolder
from storage.shards import Manifest


@dataclass(frozen=True)
class LoadedEngine:
    """A generation engine with the chat template that its model is asked in."""

    engine: Any
    template: ChatTemplate

    def renew(self, folder: RunFolder, settings: Settings, version: int) -> bool:
        """Whether the engine took policy `version` in place of its own."""
        return self.engine.reload(policy_folder(folder, version))

    def close(self) -> None:
        """Free the device."""
        self.engine.close()


def load_engine(
    folder: RunFolder, settings: Settings, version: int, generate: GenerateSettings | None = None
) -> LoadedEngine:
    """The engine with policy `version` of a run, with room for what rollouts and evaluations, or `generate`, ask."""
    from mopd.engines import make_engine

    policy, base = policy_folder(folder, version), base_folder(folder, version)
    longest = max(settings.generate.max_tokens, settings.evaluation_sampling.max_tokens)
    generate = generate or settings.generate.model_copy(update={"max_tokens": longest})
    engine = make_engine(generate, settings.model, policy, base=base)
    return LoadedEngine(engine, run_template(folder, settings))


def load_scorer(folder: RunFolder, settings: Settings, version: int) -> Any:
    """Student and teacher of policy `version`, as one scorer."""
    from mopd.score import Scorer

    return Scorer(
        pinned(settings, commits_of(folder)),
        policy_folder=policy_folder(folder, version),
        state_folder=teacher_state(folder, settings, version),
        reference_folder=policy_folder(folder, 0),
    )


def generate(loaded: LoadedEngine, work: Work) -> Rows:
    """prompts -> rollouts."""
    from mopd.generate import generate

    prompts, settings = work.read("prompts"), work.settings
    return generate(
        prompts,
        loaded.engine,
        loaded.template,
        settings.generate,
        run=work.folder.run_id,
        round=work.shard.round,
        seed=settings.seed,
        policy_version=work.shard.round,
        instruction=instruction_of(settings),
        progress=work.progress(len(prompts) * settings.generate.num_samples, "rollouts"),
    )


def sample_heldout(loaded: LoadedEngine, work: Work) -> Rows:
    """Held-out prompts -> samples, not judged yet."""
    return sample_prompts(loaded, work, policy_version=work.shard.round)


def sample_prompts(loaded: LoadedEngine, work: Work, *, policy_version: int) -> Rows:
    """The samples of an evaluation, not judged yet."""
    from mopd.generate import sample_evaluation

    prompts, settings = work.read("prompts"), work.settings
    return sample_evaluation(
        prompts,
        loaded.engine,
        loaded.template,
        settings,
        run=work.folder.run_id,
        policy_version=policy_version,
        round=work.shard.round,
        progress=work.progress(len(prompts) * settings.evaluate.num_samples, "samples"),
    )


def verify(_: None, work: Work) -> Manifest:
    """rollouts -> verdicts, whose manifest says by which versions of which verifiers."""
    from mopd.verifiers.versions import judge_versions
    from mopd.verify import verify

    began, settings = time.monotonic(), work.settings.verify
    prompts = work.read("prompts")
    rollouts = work.read("rollouts", ("run", "round", "prompt_id", "sample", "text", "finish_reason"))
    rows = verify(
        prompts,
        rollouts,
        settings,
        progress=work.progress(len(rollouts), "verdicts"),
        summarized=bool(instruction_of(work.settings)),
    )
    judges = judge_versions(settings.judge_of(prompt["verifier"]) for prompt in prompts)
    return commit(work.folder, work.shard, rows, began, info={JUDGES: judges})


def judge_heldout(samples: Rows, work: Work) -> Rows:
    """Held-out samples -> evaluations."""
    prompts = work.read("prompts")
    datasets = {prompt["prompt_id"]: prompt["dataset"] for prompt in prompts}
    columns = ("run", "round", "prompt_id", "sample", "policy_version", "token_ids", "text", "finish_reason", "seed")
    judged = judge_rows(prompts, samples, work.settings, columns=columns)
    return [row | {"dataset": datasets[row["prompt_id"]]} for row in judged]


def judge_rows(
    prompts: Rows, samples: Rows, settings: Settings, *, columns: Sequence[str], summarized: bool = False
) -> Rows:
    """Samples with what the verifiers of their prompts say of them; of the samples the columns named.

    `summarized`: they were asked for a summary, which is not judged.
    """
    from mopd.verify import verify

    verdicts = verify(prompts, samples, settings.verify, summarized=summarized)
    verdict_columns = ("reward", "success", "prediction", "kind", "sandbox", "sandbox_policy", "error")
    return [
        {name: sample[name] for name in columns} | {name: verdict[name] for name in verdict_columns}
        for sample, verdict in zip(samples, verdicts, strict=True)
    ]


def condition(_: None, work: Work) -> Rows | Manifest:
    """verdicts (and the rollouts and prompts they judge) -> contexts; a probe's, where it chose one in this round."""
    from mopd.condition import condition
    from mopd.contexts.render import check_renderings

    published = publish_chosen(work)
    if published is not None:
        return published
    folder, shard, settings = work.folder, work.shard, work.settings
    judged = work.read("verdicts")
    chosen = chosen_groups(folder, shard, judged, settings.generate)
    if shard.name == CONTROL:
        chosen = control_groups(judged, chosen, settings, round=shard.round)
    prompts, rollouts, verdicts = (
        select_groups(rows, chosen) for rows in (work.read("prompts"), work.read("rollouts"), judged)
    )
    shown, template = condition_of(folder, shard), run_template(folder, settings)
    check_renderings(prompts, shown, template)  # a probe, or who asks for other contexts, names renderings of its own
    return condition(
        prompts,
        rollouts,
        verdicts,
        shown,
        template,
        run_seed=settings.seed,
        earlier=read_earlier(work, verdicts),
    )


def read_earlier(work: Work, verdicts: Rows) -> tuple[Rows, Rows]:
    """Rollouts and verdicts of earlier rounds for the prompts of a contexts shard that have no success now."""
    folder, history = work.folder, work.shard.history
    unsolved = {row["prompt_id"] for row in verdicts} - {row["prompt_id"] for row in verdicts if row["success"]}
    rollouts: Rows = []
    judged: Rows = []
    for verdict_shard, rollout_shard in zip(history[::2], history[1::2], strict=True):
        if unsolved and verdict_shard.committed(folder) is not None:  # a round may have needed fewer shards
            rows = select_groups(read_shard(folder, verdict_shard), unsolved)
            rollouts += select_groups(read_shard(folder, rollout_shard), unsolved) if rows else []
            judged += rows
    return rollouts, judged


def score(scorer: Any, work: Work) -> Rows | Manifest:
    """contexts (and what they stand beside) -> scores; those of the candidate that a probe chose are there already."""
    published = publish_chosen(work)
    if published is not None:
        return published
    contexts = work.read("contexts")
    if not contexts:
        return []
    chosen = {row["prompt_id"] for row in contexts}
    rollouts, verdicts = (select_groups(work.read(table), chosen) for table in ("rollouts", "verdicts"))
    scored: Rows = scorer.score(rollouts, verdicts, contexts, policy_version=work.shard.round)
    return scored


def run_template(folder: RunFolder, settings: Settings) -> ChatTemplate:
    """The chat template of a run: the initial model's, whose words all its policies speak."""
    return _load_template(policy_folder(folder, 0), settings.model)


@cache
def _load_template(model: Path, settings: ModelSettings) -> ChatTemplate:
    return load_chat_template(model, settings)
