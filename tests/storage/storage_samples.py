"""Small rows of every table, and shards made of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from storage.runs import RunFolder
from storage.schemas import SCHEMAS, SIGNALS
from storage.shards import Manifest, commit_folder, commit_shard, shard_key

Rows = list[dict[str, Any]]
NUM_TOKENS, SUPPORT = 3, 4
PEER = {"role": "first_success", "round": 0, "prompt_id": "a", "sample": 1, "success": True}
PEER |= {"fallback": False, "cut": False, "tokens": NUM_TOKENS}


def columns_of(table: str) -> dict[str, Any]:
    """One row's columns beyond the keys."""
    ids = np.arange(NUM_TOKENS, dtype=np.int32)
    logps_t = np.linspace(-1, 0, NUM_TOKENS, dtype=np.float32)
    matrix_tk = np.arange(NUM_TOKENS * SUPPORT, dtype=np.float32).reshape(NUM_TOKENS, SUPPORT)
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 7 + 8?"}]
    said = {"text": "15.", "finish_reason": "stop", "seed": 2**62, "token_ids": ids, "policy_version": 0}
    sampled = {"prompt_token_ids": ids, "token_ids": ids, "temperature": 0.8, "behavior_logprobs": logps_t}
    judged: dict[str, Any] = {"reward": 1.0, "success": True, "prediction": "15", "error": None}
    judged |= {"kind": None, "sandbox": None, "sandbox_policy": None}
    columns: dict[str, dict[str, Any]] = {
        "prompts": {
            "dataset": "sums",
            "split": "train",
            "verifier": "last_number",
            "answer": "15",
            "tests": None,
            "metadata": "{}",
        }
        | {"messages": chat},
        "rollouts": said | sampled,
        "verdicts": judged | {"feedback": "Right.", "seconds": 0.01},
        "contexts": {"variant": "positive", "rendering": "turns", "first_success": 1, "second_success": None}
        | {"failure": None, "peers": [PEER], "messages": chat, "top_ups": 0}
        | {"imitated_sections": None, "imitated_tokens": None}
        | {"context_token_ids": ids, "num_tokens": NUM_TOKENS, "dropped": [], "truncated": False}
        | {"has_sections": True, "no_section_reason": None, "context_digest": "c0ffee"},
        "scores": sampled
        | {"teacher": "ema", "teacher_version": 0, "policy_version": 0, "proximal_logprobs": logps_t}
        | {"teacher_logprobs": logps_t, "reference_logprobs": None, "support_ids": matrix_tk.astype(np.int64)}
        | {"support_teacher_logprobs": -matrix_tk, "support_student_logprobs": None, "advantage": 0.5}
        | {"distill": True, "mean_teacher_logprob": -0.5, "context_digest": "c0ffee"},
        "signals": {"variant": "positive", "teacher": "ema", "teacher_version": 0, "num_rollouts": 4, "num_scored": 3}
        | {"num_successes": 1, "success_share": 0.25, **dict.fromkeys(SIGNALS, 0.5), "success_auc": None}
        | {"context_tokens": 12.0, "response_tokens": 3.0, "cut_share": 0.0, "sections_share": 1.0}
        | {"undefined": "one outcome"},
        "answers": said | judged | {"variant": "positive", "context_digest": "c0ffee"},
        "choices": {"chosen": True, "condition": "{}", "num_prompts": 2, "num_null": 0, "student": 0.25}
        | {"self_teacher": 0.5, "gap": 0.25, "gap_low": None, "gap_high": None, "success_auc": 0.75}
        | {"pairwise_accuracy": None, "why": "largest gap"},
        "guards": {"value": 0.5, "reference": 1.0, "reference_round": 0, "bound": 0.25, "breached": True}
        | {"action": "warn", "why": "too little"},
        "rejudged": {"dataset": "sums", "judge_before": "numeric", "judge_after": "math", "context_changed": True}
        | {"reward_before": 1.0, "reward_after": 0.0, "success_before": True, "success_after": False}
        | {"prediction_before": "15", "prediction_after": None, "error_before": None, "error_after": None}
        | {"group_before": "mixed", "group_after": "none", "roles_changed": ["failure"]}
        | {"advantage_before": 0.5, "advantage_after": None},
        "updates": {"loss": 0.7, "distill_loss": 0.6, "policy_loss": 0.1, "grad_norm": 1.0, "learning_rate": 1e-5}
        | {"objective": "distill", "kl": None, "policy_clipped": None, "pairs": None, "pair_accuracy": None}
        | {"importance_mean": 1.0, "importance_max": 1.5, "importance_clipped": 0.0, "skipped": None}
        | {"tokens": 12, "seconds": 0.5},
        "evaluations": said | judged | {"dataset": "sums"},
    }
    return columns[table]


def make_rows(table: str, run: str, *, round: int = 0, prompts: tuple[str, ...] = ("a", "b"), samples: int = 2) -> Rows:
    """Rows of whole groups; one a prompt for prompts, `samples` steps for updates."""
    columns = columns_of(table)
    keys = {"run": run, "round": round}
    if table == "updates":
        return [{**keys, "step": step, **columns} for step in range(samples)]
    if table == "choices":
        return [{**keys, "candidate": "positive", **columns}]
    if table == "guards":
        return [{**keys, "guard": "entropy", **columns}]
    if table == "signals":
        both = [(prompt, population) for prompt in prompts for population in ("all", "sections")]
        return [{**keys, "prompt_id": prompt, "population": population, **columns} for prompt, population in both]
    if table == "prompts":
        return [{**keys, "prompt_id": prompt, **columns} for prompt in prompts]
    return [{**keys, "prompt_id": prompt, "sample": i, **columns} for prompt in prompts for i in range(samples)]


def key_of(*parts: Any) -> str:
    """A key that depends on all parts."""
    return shard_key("test", version=1, settings={}, model="m", inputs=[str(part) for part in parts], seed=0, shard=0)


def commit(
    run: RunFolder, table: str, rows: Rows, *, round: int = 0, shard: int = 0, key: str = "", name: str = ""
) -> Manifest:
    """Commit with the defaults that most tests want."""
    chosen = key or key_of(table, round, shard, name)
    return commit_shard(run, table, round=round, shard=shard, key=chosen, rows=rows, parents=[], info={}, name=name)


def fill(run: RunFolder, round: int = 0) -> None:
    """One shard of every table."""
    for table in SCHEMAS:
        commit(run, table, make_rows(table, run.run_id, round=round), round=round)


def write_weights(folder: Path, weights: bytes = b"weights") -> None:
    """A policy folder as training writes it, in miniature."""
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text("{}")
    (folder / "trainer").mkdir()
    (folder / "trainer" / "optimizer.pt").write_bytes(b"state")


def commit_policy(run: RunFolder, *, round: int = 0, key: str = "", weights: bytes = b"weights") -> Manifest:
    """The policy of a round."""
    write = partial(write_weights, weights=weights)
    return commit_folder(run, round=round, key=key or key_of(round), parents=[], info={}, write=write)
