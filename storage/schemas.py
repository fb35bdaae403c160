"""Arrow schemas of all tables: their column names are the project's vocabulary."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

Row = dict[str, Any]
INTS = pa.list_(pa.int32())
FLOATS = pa.list_(pa.float32())
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_PEER = {"role": pa.string(), "round": pa.int32(), "prompt_id": pa.string(), "sample": pa.int32()}
_PEER |= {"success": pa.bool_(), "fallback": pa.bool_(), "cut": pa.bool_(), "tokens": pa.int32()}
PEERS = pa.list_(pa.struct(_PEER))


def _schema(keys: dict[str, pa.DataType], columns: dict[str, pa.DataType], nullable: str = "") -> pa.Schema:
    """Keys and columns are required, but for the names in `nullable` (separated by blanks)."""
    optional = nullable.split()
    assert set(optional) <= set(columns), f"nullable columns that do not exist: {set(optional) - set(columns)}"
    return pa.schema([pa.field(name, kind, name in optional) for name, kind in {**keys, **columns}.items()])


def _before_after(name: str, kind: pa.DataType) -> dict[str, pa.DataType]:
    """What two verdicts, or what follows from them, say of the same."""
    return {f"{name}_before": kind, f"{name}_after": kind}


SIGNALS = (
    *("spearman", "kendall_tau_b", "goodman_kruskal_gamma", "pairwise_accuracy", "success_auc", "point_biserial"),
    *("brier_sigmoid", "brier_minmax", "top1_hit_rate", "gain_auc", "length_auc", "length_spearman"),
)
"""How the scores of a group agree with its verdicts: `mopd.measures.signals` says what each is."""

_ROUND = {"run": pa.string(), "round": pa.int32()}
_PROMPT = {**_ROUND, "prompt_id": pa.string()}
_SAMPLE = {**_PROMPT, "sample": pa.int32()}
_REPLY = {"token_ids": INTS, "text": pa.string(), "finish_reason": pa.string()}
_JUDGED = {"reward": pa.float64(), "success": pa.bool_()}
_JUDGED |= dict.fromkeys(("prediction", "kind", "sandbox", "sandbox_policy", "error"), pa.string())
_SHAPES = ("context_tokens", "response_tokens", "cut_share", "sections_share")
_GAINS = ("student", "self_teacher", "gap", "gap_low", "gap_high", "success_auc", "pairwise_accuracy")

SCHEMAS: dict[str, pa.Schema] = {
    "prompts": _schema(
        _PROMPT,
        {
            "dataset": pa.string(),
            "split": pa.string(),
            "messages": MESSAGES,
            "verifier": pa.string(),
            "answer": pa.string(),
            "tests": pa.string(),
            "metadata": pa.string(),
        },
        nullable="dataset split answer tests metadata",
    ),
    "rollouts": _schema(
        _SAMPLE,
        {
            "policy_version": pa.int32(),
            "prompt_token_ids": INTS,
            "token_ids": INTS,
            "text": pa.string(),
            "behavior_logprobs": FLOATS,
            "finish_reason": pa.string(),
            "temperature": pa.float32(),
            "seed": pa.int64(),
        },
    ),
    "verdicts": _schema(
        _SAMPLE,
        {
            "reward": pa.float64(),
            "success": pa.bool_(),
            "prediction": pa.string(),
            "feedback": pa.string(),
            "kind": pa.string(),
            "sandbox": pa.string(),
            "sandbox_policy": pa.string(),
            "error": pa.string(),
            "seconds": pa.float64(),
        },
        nullable="reward success prediction feedback kind sandbox sandbox_policy error seconds",
    ),
    "contexts": _schema(
        _SAMPLE,
        {
            "variant": pa.string(),
            "rendering": pa.string(),
            "first_success": pa.int32(),
            "second_success": pa.int32(),
            "failure": pa.int32(),
            "peers": PEERS,
            "top_ups": pa.int32(),
            "imitated_sections": pa.int32(),
            "imitated_tokens": pa.int32(),
            "messages": MESSAGES,
            "context_token_ids": INTS,
            "num_tokens": pa.int32(),
            "dropped": pa.list_(pa.string()),
            "truncated": pa.bool_(),
            "has_sections": pa.bool_(),
            "no_section_reason": pa.string(),
            "context_digest": pa.string(),
        },
        nullable="first_success second_success failure imitated_sections imitated_tokens no_section_reason",
    ),
    "scores": _schema(
        _SAMPLE,
        {
            "teacher": pa.string(),
            "teacher_version": pa.int32(),
            "policy_version": pa.int32(),
            "prompt_token_ids": INTS,
            "token_ids": INTS,
            "temperature": pa.float32(),
            "behavior_logprobs": FLOATS,
            "proximal_logprobs": FLOATS,
            "teacher_logprobs": FLOATS,
            "reference_logprobs": FLOATS,
            "support_ids": pa.list_(INTS),
            "support_teacher_logprobs": pa.list_(FLOATS),
            "support_student_logprobs": pa.list_(FLOATS),
            "advantage": pa.float32(),
            "distill": pa.bool_(),
            "mean_teacher_logprob": pa.float64(),
            "context_digest": pa.string(),
        },
        nullable="reference_logprobs support_ids support_teacher_logprobs support_student_logprobs advantage "
        "mean_teacher_logprob",
    ),
    "signals": _schema(
        {**_PROMPT, "population": pa.string()},
        {
            "variant": pa.string(),
            "teacher": pa.string(),
            "teacher_version": pa.int32(),
            **dict.fromkeys(("num_rollouts", "num_scored", "num_successes"), pa.int32()),
            "success_share": pa.float64(),
            **dict.fromkeys(SIGNALS, pa.float64()),
            **dict.fromkeys(_SHAPES, pa.float64()),
            "undefined": pa.string(),
        },
        nullable=" ".join(("success_share", *SIGNALS, *_SHAPES, "undefined")),
    ),
    "answers": _schema(
        _SAMPLE,
        {
            "variant": pa.string(),
            "policy_version": pa.int32(),
            "context_digest": pa.string(),
            **_REPLY,
            **_JUDGED,
            "seed": pa.int64(),
        },
        nullable=" ".join(_JUDGED),
    ),
    "choices": _schema(
        {**_ROUND, "candidate": pa.string()},
        {
            "chosen": pa.bool_(),
            "condition": pa.string(),
            "num_prompts": pa.int32(),
            "num_null": pa.int32(),
            **dict.fromkeys(_GAINS, pa.float64()),
            "why": pa.string(),
        },
        nullable=" ".join((*_GAINS, "why")),
    ),
    "guards": _schema(
        {**_ROUND, "guard": pa.string()},
        {
            "value": pa.float64(),
            "reference": pa.float64(),
            "reference_round": pa.int32(),
            "bound": pa.float64(),
            "breached": pa.bool_(),
            "action": pa.string(),
            "why": pa.string(),
        },
        nullable="value reference reference_round bound action",
    ),
    "rejudged": _schema(
        _SAMPLE,
        {
            "dataset": pa.string(),
            **_before_after("judge", pa.string()),
            **_before_after("reward", pa.float64()),
            **_before_after("success", pa.bool_()),
            **_before_after("prediction", pa.string()),
            **_before_after("error", pa.string()),
            **_before_after("group", pa.string()),
            **_before_after("advantage", pa.float64()),
            "context_changed": pa.bool_(),
            "roles_changed": pa.list_(pa.string()),
        },
        nullable="dataset reward_before reward_after success_before success_after prediction_before prediction_after "
        "error_before error_after group_before group_after advantage_before advantage_after context_changed",
    ),
    "updates": _schema(
        {**_ROUND, "step": pa.int32()},
        {
            "objective": pa.string(),
            "loss": pa.float64(),
            "distill_loss": pa.float64(),
            "policy_loss": pa.float64(),
            "kl": pa.float64(),
            "policy_clipped": pa.float64(),
            "pairs": pa.int64(),
            "pair_accuracy": pa.float64(),
            "grad_norm": pa.float64(),
            "learning_rate": pa.float64(),
            "importance_mean": pa.float64(),
            "importance_max": pa.float64(),
            "importance_clipped": pa.float64(),
            "skipped": pa.string(),
            "tokens": pa.int64(),
            "seconds": pa.float64(),
        },
        nullable="loss distill_loss policy_loss kl policy_clipped pairs pair_accuracy grad_norm "
        "importance_mean importance_max importance_clipped skipped seconds",
    ),
    "evaluations": _schema(
        _SAMPLE,
        {
            "policy_version": pa.int32(),
            "dataset": pa.string(),
            **_REPLY,
            **_JUDGED,
            "seed": pa.int64(),
        },
        nullable=" ".join(("dataset", *_JUDGED)),
    ),
}

LONG = frozenset(
    (
        *(
            "text",
            "messages",
            "answer",
            "tests",
            "metadata",
            "prediction",
            "feedback",
            "error",
            "context_digest",
            "why",
        ),
        *("prediction_before", "prediction_after", "error_before", "error_after"),
    )
)
"""Columns of text of any length, or that differs from row to row: the others are small (`storage.index`)."""

LENGTHS = {table: {"num_tokens": "token_ids"} for table in ("rollouts", "answers", "evaluations")}
"""Columns that a table has in SQL beside those of its files: the lengths of its lists."""

NAME_COLUMNS = {
    **dict.fromkeys(("contexts", "scores", "signals", "answers", "rejudged"), "condition"),
    "evaluations": "model",
}
"""The column that a table has in SQL beside those of its files: the name that a shard's manifest gives all its rows, of
the context they were made under, or of the model that was asked. "" for what the run itself trains on, or trained.
Of other tables SQL has the run's own rows alone: verdicts of another verifier lie among them, by their keys."""

_KEYS = ("run", "round", "prompt_id", "sample", "step", "population", "candidate", "guard")


def key_columns(table: str) -> list[str]:
    """Columns of a table that tell apart its rows of one name, in sorting order."""
    return [column for column in SCHEMAS[table].names if column in _KEYS]


def is_numeric_list(kind: pa.DataType) -> bool:
    """Whether `kind` is list<number> or list<list<number>>: what rows hold as numpy arrays."""
    if not pa.types.is_list(kind):
        return False
    item = kind.value_type
    return pa.types.is_integer(item) or pa.types.is_floating(item) or is_numeric_list(item)


def column_types(schema: pa.Schema) -> dict[str, str]:
    """A schema as plain text by column, as manifests keep it."""
    return {field.name: f"{field.type}{'' if field.nullable else ' not null'}" for field in schema}
