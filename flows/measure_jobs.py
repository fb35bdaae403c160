"""Jobs that measure contexts: signals, the student's answers under a context, the choice among candidates."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from flows.choices import chosen, condition_of
from flows.info import count_evaluations
from flows.jobs import LoadedEngine, engine_of, judged_rows
from flows.shard import Shard
from flows.shard_rows import Rows, commit, open_shard, read_shard
from flows.stage_settings import PROBE, open_at, settings_of
from flows.worker import Report
from storage.schemas import side_of
from storage.shards import Manifest

CONTEXT_COLUMNS = ("run", "round", "prompt_id", "sample", "peers", "num_tokens", "truncated")
SCORE_COLUMNS = (
    *("prompt_id", "sample", "teacher", "teacher_version"),
    *("mean_teacher_logprob", "teacher_logprobs", "proximal_logprobs"),
)


def measure_shard(_: None, report: Report, run_path: Path, shard: Shard) -> Manifest:
    """scores (with the verdicts and contexts that they stand beside) -> signals."""
    from mopd.measures.signals import signal_rows

    folder, began = open_shard(run_path, shard), time.monotonic()
    contexts = read_shard(folder, shard.input("contexts"), CONTEXT_COLUMNS)
    verdicts = read_shard(folder, shard.input("verdicts"), ("prompt_id", "sample", "reward", "success"))
    scores = read_shard(folder, shard.input("scores"), SCORE_COLUMNS)
    rows = signal_rows(verdicts, contexts, scores, condition_of(folder, shard.input("contexts")).variant)
    return commit(folder, shard, rows, began, {"groups": len({row["prompt_id"] for row in rows})})


def load_answerer(run_path: Path, version: int, side: str = "") -> LoadedEngine:
    """The engine with policy `version`, with room for a context before the reply."""
    folder = open_at(run_path, version, side)
    settings = settings_of(folder)
    roomy = settings.generate.model_copy(update={"max_prompt_tokens": settings.condition.max_context_tokens})
    return engine_of(folder, version, roomy)


def answer_shard(loaded: LoadedEngine, report: Report, run_path: Path, shard: Shard) -> tuple[Rows, float]:
    """contexts -> what the student replies under them, not judged yet, and the seconds that it took."""
    from mopd.measures.probe import answer

    folder, began = open_shard(run_path, shard), time.monotonic()
    settings = settings_of(folder)
    contexts = read_shard(folder, shard.input("contexts"))
    rows = answer(
        contexts,
        loaded.engine,
        loaded.tokenizer,
        settings.generate,
        seed=settings.seed,
        policy_version=shard.round,
        progress=lambda done: report({"done": done, "of": len(contexts), "what": "answers"}),
    )
    return rows, time.monotonic() - began


def judge_answers(_: None, report: Report, run_path: Path, shard: Shard, samples: Rows, seconds: float) -> Manifest:
    """Answers that took `seconds` -> answers with verdicts."""
    from mopd.contexts.summaries import instruction_of
    from mopd.measures.probe import ANSWER_COLUMNS

    folder, began = open_shard(run_path, shard), time.monotonic() - seconds
    prompts, settings = read_shard(folder, shard.input("prompts")), settings_of(folder)
    summarized = bool(instruction_of(settings))
    rows = judged_rows(prompts, samples, settings, kept=ANSWER_COLUMNS, summarized=summarized)
    return commit(folder, shard, rows, began, count_evaluations(rows))


def choose_shard(_: None, report: Report, run_path: Path, shard: Shard) -> Manifest:
    """signals and answers of all candidates (and the verdicts before them) -> choices."""
    from mopd.measures.probe import choice_rows
    from mopd.settings.condition import AutoVariant

    folder, began = open_shard(run_path, shard), time.monotonic()
    settings = settings_of(folder)
    variant = settings.condition.variant
    assert isinstance(variant, AutoVariant), "only a probe chooses"
    judged: Rows = []
    for one in {one.input("verdicts").key: one.input("verdicts") for one in shard.inputs}.values():
        judged += read_shard(folder, one, ("prompt_id", "sample", "success"))
    tried = {choice.name: _tried(folder, shard, choice.name) for choice in variant.choices()}
    rows = choice_rows(
        tried,
        judged,
        conditions={one.name: one.condition(settings.condition).model_dump_json() for one in variant.choices()},
        run=folder.run_id,
        round=shard.round,
        num_samples=settings.evaluate.bootstrap_samples,
        seed=settings.seed,
    )
    best = chosen(rows)
    return commit(folder, shard, rows, began, {"chosen": best["candidate"], "why": best["why"]})


def _tried(folder: Any, shard: Shard, name: str) -> tuple[Rows, Rows]:
    """Signals and answers of one candidate."""
    found: dict[str, Rows] = {"signals": [], "answers": []}
    for one in shard.inputs:
        if side_of(one.table) == f"{PROBE}{name}":
            found[one.table.partition("@")[0]] += read_shard(folder, one)
    return found["signals"], found["answers"]
