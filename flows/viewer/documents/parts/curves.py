"""The curves of a run, from where its numbers are already made: `mopd status`, the named queries, `updates`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flows.report.figure import Mark
from flows.report.status.text import evaluation_table
from flows.report.table import Column, Table
from flows.report.text import finite
from flows.viewer.documents.parts.curve import Curve
from flows.viewer.documents.viewed import Json, ViewedRun
from mopd.measures.comparison import METRICS
from mopd.measures.estimate import Estimate
from storage.sql.named import find_query

PERCENT: dict[str, Any] = {"form": ".1f", "scale": 100, "unit": " %"}
CHANCE = Mark(0.5, "chance", dash=(4, 3))
NOT_TRAINED = "No optimizer step has been made yet."
NOT_SAMPLED = "Nothing has been sampled yet."
MOST_TOKENS = 500_000
"""Whose log-probabilities are read for the entropy: a fraction of a second."""

_TOKENS = "SELECT round, sum(num_tokens)::BIGINT AS tokens FROM rollouts GROUP BY round"

_STEPS = """
SELECT
    step, round, loss, distill_loss, policy_loss, kl, grad_norm, learning_rate,
    importance_mean, importance_max, importance_clipped, tokens, seconds, skipped
FROM updates ORDER BY round, step
"""


def run_curves(run: ViewedRun) -> list[Curve]:
    """Every curve that a run may have, in the order in which it is read."""
    status = run.status
    rounds, evaluations = (status["rounds"], status["evaluations"]) if status else ([], [])
    steps: list[Json] = finite(run.ask(_STEPS))
    return [
        _heldout(evaluations),
        _success(rounds),
        *_of_steps(steps),
        _entropy(run),
        _length(run),
        _teacher([entry for entry in rounds if entry["signals"]]),
    ]


def _heldout(evaluations: Sequence[Json]) -> Curve:
    table = replace(evaluation_table([entry for entry in evaluations if entry["mean_at_k"] is not None]), title="")
    return Curve(
        "heldout",
        "Held-out success",
        "Of each policy that was evaluated, by rounds of training; bands: 95 % bootstrap intervals over prompts.",
        table,
        [column.key for column in table.columns if column.key.split("@")[0] in METRICS],
        missing="No policy has been evaluated yet." if evaluations else "The run evaluates no policy.",
        limits=(0, 100),
    )


def _success(rounds: Sequence[Json]) -> Curve:
    rows = [
        {**entry, "mixed": entry["mixed_groups"] / entry["groups"] if entry["groups"] else None}
        for entry in rounds
        if entry["pass_rate"] is not None
    ]
    columns = [
        Column("round"),
        Column("pass_rate", "pass rate", **PERCENT),
        Column("mixed", "groups with both outcomes", **PERCENT),
        Column("mixed_groups", "groups with both"),
        Column("groups"),
        Column("null_verdicts", "no verdict", optional=True),
    ]
    return Curve(
        "success",
        "Success in training",
        "Of the rollouts that were judged, and how many groups have successes and failures: only these have a peer to "
        "learn from on either side. Rounds may ask other prompts.",
        Table(columns, rows),
        ("pass_rate", "mixed"),
        missing="No round has been judged yet.",
        limits=(0, 100),
    )


def _of_steps(steps: Sequence[Json]) -> list[Curve]:
    return [
        _of_updates(
            steps,
            "loss",
            "Loss",
            "Of each optimizer step. Distillation: the divergence of the student from its teacher.",
            {
                "loss": "loss",
                **_unlike_loss(steps, distill_loss="distillation", policy_loss="policy gradient", kl="KL"),
            },
        ),
        _of_updates(
            steps,
            "gradient",
            "Gradient norm",
            "Before clipping, of each optimizer step.",
            {"grad_norm": "gradient norm"},
            extra=[Column("learning_rate", "learning rate", ".3g"), Column("skipped", optional=True)],
        ),
        _of_updates(
            steps,
            "importance",
            "Importance ratio",
            "Of the policy that is trained to the one that sampled, over the tokens of each optimizer step.",
            {"importance_mean": "mean", "importance_max": "largest"},
            extra=[Column("importance_clipped", "tokens truncated", **PERCENT)],
            missing="train.importance is none: nothing is weighed." if steps else NOT_TRAINED,
        ),
    ]


def _of_updates(
    steps: Sequence[Json],
    name: str,
    title: str,
    about: str,
    drawn: dict[str, str],
    *,
    extra: Sequence[Column] = (),
    missing: str = NOT_TRAINED,
) -> Curve:
    columns = [Column("step", "optimizer step"), Column("round")]
    columns += [Column(key, label, ".4g") for key, label in drawn.items()]
    columns += [*extra, Column("tokens"), Column("seconds", form=".1f")]
    return Curve(name, title, about, Table(columns, steps), tuple(drawn), missing)


def _unlike_loss(steps: Sequence[Json], **named: str) -> dict[str, str]:
    """Parts of the loss that say more than it does: not all of it, nor nothing."""
    return {key: label for key, label in named.items() if any(row[key] and row[key] != row["loss"] for row in steps)}


def _entropy(run: ViewedRun) -> Curve:
    rows, left_out = _entropies(run)
    columns = [Column("round"), Column("entropy", form=".3f", unit=" nats a token")]
    about = (
        "Of the replies that training sampled: minus the mean log-probability of their tokens. It falls to 0 where a "
        "policy collapses."
    )
    if rows and left_out:
        about += f" {left_out}"
    return Curve("entropy", "Entropy", about, Table(columns, rows), ("entropy",), left_out or NOT_SAMPLED)


def _entropies(run: ViewedRun) -> tuple[list[Json], str]:
    """By round, as the guards noted it; of rounds that they didn't ask, by all their tokens, where these are few. Then
    why some are left out, or ""."""
    noted = run.ask("SELECT round, value AS entropy FROM guards WHERE guard = 'entropy' AND value IS NOT NULL")
    sizes = {row["round"]: row["tokens"] for row in run.ask(_TOKENS)}
    open = sorted(sizes.keys() - {row["round"] for row in noted})
    asked, left_out = [], ""
    if sum(sizes[round] for round in open) > MOST_TOKENS:
        rounds = f"round {open[0]}" if len(open) == 1 else f"{len(open)} rounds"
        left_out = f"No guard measured it in {rounds}. That takes a while: mopd sql RUN --named entropy_and_length"
    else:
        asked = run.ask(f"SELECT round, entropy FROM ({_replies()}) WHERE round IN (FROM unnest($open))", open=open)
    return sorted([*noted, *asked], key=lambda row: row["round"]), left_out


def _length(run: ViewedRun) -> Curve:
    columns = [
        Column("round"),
        Column("mean_tokens", "mean length", ".1f", unit=" tokens"),
        Column("max_tokens", "longest"),
        Column("cut_share", "cut", **PERCENT),
        Column("replies"),
    ]
    rows = run.ask(f"SELECT {', '.join(column.key for column in columns)} FROM ({_replies()}) ORDER BY round")
    about = "Mean length of the replies that training sampled."
    return Curve("length", "Length of replies", about, Table(columns, rows), ("mean_tokens",), NOT_SAMPLED)


def _replies() -> str:
    """Of it only those columns are computed that are asked for."""
    return find_query("entropy_and_length").sql


def _teacher(entries: Sequence[Json]) -> Curve:
    columns = [
        Column("round"),
        Column("auc", "teacher", ".2f"),
        Column("control", "control", ".2f"),
        Column("same", "teacher, on the control's prompts", ".2f"),
        Column("gain_auc", "teacher minus student", ".2f"),
        Column("context"),
        Column("prompts"),
        Column("control_context", "control's context", optional=True),
        Column("control_prompts", "control's prompts", optional=True),
    ]
    return Curve(
        "teacher",
        "Teacher against verifier",
        "Success AUC: how often a right reply has a higher mean teacher log-probability than a wrong one of its group. "
        "The control is shown random peers: a context that does no better teaches by its length or style.",
        Table(columns, [_teacher_row(entry) for entry in entries]),
        ("auc", "control", "same"),
        missing="No group had right and wrong replies to tell apart." if entries else "No round has measured it yet.",
        limits=(0, 1),
        marks=[CHANCE],
    )


def _teacher_row(entry: Json) -> Json:
    signals = entry["signals"]
    control = signals["control"] or {}
    num = signals["num_prompts"]
    return {
        "round": entry["round"],
        "auc": Estimate.of(signals["success_auc"], signals["interval"], num),
        "control": control.get("success_auc"),
        "same": control.get("own_success_auc"),
        "gain_auc": signals["gain_auc"],
        "context": signals["variant"],
        "prompts": num,
        "control_context": control.get("variant"),
        "control_prompts": control.get("num_prompts"),
    }
