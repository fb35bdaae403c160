"""How a rollout was read in one context: what its teacher was shown, and what it thought of each token.

Axes: T tokens of the reply, K ids of the support.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flows.viewer.documents.rollouts.group_rows import GroupRows
from flows.viewer.documents.viewed import Json
from mopd.contexts.spans import find_spans
from mopd.measures.token_losses import token_losses
from mopd.objectives.carried import why_no_loss
from mopd.settings import Settings
from storage.schemas import Row

DIGITS, TOP_DIGITS = 3, 2
"""Of numbers of the sampled tokens; of the likeliest ones, of which there are many."""
LEAST_LOGP = np.log(1e-3)
"""Of an id that is worth a line: one of the likeliest that neither model gives 0.1 % is left out, but for the first."""
UNREADABLE = "the run's settings can't be read"
OTHER_CONTEXT = "another context: it was only looked at"


def reading(group: GroupRows, sample: int, condition: str, settings: Settings | None, num_top: int) -> Json | None:
    """The reading of one rollout under a condition, None without one; `num_top`: likeliest tokens of each model."""
    context, score = (group.of(table, condition).get(sample) for table in ("contexts", "scores"))
    if context is None and score is None:
        return None
    return {
        "condition": condition,
        "context": None if context is None else _context(context),
        "score": None if score is None else _score(score, settings),
        "untrained": _why_untrained(group, sample, condition, settings),
        "top": None if score is None else top_tokens(score, num_top),
        "no_top": _why_no_top(score, settings),
    }


def _context(context: Row) -> Json:
    """What the teacher was shown, and where in it each peer stands."""
    spans = find_spans(context["messages"], context["peers"], context["rendering"])
    names = ("variant", "rendering", "messages", "peers", "num_tokens", "dropped", "no_section_reason")
    return {**{name: context[name] for name in names}, "spans": [span._asdict() for span in spans]}


def _score(score: Row, settings: Settings | None) -> Json:
    """Token by token, in nats."""
    names = ("teacher", "teacher_version", "policy_version", "advantage", "distill")
    logps = {"student": "proximal_logprobs", "teacher_logps": "teacher_logprobs", "reference": "reference_logprobs"}
    return {
        **{name: score[name] for name in names},
        **{name: rounded(score[column], DIGITS) for name, column in logps.items()},
        "loss": _loss(score, settings),
    }


def _loss(score: Row, settings: Settings | None) -> Json:
    if settings is None:
        return {"kind": None, "values": None, "why_none": UNREADABLE}
    losses = token_losses(score, settings.train)
    return {"kind": losses.kind, "values": significant(losses.values_T, DIGITS), "why_none": losses.why_none}


def _why_untrained(group: GroupRows, sample: int, condition: str, settings: Settings | None) -> str | None:
    """Why the objective gives the rollout's tokens no loss; None where it does."""
    if condition:
        return OTHER_CONTEXT
    if settings is None:
        return UNREADABLE
    rows = {number: _training_row(group, number) for number in group.of("rollouts")}
    if rows[sample] is None:
        return "not scored"
    return why_no_loss(rows[sample] or {}, [row for row in rows.values() if row is not None], settings.train)


def _training_row(group: GroupRows, sample: int) -> Row | None:
    rollout, score = group.of("rollouts")[sample], group.of("scores").get(sample)
    verdict = group.of("verdicts").get(sample, {"reward": None, "success": None})
    if score is None:
        return None
    judged = {name: verdict[name] for name in ("reward", "success")}
    scored = {name: score[name] for name in ("advantage", "distill")}
    return {"num_tokens": len(rollout["token_ids"]), "finish_reason": rollout["finish_reason"], **judged, **scored}


def top_tokens(score: Row, num: int) -> Json | None:
    """At each token the likeliest ids of the support by the teacher and by the student, the teacher's likeliest first.

    `student` is null where it isn't kept, and at ids where only the teacher's is. None without a support.
    """
    ids_TK, teacher_TK = score["support_ids"], score["support_teacher_logprobs"]
    if ids_TK is None or not ids_TK.size:
        return None
    is_id_TK = ids_TK >= 0
    student_TK = _student(score["support_student_logprobs"], ids_TK.shape)
    chosen_TK = _is_top(np.where(is_id_TK, teacher_TK, -np.inf), num) & is_id_TK
    if student_TK is not None:
        chosen_TK |= _is_top(np.where(np.isnan(student_TK), -np.inf, student_TK), num) & is_id_TK
    order_TK = np.argsort(np.where(chosen_TK, -teacher_TK, np.inf), axis=1, kind="stable")
    counts = chosen_TK.sum(axis=1).tolist()

    def cut(values_TK: np.ndarray | None) -> list[list[Any]] | None:
        if values_TK is None:
            return None
        rows = rounded(np.take_along_axis(values_TK, order_TK, axis=1)[:, : max(counts)], TOP_DIGITS) or []
        return [row[:count] for row, count in zip(rows, counts, strict=True)]

    return {"num": num, "ids": cut(ids_TK), "teacher": cut(teacher_TK), "student": cut(student_TK)}


def _student(kept_TK: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """The student on all of the support; NaN at ids that only the teacher's top k has, which stand last."""
    if kept_TK is None or not kept_TK.size:
        return None
    missing = np.full((shape[0], shape[1] - kept_TK.shape[1]), np.nan, kept_TK.dtype)
    return np.concatenate([kept_TK, missing], axis=1)


def _is_top(logps_TK: np.ndarray, num: int) -> np.ndarray:
    """Which are among the `num` largest of their position, and not all but impossible; the largest in any case."""
    top_TK = np.argsort(-logps_TK, axis=1, kind="stable")[:, :num]
    is_top_TK = np.zeros(logps_TK.shape, bool)
    np.put_along_axis(is_top_TK, top_TK, True, axis=1)
    is_top_TK &= logps_TK >= LEAST_LOGP
    np.put_along_axis(is_top_TK, top_TK[:, :1], True, axis=1)
    return is_top_TK


def _why_no_top(score: Row | None, settings: Settings | None) -> str | None:
    """What is missing of the models' distributions, and which setting keeps it; None where nothing is."""
    if score is None:
        return "not scored"
    if score["support_ids"] is None:
        if settings is None:
            return UNREADABLE
        if settings.train.objective.kind == "distill" and settings.score.support == "full":
            return "score.support is full: no distribution is kept beside the sampled tokens"
        return f"{settings.train.objective.kind} needs no distributions here: only the sampled tokens' are kept"
    if score["support_student_logprobs"] is None:
        return "of the student only the sampled tokens are kept (score.keep_student, score.support)"
    return None


def rounded(values: np.ndarray | None, digits: int) -> list[Any] | None:
    """As JSON has them: rounded, what is no number null."""
    if values is None:
        return None
    if not np.issubdtype(values.dtype, np.floating):
        return values.tolist()  # type: ignore[no-any-return]
    exact = np.round(values.astype(np.float64), digits) + 0.0  # without -0.0
    return (exact if np.isfinite(exact).all() else _with_nulls(exact)).tolist()  # type: ignore[no-any-return]


def significant(values: np.ndarray | None, digits: int) -> list[Any] | None:
    """The same with so many significant digits: for numbers of any size."""
    if values is None:
        return None
    exact = values.astype(np.float64)
    size = np.floor(np.log10(np.abs(exact), where=exact != 0, out=np.zeros_like(exact)))
    factor = 10.0 ** (digits - 1 - size)
    return rounded(np.round(exact * factor) / factor, 15)


def _with_nulls(values: np.ndarray) -> np.ndarray:
    shown = values.astype(object)
    shown[~np.isfinite(values)] = None
    return shown
