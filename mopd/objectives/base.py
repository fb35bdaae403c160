"""What objectives share: the rollouts of an update as flat tensors, a micro-batch of them, and weights of old tokens.

Axes: T tokens of the update, flat over its rollouts; N tokens of a micro-batch; K support ids of a position.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mopd.models.device import autocast
from mopd.objectives.losses import importance_ratio, step_means, token_weights
from mopd.reading.forward import Batch
from mopd.reading.head import TokenLogps, token_logps

if TYPE_CHECKING:  # training runs where pydantic is not installed
    from mopd.settings import TrainSettings

Rows = list[dict[str, Any]]


class Update:
    """The rollouts of one optimizer step, each with at least one token, and the settings they are trained under."""

    def __init__(self, rows: Rows, train: TrainSettings, teacher: Any | None = None) -> None:
        self.rows = rows
        self.train = train
        self.teacher = teacher
        self.lengths = [len(row["token_ids"]) for row in rows]
        self.sequence_T = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor(self.lengths))
        self._start = [0, *np.cumsum(self.lengths)[:-1].tolist()]

    def indices(self, rows: Sequence[tuple[int, int]]) -> Tensor:
        """Where [N] in T the tokens of these (row, number of tokens) stand."""
        return torch.cat([torch.arange(self._start[row], self._start[row] + length) for row, length in rows])

    def flat(self, column: str) -> Tensor:
        """A column with one number a token, [T]."""
        return torch.from_numpy(np.concatenate([np.asarray(row[column]) for row in self.rows]))

    def spread(self, values: Sequence[float]) -> Tensor:
        """One value a rollout, at each of its tokens [T]."""
        return torch.tensor(values, dtype=self.behavior_logps_T.dtype)[self.sequence_T]

    def weights(self, counts: Sequence[bool]) -> Tensor:
        """Weights [T] with which the losses of the rollouts that count add up to the loss of the update."""
        aggregation = self.train.aggregation
        over = aggregation.over if aggregation.kind == "step_level" else aggregation.kind
        weights_T = token_weights(self.sequence_T, torch.tensor(counts)[self.sequence_T], aggregation=over)
        if self.steps_T is not None:  # spreading a step's mean loss over its tokens is averaging their weights
            weights_T = step_means(weights_T, self.steps_T)
        return weights_T.to(self.behavior_logps_T.dtype)

    @cached_property
    def behavior_logps_T(self) -> Tensor:
        """Of the policy that sampled: as it was sampled from, or, recomputed, as the trainer reads it.

        The latter is the policy at the start of the round, its whole distribution at the rollout temperature.
        """
        recomputed = self.train.importance.kind == "recomputed"
        return self.flat("proximal_logprobs" if recomputed else "behavior_logprobs")

    @cached_property
    def proximal_logps_T(self) -> Tensor | None:
        """Of the policy at the start of the round, where importance asks for it."""
        return self.flat("proximal_logprobs") if self.train.importance.kind == "proximal" else None

    @cached_property
    def steps_T(self) -> Tensor | None:
        """The step of each token, numbered over the update, where losses are averaged within steps."""
        if self.train.aggregation.kind != "step_level":
            return None
        first, parts = 0, []
        for row in self.rows:
            parts.append(torch.from_numpy(np.asarray(row["step_ids"], dtype=np.int64)) + first)
            first = int(parts[-1].max()) + 1
        return torch.cat(parts)


@dataclass(frozen=True)
class MicroBatch:
    """Some rollouts of an update with the student's hidden states at their tokens."""

    update: Update
    batch: Batch
    student: Any
    hidden_NH: Tensor
    temperature: float
    chunk: int
    precision: str

    @cached_property
    def indices_N(self) -> Tensor:
        """Its tokens' places in the update's flat tensors."""
        return self.update.indices(self.batch.rows)

    def of(self, values_T: Tensor) -> Tensor:
        """The entries of its own tokens, on the device."""
        return values_T[self.indices_N].to(self.hidden_NH.device)

    def wide(self, column: str) -> Tensor:
        """A column with K numbers a token, [N, K], on the device: never put together for the whole update."""
        parts = [np.asarray(self.update.rows[row][column]) for row, _ in self.batch.rows]
        return torch.from_numpy(np.concatenate(parts)).to(self.hidden_NH.device)

    def logps(self, support_ids_NK: Tensor | None = None) -> TokenLogps:
        """The student's log-probabilities of the sampled tokens, and on a support if one is given."""
        with autocast(self.precision, self.hidden_NH.device):
            return token_logps(
                self.student,
                self.hidden_NH,
                self.batch.targets,
                temperature=self.temperature,
                chunk=self.chunk,
                support_ids_NK=support_ids_NK,
            )


class Ratios(NamedTuple):
    """Importance of each token of a micro-batch, truncated."""

    moved_N: Tensor
    """How much likelier training made the token; with gradient."""
    before_N: Tensor
    """How much likelier it was before training than when it was sampled; without gradient."""

    @property
    def weight_N(self) -> Tensor:
        """Both together, without gradient."""
        return self.moved_N.detach() * self.before_N


class Objective(ABC):
    """What one update pulls towards. Made for the update, asked for the loss of each micro-batch, then for a report."""

    two_passes = False
    """Whether `prepare` is wanted before the first loss."""

    def __init__(self, update: Update) -> None:
        self.update = update
        self.sums: Counter[str] = Counter()
        """Columns of `updates`, added up over micro-batches."""
        self.counts: Counter[str] = Counter()
        """Tokens that were weighted, truncated and such, as well."""

    @abstractmethod
    def has_signal(self) -> bool:
        """Whether any token carries a loss."""

    def prepare(self, sampled_logps_T: Tensor) -> None:
        """Takes the student's log-probabilities before the update, for losses that compare rollouts."""
        assert self.two_passes, "only losses that compare rollouts are prepared"

    @abstractmethod
    def loss(self, micro: MicroBatch) -> tuple[Tensor, Tensor]:
        """A scalar whose gradients, added up over micro-batches, are the loss's; and the sampled tokens' logps [N]."""

    def take_sums(self) -> tuple[Counter[str], Counter[str]]:
        """What was added up since the last time; `add_sums` puts it back."""
        taken = self.sums, self.counts
        self.sums, self.counts = Counter(), Counter()
        return taken

    def add_sums(self, sums: Counter[str], counts: Counter[str]) -> None:
        """What a micro-batch added up, also another rank's."""
        self.sums.update(sums)
        self.counts.update(counts)

    def report(self) -> dict[str, float | int | None]:
        """`loss` and whichever columns of `updates` the objective fills."""
        return dict(self.sums)

    def importance_clipped(self) -> float | None:
        """Share of tokens whose ratio was truncated; null where none is."""
        return self.counts["truncated"] / self.counts["weighted"] if "weighted" in self.counts else None

    def count(self, kind: str, is_kind_N: Tensor) -> None:
        """Add up the tokens of a kind."""
        self.counts[kind] += int(is_kind_N.sum())

    def ratios(self, micro: MicroBatch, sampled_N: Tensor) -> Ratios:
        """The ratios that `train.importance` asks for."""
        importance, behavior_N = self.update.train.importance, micro.of(self.update.behavior_logps_T)
        ones_N = torch.ones_like(behavior_N)
        if importance.kind == "none":
            return Ratios(importance_ratio(sampled_N, sampled_N.detach()), ones_N)
        anchor_N, before_N = behavior_N, ones_N
        if self.update.proximal_logps_T is not None:
            anchor_N = micro.of(self.update.proximal_logps_T)
            before_N = importance_ratio(anchor_N, behavior_N)
        moved_N = importance_ratio(sampled_N, anchor_N)
        self.counts["weighted"] += len(ones_N)
        self.count("truncated", (moved_N > importance.clip) | (before_N > importance.clip))
        return Ratios(moved_N.clamp(max=importance.clip), before_N.clamp(max=importance.clip))
