"""The divergence on supports of several kinds and sizes beside the one over the full vocabulary.

Losses and their gradients with respect to the student's logits are taken in float64, so what differs is the support
alone. Axes: C response tokens of a chunk, K support ids, V vocabulary.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from mopd.objectives.losses import divergence, renormalized, with_tail

ALPHAS = (0.0, 0.5, 1.0)
SIZES = (20, 100, 500)
SUPPORTS = ("student", "teacher", "union")
TAILS: dict[str, Callable[[Tensor], Tensor]] = {"bucket": with_tail, "renormalize": renormalized}
DEFAULT = ("student", 100)
"""The support that mopd takes unless told otherwise (the paper's)."""


class Case(NamedTuple):
    """One way of taking the divergence."""

    alpha: float
    support: str
    k: int
    tail: str


@dataclass
class Sums:
    """What a case adds up over the chunks."""

    losses: list[Tensor] = field(default_factory=list)  # [C] each
    dot: float = 0.0  # of its gradient and the full one
    square: float = 0.0  # of its gradient
    full_square: float = 0.0

    def add(self, loss_C: Tensor, dot: Tensor, square: Tensor, full_square: Tensor) -> None:
        """Losses of a chunk, and sums over it."""
        self.losses.append(loss_C.detach())
        self.dot += dot.item()
        self.square += square.item()
        self.full_square += full_square.item()


@dataclass
class Kept:
    """What a support keeps of each token: its ids and both models' log-probabilities."""

    ids: list[np.ndarray] = field(default_factory=list)  # [K] each
    student: list[np.ndarray] = field(default_factory=list)
    teacher: list[np.ndarray] = field(default_factory=list)

    def add(self, student_CV: Tensor, teacher_CV: Tensor, ids_CK: Tensor, used_CK: Tensor) -> None:
        stored = (ids_CK.int(), student_CV.gather(1, ids_CK), teacher_CV.gather(1, ids_CK))
        for column, values_CK in zip((self.ids, self.student, self.teacher), stored, strict=True):
            column += [row[used].numpy() for row, used in zip(values_CK, used_CK, strict=True)]

    def report(self) -> dict[str, float]:
        """Bytes plain (4 a number) and as the shards store them (Parquet, zstd), a token."""
        sink = io.BytesIO()
        pq.write_table(pa.table(vars(self)), sink, compression="zstd")
        plain = sum(values.nbytes for column in vars(self).values() for values in column)
        mass = {name: np.mean([np.exp(row).sum() for row in vars(self)[name]]) for name in ("student", "teacher")}
        return {
            "ids_per_token": float(np.mean([len(row) for row in self.ids])),
            "student_mass_outside": float(1 - mass["student"]),
            "teacher_mass_outside": float(1 - mass["teacher"]),
            "bytes_per_token": plain / len(self.ids),
            "parquet_bytes_per_token": sink.tell() / len(self.ids),
        }


def support(student_CV: Tensor, teacher_CV: Tensor, kind: str, k: int) -> tuple[Tensor, Tensor]:
    """Token ids [C, K] and whether each place is used; a union has 2k places, the second of a pair unused."""
    by_student, by_teacher = (logps_CV.topk(k, dim=-1).indices for logps_CV in (student_CV, teacher_CV))
    if kind != "union":
        ids_CK = by_student if kind == "student" else by_teacher
        return ids_CK, torch.ones_like(ids_CK, dtype=torch.bool)
    again_CK = (by_teacher[:, :, None] == by_student[:, None, :]).any(dim=-1)
    return torch.cat([by_student, by_teacher], dim=-1), torch.cat([torch.ones_like(again_CK), ~again_CK], dim=-1)


class Full(NamedTuple):
    """The divergence over the full vocabulary, and its gradient at the logits."""

    loss_C: Tensor
    grad_CV: Tensor
    square: Tensor  # of the gradient
    along_C: Tensor  # product of gradient and student's probabilities


@dataclass(frozen=True)
class Chunk:
    """Some tokens: log-probabilities and the student's probabilities [C, V], the full divergence by alpha."""

    student_CV: Tensor
    teacher_CV: Tensor
    p_CV: Tensor
    p_square_C: Tensor
    full: dict[float, Full]

    @classmethod
    def of(cls, student_CV: Tensor, teacher_CV: Tensor) -> Chunk:
        student_CV, teacher_CV = (torch.log_softmax(logps, dim=-1) for logps in (student_CV, teacher_CV))
        p_CV, full = student_CV.exp(), {}
        for alpha in ALPHAS:
            loss_C, grad_CV = loss_and_gradient(student_CV, teacher_CV, alpha)
            full[alpha] = Full(loss_C, grad_CV, grad_CV.square().sum(), (p_CV * grad_CV).sum(dim=-1))
        return cls(student_CV, teacher_CV, p_CV, p_CV.square().sum(dim=-1), full)

    def on(self, ids_CK: Tensor, used_CK: Tensor) -> tuple[Tensor, Tensor]:
        """Both models' log-probabilities [C, K] on a support, -inf where it has no id."""
        student, teacher = (
            logps.gather(1, ids_CK).masked_fill(~used_CK, -torch.inf) for logps in (self.student_CV, self.teacher_CV)
        )
        return student, teacher


def loss_and_gradient(
    logits_CV: Tensor, teacher_CV: Tensor, alpha: float, on: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Divergence [C] and its gradient [C, V] at the logits: on a support with its tail, or over the full vocabulary."""
    logits_CV = logits_CV.detach().requires_grad_()
    student, teacher = torch.log_softmax(logits_CV, dim=-1), teacher_CV
    if on is not None:
        student, teacher = (with_tail(logps.gather(1, on[0])) for logps in (student, teacher))
    loss_C = divergence(student, teacher, alpha=alpha)
    return loss_C, torch.autograd.grad(loss_C.sum(), logits_CV)[0]


def add_case(sums: Sums, case: Case, chunk: Chunk, ids_CK: Tensor, used_CK: Tensor) -> None:
    """A case's losses and gradient. With g its gradient at the log-probabilities of the support and p the student's
    probabilities, the one at the logits is g - p * sum(g); its products with others need no vector of size V."""
    student_CK, teacher_CK = chunk.on(ids_CK, used_CK)
    student_CK.requires_grad_()
    loss_C = divergence(TAILS[case.tail](student_CK), TAILS[case.tail](teacher_CK), alpha=case.alpha)
    g_CK = torch.autograd.grad(loss_C.sum(), student_CK)[0].masked_fill(~used_CK, 0.0)
    g_C, full = g_CK.sum(dim=-1), chunk.full[case.alpha]
    dot_C = (g_CK * full.grad_CV.gather(1, ids_CK)).sum(dim=-1) - g_C * full.along_C
    cross_C = g_C * (g_CK * chunk.p_CV.gather(1, ids_CK)).sum(dim=-1)
    square_C = g_CK.square().sum(dim=-1) - 2 * cross_C + g_C.square() * chunk.p_square_C
    sums.add(loss_C, dot_C.sum(), square_C.sum(), full.square)


class Meter:
    """Every case beside the full vocabulary, added up chunk by chunk."""

    def __init__(self) -> None:
        self.full = {alpha: Sums() for alpha in ALPHAS}
        self.float32 = {alpha: Sums() for alpha in ALPHAS}
        self.cases = {Case(*parts): Sums() for parts in product(ALPHAS, SUPPORTS, SIZES, TAILS)}
        self.kept = {place: Kept() for place in product(SUPPORTS, SIZES)}

    def add(self, student_32: Tensor, teacher_32: Tensor) -> None:
        """The tokens of a chunk, log-probabilities [C, V] in fp32."""
        chunk = Chunk.of(student_32.double(), teacher_32.double())
        supports = {place: support(chunk.student_CV, chunk.teacher_CV, *place) for place in self.kept}
        for place, on in supports.items():
            self.kept[place].add(student_32, teacher_32, *on)
        for case, sums in self.cases.items():
            add_case(sums, case, chunk, *supports[case.support, case.k])
        for alpha in ALPHAS:
            full = chunk.full[alpha]
            self.full[alpha].add(full.loss_C, full.square, full.square, full.square)
            single = loss_and_gradient(student_32, teacher_32, alpha, supports[DEFAULT])
            exact = loss_and_gradient(chunk.student_CV, chunk.teacher_CV, alpha, supports[DEFAULT])
            loss_C, grad_CV = (part.double() for part in single)
            products = [
                (one * other).sum() for one, other in ((grad_CV, exact[1]), (grad_CV, grad_CV), (exact[1],) * 2)
            ]
            self.float32[alpha].add(loss_C, *products)

    def report(self) -> dict[str, Any]:
        default = {alpha: self.cases[Case(alpha, *DEFAULT, "bucket")] for alpha in ALPHAS}
        return {
            "full": [{"alpha": alpha, **spread(torch.cat(sums.losses))} for alpha, sums in self.full.items()],
            "supports": [{"support": kind, "k": k, **kept.report()} for (kind, k), kept in self.kept.items()],
            "cases": [{**case._asdict(), **distance(sums, self.full[case.alpha])} for case, sums in self.cases.items()],
            "float32": [{"alpha": alpha, **distance(self.float32[alpha], default[alpha])} for alpha in ALPHAS],
        }


def spread(losses_T: Tensor) -> dict[str, float]:
    """Of the full divergence, in nats."""
    return {"mean": losses_T.mean().item(), "median": losses_T.median().item(), "p95": quantile(losses_T)}


def distance(sums: Sums, full: Sums) -> dict[str, float]:
    """Of a case from the full one: losses in nats a token; gradients over all tokens as one vector."""
    losses_T, full_T = torch.cat(sums.losses), torch.cat(full.losses)
    error_T = (losses_T - full_T).abs()
    return {
        "mean": losses_T.mean().item(),
        "mean_abs_error": error_T.mean().item(),
        "relative_error": (error_T.mean() / full_T.mean()).item(),
        "p95_abs_error": quantile(error_T),
        "max_abs_error": error_T.max().item(),
        "grad_cosine": sums.dot / (sums.square * sums.full_square) ** 0.5,
        "grad_relative_error": (max(sums.square - 2 * sums.dot + sums.full_square, 0.0) / sums.full_square) ** 0.5,
    }


def quantile(values_T: Tensor) -> float:
    return torch.quantile(values_T, 0.95).item()
