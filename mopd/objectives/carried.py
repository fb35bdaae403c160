"""What a rollout carries of the loss of its update, and why it carries none: asked of rows, without torch.

A row has `num_tokens`, `finish_reason`, `advantage`, `distill`, `reward` and `success`. The objectives themselves
decide (`mopd.objectives`): tests hold this to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mopd.trainer.updates import enters_update

if TYPE_CHECKING:
    from mopd.settings import TrainSettings

Row = dict[str, Any]


def why_no_loss(row: Row, group: Sequence[Row], train: TrainSettings) -> str | None:
    """Why a rollout carries no loss; None where it does. `group`: the rollouts of its prompt."""
    if not row["num_tokens"]:
        return "it has no tokens"
    if not _enters(row, train):
        return "it was cut at the longest response (train.mask_truncated)"
    return _REASONS[train.objective.kind](row, [other for other in group if _enters(other, train)], train.objective)


def loss_weight(row: Row, rows: Sequence[Row], train: TrainSettings) -> float | None:
    """The share of an update's weight that a rollout's tokens have together, of 1 for all `rows` of the update.

    None for objectives that compare pairs: there it follows from the student's numbers.
    """
    kept = [other for other in rows if _enters(other, train)]
    parts = _parts(train.objective)
    if parts is None:
        return None
    return sum(factor * _share(row, [other for other in kept if counts(other)], train) for factor, counts in parts)


def _enters(row: Row, train: TrainSettings) -> bool:
    """Whether an objective sees a rollout at all."""
    return enters_update(row, row["num_tokens"], train)


def _share(row: Row, counted: Sequence[Row], train: TrainSettings) -> float:
    """Of a mean over the rollouts that are counted."""
    if not any(other is row for other in counted):
        return 0.0
    aggregation = train.aggregation
    over = aggregation.over if aggregation.kind == "step_level" else aggregation.kind
    if over == "sequence_mean":
        return 1 / len(counted)
    return float(row["num_tokens"] / sum(other["num_tokens"] for other in counted))


def _parts(objective: Any) -> list[tuple[float, Any]] | None:
    """The means that a loss is blended of, and which rollouts each is taken over."""
    if objective.kind == "distill":
        blend = objective.policy_gradient_weight
        return [(1 - blend, lambda row: row["distill"]), (blend, _is_judged)]
    return {"grpo": [(1.0, _is_judged)], "sft": [(1.0, lambda row: row["success"])]}.get(objective.kind)


def _is_judged(row: Row) -> bool:
    return row["advantage"] is not None


def _distill_reason(row: Row, group: Sequence[Row], objective: Any) -> str | None:
    blend = objective.policy_gradient_weight
    if (row["distill"] and blend < 1) or (blend and row["advantage"]):
        return None
    pulled = "; nor has it an advantage" if blend else ""
    return f"its context has no peer sections{pulled}" if not row["distill"] else "its advantage is 0"


def _grpo_reason(row: Row, group: Sequence[Row], objective: Any) -> str | None:
    if row["advantage"] is None:
        return "it has no advantage: the verifier gave no verdict"
    return None if row["advantage"] or objective.kl_weight else "its advantage is 0"


def _pairs_reason(row: Row, group: Sequence[Row], objective: Any) -> str | None:
    if row["reward"] is None:
        return "it has no reward: the verifier gave no verdict"
    others = {other["reward"] for other in group if other["reward"] is not None}
    return None if others - {row["reward"]} else "no rollout of its group has another reward"


def _sft_reason(row: Row, group: Sequence[Row], objective: Any) -> str | None:
    return None if row["success"] else "it is no success"


_REASONS = {
    "distill": _distill_reason,
    "grpo": _grpo_reason,
    "dpo": _pairs_reason,
    "simpo": _pairs_reason,
    "sft": _sft_reason,
}
