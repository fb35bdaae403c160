"""What is computed of each token: its loss, and what else might have stood there.

Axes: T tokens of some replies, one after the other; K ids of the support.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from flows.viewer.documents.viewed import Json
from mopd.measures.token_losses import TokenLosses, token_losses
from mopd.settings import TrainSettings
from storage.schemas import Row

DIGITS, TOP_DIGITS = 3, 2
"""Of numbers of the sampled tokens; of the likeliest ones, of which there are many."""
LEAST_LOGP = np.log(1e-3)
"""Of an id that is worth a line: one of the likeliest that neither model gives 0.1 % is left out, but for the first."""
UNREADABLE = "the run's settings can't be read"
NO_LOSSES = TokenLosses("", None, UNREADABLE)
_READ = (
    *("proximal_logprobs", "behavior_logprobs", "teacher_logprobs"),
    *("support_ids", "support_teacher_logprobs", "support_student_logprobs"),
)
"""Columns of `scores` that it is computed from."""


def token_numbers(scores: Sequence[Row], train: TrainSettings | None, num_top: int) -> list[Json]:
    """Of each row of `scores`, `loss` (kind, values, why_none) and `top`, as `top_tokens` has it with `num_top` ids of
    each model. All are computed together: one by one they take ten times as long. Without settings no loss is known."""
    numbers: dict[int, Json] = {}
    for places in _alike(scores):
        some = [scores[place] for place in places]
        joined = {
            name: None if some[0][name] is None else np.concatenate([row[name] for row in some]) for name in _READ
        }
        top = top_tokens(joined, num_top)
        losses = NO_LOSSES if train is None else token_losses(joined, train)
        values = significant(losses.values_T, DIGITS)
        ends = np.cumsum([0, *(len(row["proximal_logprobs"]) for row in some)]).tolist()
        for place, (first, end) in zip(places, pairwise(ends), strict=True):
            loss = {"kind": losses.kind, "values": values and values[first:end], "why_none": losses.why_none}
            numbers[place] = {"loss": loss, "top": top and _cut(top, first, end)}
    return [numbers[place] for place in range(len(scores))]


def _alike(scores: Sequence[Row]) -> Iterator[list[int]]:
    """The places of those that can be joined: the same columns are there, with as many ids at each token."""
    forms: dict[tuple[Any, ...], list[int]] = {}
    for place, row in enumerate(scores):
        forms.setdefault(tuple(None if row[name] is None else row[name].shape[1:] for name in _READ), []).append(place)
    yield from forms.values()


def _cut(top: Json, first: int, end: int) -> Json:
    return {name: part[first:end] if isinstance(part, list) else part for name, part in top.items()}


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
