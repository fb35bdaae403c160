"""What worker processes do: read input shards, call the method, commit the output shard.

Each job is `job(resource, report, run_path, shard, …)`; torch, transformers and vLLM are imported here only, never in
the process that runs the flows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from flows.choices import condition_of, probed_scores
from flows.info import count_contexts, count_evaluations, count_rollouts, count_scores, count_verdicts
from flows.policies import base_folder, gather_trainer_state, policy_folder, teacher_state, trainer_folder
from flows.round_scores import RoundScores
from flows.selection import chosen_groups, control_groups
from flows.shard import Shard
from flows.shard_rows import Rows, commit, manifest_of, of_groups, open_shard, read_shard
from flows.stage_settings import CONTROL, open_at, settings_of
from flows.worker import Report
from mopd.contexts.summaries import instruction_of
from mopd.objectives import columns_read
from mopd.settings import GenerateSettings, Settings
from storage.runs import RunFolder
from storage.schemas import side_of
from storage.shards import Manifest, commit_folder, refuse_committed, remove_trainer_state


@dataclass(frozen=True)
class LoadedEngine:
    """A generation engine with the tokenizer of its model."""

    engine: Any
    tokenizer: Any

    def close(self) -> None:
        """Free the device."""
        self.engine.close()


def load_nothing() -> None:
    """For workers whose jobs load what they need."""


def load_engine(run_path: Path, version: int) -> LoadedEngine:
    """The engine with policy `version`."""
    folder = open_at(run_path, version)
    return engine_of(folder, version, settings_of(folder).generate)


def engine_of(folder: RunFolder, version: int, generate: GenerateSettings) -> LoadedEngine:
    """The engine with policy `version` of a run, sampling by these settings."""
    from mopd.engines import make_engine
    from mopd.models.folders import load_tokenizer

    policy, base = policy_folder(folder, version), base_folder(folder, version)
    return LoadedEngine(make_engine(generate, settings_of(folder).model, policy, base=base), load_tokenizer(policy))


def load_scorer(run_path: Path, version: int, side: str = "") -> Any:
    """Student and teacher of policy `version`, as one scorer."""
    from mopd.score import Scorer

    folder = open_at(run_path, version, side)
    settings = settings_of(folder)
    return Scorer(
        settings,
        policy_folder=policy_folder(folder, version),
        state_folder=teacher_state(folder, settings, version),
        reference_folder=policy_folder(folder, 0),
    )


def generate_shard(loaded: LoadedEngine, report: Report, run_path: Path, shard: Shard) -> Manifest:
    """prompts -> rollouts."""
    from mopd.generate import generate

    folder, began = open_shard(run_path, shard), time.monotonic()
    settings = settings_of(folder)
    prompts = read_shard(folder, shard.input("prompts"))
    total = len(prompts) * settings.generate.num_samples
    rows = generate(
        prompts,
        loaded.engine,
        loaded.tokenizer,
        settings.generate,
        run=folder.run_id,
        round=shard.round,
        seed=settings.seed,
        policy_version=shard.round,
        instruction=instruction_of(settings),
        progress=lambda done: report({"done": done, "of": total, "what": "rollouts"}),
    )
    return commit(folder, shard, rows, began, count_rollouts(rows))


def sample_shard(loaded: LoadedEngine, report: Report, run_path: Path, shard: Shard) -> tuple[Rows, float]:
    """Held-out prompts -> samples, not judged yet, and the seconds they took."""
    from mopd.generate import sample_evaluation

    folder, began = open_shard(run_path, shard), time.monotonic()
    prompts = read_shard(folder, shard.input("prompts"))
    samples = sample_evaluation(
        prompts, loaded.engine, loaded.tokenizer, settings_of(folder), run=folder.run_id, policy_version=shard.round
    )
    return samples, time.monotonic() - began


def verify_shard(_: None, report: Report, run_path: Path, shard: Shard) -> Manifest:
    """rollouts -> verdicts."""
    from mopd.verify import verify

    folder, began = open_shard(run_path, shard), time.monotonic()
    columns = ("run", "round", "prompt_id", "sample", "text", "finish_reason")
    settings, rollouts = settings_of(folder), read_shard(folder, shard.input("rollouts"), columns)
    rows = verify(
        read_shard(folder, shard.input("prompts")),
        rollouts,
        settings.verify,
        progress=lambda done: report({"done": done, "of": len(rollouts), "what": "verdicts"}),
        summarized=bool(instruction_of(settings)),
    )
    return commit(folder, shard, rows, began, count_verdicts(rows))


def judge_shard(_: None, report: Report, run_path: Path, shard: Shard, samples: Rows, seconds: float) -> Manifest:
    """Held-out samples, which took `seconds` -> evaluations."""
    folder, began = open_shard(run_path, shard), time.monotonic() - seconds
    rows = evaluation_rows(read_shard(folder, shard.input("prompts")), samples, settings_of(folder))
    return commit(folder, shard, rows, began, count_evaluations(rows))


def evaluation_rows(prompts: Rows, samples: Rows, settings: Settings) -> Rows:
    """Rows of `evaluations` from samples of held-out prompts."""
    datasets = {prompt["prompt_id"]: prompt["dataset"] for prompt in prompts}
    kept = ("run", "round", "prompt_id", "sample", "policy_version", "token_ids", "text", "finish_reason", "seed")
    return [row | {"dataset": datasets[row["prompt_id"]]} for row in judged_rows(prompts, samples, settings, kept=kept)]


def judged_rows(
    prompts: Rows, samples: Rows, settings: Settings, *, kept: Sequence[str], summarized: bool = False
) -> Rows:
    """Samples with what the verifiers of their prompts say of them; of the samples the columns `kept`.

    `summarized`: they were asked for a summary, which is not judged.
    """
    from mopd.verify import verify

    verdicts = verify(prompts, samples, settings.verify, summarized=summarized)
    judged = ("reward", "success", "prediction", "kind", "sandbox", "sandbox_policy", "error")
    return [
        {name: sample[name] for name in kept} | {name: verdict[name] for name in judged}
        for sample, verdict in zip(samples, verdicts, strict=True)
    ]


def condition_shard(_: None, report: Report, run_path: Path, shard: Shard) -> Manifest:
    """verdicts (and the rollouts and prompts they judge) -> contexts."""
    from mopd.condition import condition

    folder, began = open_shard(run_path, shard), time.monotonic()
    settings = settings_of(folder)
    judged = read_shard(folder, shard.input("verdicts"))
    chosen = chosen_groups(folder, shard, judged, settings.generate)
    if side_of(shard.table) == CONTROL:
        chosen = control_groups(judged, chosen, settings, round=shard.round)
    prompts, rollouts, verdicts = (
        of_groups(rows, chosen)
        for rows in (read_shard(folder, shard.input("prompts")), read_shard(folder, shard.input("rollouts")), judged)
    )
    rows = condition(
        prompts,
        rollouts,
        verdicts,
        condition_of(folder, shard),
        _tokenizer(policy_folder(folder, 0)),
        run_seed=settings.seed,
        earlier=earlier_groups(folder, shard, verdicts),
    )
    left_out = len({row["prompt_id"] for row in judged}) - len(chosen)
    return commit(folder, shard, rows, began, {**count_contexts(rows), "groups": len(chosen), "left_out": left_out})


def earlier_groups(folder: RunFolder, shard: Shard, verdicts: Rows) -> tuple[Rows, Rows]:
    """Rollouts and verdicts of earlier rounds for the prompts of a contexts shard that have no success now."""
    unsolved = {row["prompt_id"] for row in verdicts} - {row["prompt_id"] for row in verdicts if row["success"]}
    rollouts: Rows = []
    judged: Rows = []
    for verdict_shard, rollout_shard in zip(shard.history[::2], shard.history[1::2], strict=True):
        if unsolved and verdict_shard.committed(folder) is not None:  # a round may have needed fewer shards
            found = of_groups(read_shard(folder, verdict_shard), unsolved)
            rollouts += of_groups(read_shard(folder, rollout_shard), unsolved) if found else []
            judged += found
    return rollouts, judged


def score_shard(scorer: Any, report: Report, run_path: Path, shard: Shard) -> Manifest:
    """contexts (and what they stand beside) -> scores; those of the candidate that a probe chose are there already."""
    folder, began = open_shard(run_path, shard), time.monotonic()
    contexts = read_shard(folder, shard.input("contexts"))
    rows = probed_scores(folder, shard, contexts)
    if rows is None:
        chosen = {row["prompt_id"] for row in contexts}
        rollouts, verdicts = (
            of_groups(read_shard(folder, shard.input(name)), chosen) for name in ("rollouts", "verdicts")
        )
        rows = scorer.score(rollouts, verdicts, contexts, policy_version=shard.round) if contexts else []
    return commit(folder, shard, rows, began, count_scores(rows))


def train_policy(_: None, report: Report, run_path: Path, shard: Shard) -> Manifest:
    """Scores of a round -> the next policy, with teacher and optimizer beside it, update rows in its manifest."""
    from mopd.train import train_round

    folder, began = open_shard(run_path, shard), time.monotonic()
    refuse_committed(folder, shard.round)  # trained from other scores: said now, not after hours of training
    settings = settings_of(folder)
    inputs = [one for one in shard.inputs if one.table == "scores"]
    scores = RoundScores(folder, inputs, columns_read(settings))
    num_groups = len({row["prompt_id"] for row in scores.rows})
    groups = {"groups": num_groups, "groups_wanted": settings.generate.num_prompts}
    info: dict[str, Any] = {"version": shard.round + 1, **groups}

    def write(out: Path) -> None:
        updates = train_round(
            scores.rows,
            settings,
            read=scores.read,
            policy_folder=policy_folder(folder, shard.round),
            state_folder=trainer_folder(folder, shard.round) if shard.round else None,
            base_folder=base_folder(folder, shard.round),
            reference_folder=policy_folder(folder, 0),
            out=out,
            round=shard.round,
            progress=report,
        )
        gather_trainer_state(out)
        info.update(steps=len(updates), tokens=sum(row["tokens"] for row in updates), seconds=time.monotonic() - began)
        info["updates"] = updates

    parents = shard.parents(folder)
    return commit_folder(folder, round=shard.round, key=shard.key, parents=parents, info=info, write=write)


def commit_updates(_: None, report: Report, run_path: Path, shard: Shard) -> Manifest:
    """The update rows in the policy's manifest -> updates; then older trainer states are removed."""
    folder = RunFolder.open(run_path)
    policy = manifest_of(folder, shard.input("policies"))
    rows = [{"run": folder.run_id, **row} for row in policy.info["updates"]]
    manifest = commit(folder, shard, rows, time.monotonic(), {"steps": len(rows)})
    for old in range(shard.round - settings_of(folder).train.keep_trainer_states + 1):
        remove_trainer_state(folder, old)
    return manifest


@cache
def _tokenizer(folder: Path) -> Any:
    from mopd.models.folders import load_tokenizer

    return load_tokenizer(folder)
