"""TRL 1.16's losses on the same logits: an independent implementation gives our numbers.

Where it defines something else, a test says what: docs/peers.md lists the differences.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from mopd.objectives import objective_class
from mopd.objectives.base import Update
from mopd.objectives.losses import divergence, importance_ratio, renormalized, token_weights, with_tail
from mopd.reading.head import TokenLogps, token_logps
from mopd.settings import parse_settings

ROLLOUTS, LENGTH, VOCABULARY, TOP_K = 4, 5, 23, 6
LENGTHS = [5, 3, 1, 4]
ADVANTAGES = [1.5, -0.5, -0.25, 0.75]
DISTILLED = [True, True, False, True]
ALPHAS = (0.0, 0.3, 0.5, 1.0)
TAILS: dict[bool, Callable[[Tensor], Tensor]] = {True: with_tail, False: renormalized}


@pytest.fixture(scope="module")
def trl() -> SimpleNamespace:
    """TRL's loss functions, and trainers whose losses are called without the trainer."""
    pytest.importorskip("trl", minversion="1.16")
    with mock.patch.dict(os.environ), warnings.catch_warnings():  # it sets vLLM's log level
        warnings.simplefilter("ignore")  # that the experimental part may change
        functions = importlib.import_module("trl.experimental.sdpo.loss_utils")
        sdpo = importlib.import_module("trl.experimental.sdpo.sdpo_trainer")
        gkd = importlib.import_module("trl.experimental.gkd.gkd_trainer")
        kernel = importlib.import_module("trl.kernels.chunked_divergence")
    return SimpleNamespace(
        functions=functions,
        sdpo=sdpo.SDPOTrainer,
        logits=sdpo.DistillationLogits,
        gkd=gkd.GKDTrainer,
        kernel=kernel.ChunkedDivergenceFunction,
    )


def random_logits(seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Logits [rollouts, length, V]."""
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(ROLLOUTS, LENGTH, VOCABULARY, generator=generator, dtype=dtype)


def sampled_ids() -> Tensor:
    return torch.randint(VOCABULARY, (ROLLOUTS, LENGTH), generator=torch.Generator().manual_seed(2))


def masks() -> tuple[Tensor, Tensor]:
    """Which tokens there are, and which of them carry distillation, [rollouts, length] each."""
    there = torch.arange(LENGTH) < torch.tensor(LENGTHS)[:, None]
    return there, there & torch.tensor(DISTILLED)[:, None]


def ours(student_logits: Tensor, alpha: float, tail: bool | None) -> Tensor:
    """Our divergence, [rollouts, length]: on the student's top k, or over all tokens where `tail` is None."""
    student, teacher = (torch.log_softmax(logits, dim=-1) for logits in (student_logits, random_logits(1)))
    if tail is not None:
        ids = student.topk(TOP_K, dim=-1).indices
        student, teacher = (TAILS[tail](logps.gather(-1, ids)) for logps in (student, teacher))
    return divergence(student, teacher, alpha=alpha)


def sampled_logps(logits: Tensor) -> Tensor:
    return torch.log_softmax(logits, dim=-1).gather(-1, sampled_ids()[..., None]).squeeze(-1)


def assert_same(mine: Tensor, theirs: Tensor, logits: Tensor, **tolerance: float) -> None:
    """Values agree, and so do the gradients of their sums with respect to the logits."""
    bounds = tolerance or {"rtol": 1e-10, "atol": 1e-12}
    torch.testing.assert_close(mine.detach(), theirs.detach(), check_dtype=False, **bounds)
    gradients = [torch.autograd.grad(loss.sum(), logits, retain_graph=True)[0] for loss in (mine, theirs)]
    torch.testing.assert_close(*gradients, check_dtype=False, **bounds)


@pytest.mark.parametrize("tail", [None, True, False], ids=["full", "tail", "renormalized"])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_divergence_of_each_token(trl: SimpleNamespace, alpha: float, tail: bool | None) -> None:
    """Same direction of alpha and same mixture: 0 is KL(teacher || student), 1 is KL(student || teacher)."""
    logits, teacher = random_logits(0).requires_grad_(), random_logits(1)
    if tail is None:
        theirs = trl.functions.compute_full_logit_self_distillation_loss(logits, teacher, distillation_alpha=alpha)
    else:
        theirs = trl.functions.compute_topk_self_distillation_loss(
            logits, teacher, distillation_topk=TOP_K, distillation_alpha=alpha, distillation_add_tail=tail
        )
    assert_same(ours(logits, alpha, tail), theirs, logits)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_divergence_that_trl_takes_from_hidden_states(trl: SimpleNamespace, alpha: float) -> None:
    """The kernel of its DistillationTrainer, in fp32 with a backward pass of its own; the head is the identity here."""
    logits, head = random_logits(0).requires_grad_(), torch.eye(VOCABULARY)
    student, teacher = (values.float().flatten(0, 1) for values in (logits, random_logits(1)))
    theirs, _ = trl.kernel.apply(student, head, None, teacher, head, None, alpha)
    assert_same(ours(logits, alpha, None).flatten(), theirs, logits, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_from_hidden_states_to_the_gradient_of_the_output_layer(trl: SimpleNamespace, alpha: float) -> None:
    """Ours in chunks, with a backward pass of its own; TRL's on all logits."""
    generator = torch.Generator().manual_seed(4)
    hidden = torch.randn(ROLLOUTS * LENGTH, 7, generator=generator, dtype=torch.float64)
    layer = torch.nn.Linear(7, VOCABULARY, bias=False, dtype=torch.float64)
    model = SimpleNamespace(get_output_embeddings=lambda: layer, config=SimpleNamespace())
    teacher = torch.log_softmax(random_logits(1).flatten(0, 1), dim=-1)
    ids = layer(hidden).topk(TOP_K, dim=-1).indices
    read = token_logps(model, hidden, ids[:, 0], temperature=1.0, chunk=3, support_ids_NK=ids)
    mine = divergence(with_tail(read.support_logps_NK), with_tail(teacher.gather(-1, ids)), alpha=alpha)
    top_k = {"distillation_topk": TOP_K, "distillation_alpha": alpha, "distillation_add_tail": True}
    theirs = trl.functions.compute_topk_self_distillation_loss(layer(hidden), teacher, **top_k)
    assert_same(mine, theirs, layer.weight)


def trl_loss(trl: SimpleNamespace, logits: Tensor, mode: str, alpha: float, clip: float | None) -> Tensor:
    """What its SDPO trainer makes of a micro-batch, from logits to the scalar."""
    top_k = {"distillation_topk": TOP_K, "distillation_add_tail": True}
    args = SimpleNamespace(distillation_mode=mode, distillation_alpha=alpha, distillation_is_clip=clip, **top_k)
    there, distilled = (mask.to(logits.dtype) for mask in masks())
    read = trl.logits(sampled_ids(), there, distilled, logits, random_logits(1))
    inputs = {"old_per_token_logps": sampled_logps(random_logits(3))}
    training = SimpleNamespace(training=True)
    return trl.sdpo._compute_self_distillation_loss(trainer_stub(args=args), training, inputs, read)


def trainer_stub(**settings: Any) -> SimpleNamespace:
    """All that TRL's losses ask of their trainer."""
    return SimpleNamespace(
        accelerator=SimpleNamespace(gather=lambda value: value),
        model=SimpleNamespace(training=True),
        _log_self_distillation_metric=lambda mode, value: None,
        _metrics=defaultdict(lambda: defaultdict(list)),
        **settings,
    )


def our_loss(logits: Tensor, **train: Any) -> Tensor:
    """The objective's loss of the same rollouts, without their padding; the sampler's logps where TRL has its old."""
    settings = parse_settings({"train": train}).train
    there, ids = masks()[0], sampled_ids()
    teacher, support = torch.log_softmax(random_logits(1), dim=-1), logits.detach().topk(TOP_K, dim=-1).indices
    rows = [
        {
            "token_ids": ids[row, :length].numpy(),
            "behavior_logprobs": sampled_logps(random_logits(3))[row, :length].numpy(),
            "teacher_logprobs": sampled_logps(random_logits(1))[row, :length].numpy(),
            "support_ids": support[row, :length].numpy(),
            "support_teacher_logprobs": teacher.gather(-1, support)[row, :length].numpy(),
            "advantage": ADVANTAGES[row],
            "distill": DISTILLED[row],
        }
        for row, length in enumerate(LENGTHS)
    ]
    student = torch.log_softmax(logits, dim=-1)[there]

    def logps(support_ids: Tensor | None = None) -> TokenLogps:
        wanted = torch.zeros(len(student), 0, dtype=torch.long) if support_ids is None else support_ids
        return TokenLogps(sampled_logps(logits)[there], wanted, student.gather(1, wanted))

    def wide(column: str) -> Tensor:
        return torch.cat([torch.from_numpy(row[column]) for row in rows])

    micro: Any = SimpleNamespace(of=lambda values: values, wide=wide, logps=logps)
    return objective_class(settings)(Update(rows, settings)).loss(micro)[0]


@pytest.mark.parametrize("clip", [None, 2.0])
@pytest.mark.parametrize(
    ("mode", "alpha"), [("topk_logits", 0.0), ("topk_logits", 0.5), ("topk_logits", 1.0), ("sampled_token", 1.0)]
)
def test_distillation_but_for_what_it_is_divided_by(
    trl: SimpleNamespace, mode: str, alpha: float, clip: float | None
) -> None:
    """TRL's mean is over all rollouts, ours over those that carry distillation: 3 of 4 here."""
    logits = random_logits(0).requires_grad_()
    form = "sampled_token" if mode == "sampled_token" else "divergence"
    mine = our_loss(
        logits,
        objective={"kind": "distill", "alpha": alpha, "form": form},
        importance={"kind": "behavior", "clip": clip} if clip else "none",
        aggregation="sequence_mean",
    )
    theirs = trl_loss(trl, logits, mode, alpha, clip)
    assert_same(mine, theirs * len(DISTILLED) / sum(DISTILLED), logits)


@pytest.mark.parametrize(("loss_type", "aggregation"), [("bnpo", "token_mean"), ("grpo", "sequence_mean")])
def test_grpo_but_for_large_ratios(trl: SimpleNamespace, loss_type: str, aggregation: str) -> None:
    """Given the advantages; ours also truncates the ratio of what was bad and became much likelier, TRL's does not."""
    logits = random_logits(0).requires_grad_()
    inputs = {
        "completion_ids": sampled_ids(),
        "completion_mask": masks()[0].to(logits.dtype),
        "old_per_token_logps": sampled_logps(random_logits(3)),
        "advantages": torch.tensor(ADVANTAGES, dtype=logits.dtype),
    }
    epsilon = {"epsilon_low": 0.2, "epsilon_high": 0.2}
    stub = trainer_stub(loss_type=loss_type, importance_sampling_level="token", **epsilon)
    theirs = trl.sdpo._compute_policy_loss(stub, inputs, logits)
    objective = {"kind": "grpo", "clip": 0.2}
    whole, truncated = (
        our_loss(logits, objective=objective, importance={"kind": "behavior", "clip": clip}, aggregation=aggregation)
        for clip in (1e9, 2.0)
    )
    assert_same(whole, theirs, logits)
    assert truncated < theirs


def test_gkd_is_the_same_divergence_with_every_token_alike(trl: SimpleNamespace) -> None:
    """Its `beta` is our alpha, its `batchmean` with labels our `token_mean`, but for rollouts without distillation."""
    logits, (_, distilled) = random_logits(0).requires_grad_(), masks()
    labels = torch.where(distilled, sampled_ids(), -100)
    sequence = torch.arange(ROLLOUTS).repeat_interleave(LENGTH)
    weights = token_weights(sequence, distilled.flatten(), aggregation="token_mean")
    for alpha in ALPHAS:
        theirs = trl.gkd.generalized_jsd_loss(logits, random_logits(1), labels, beta=alpha)
        assert_same((weights * ours(logits, alpha, None).flatten()).sum(), theirs, logits)


def test_tail_below_trls_floor(trl: SimpleNamespace) -> None:
    """TRL never lets the tail fall below 1e-7, in any precision; ours goes down to the precision's own."""
    inside = torch.tensor([[1.0 - 1e-10]], dtype=torch.float64).log()
    assert with_tail(inside).exp()[0, 1].item() == pytest.approx(1e-10, rel=1e-5)
    assert trl.functions.add_tail_bucket(inside).exp()[0, 1].item() == pytest.approx(1e-7, rel=1e-5)


def test_ratio_below_trls_floor(trl: SimpleNamespace) -> None:
    """TRL bounds the log-ratio of distillation by 20 on both sides; ours is truncated from above alone."""
    student, behavior, one = torch.tensor([-30.0]).double(), torch.zeros(1).double(), torch.ones(1).double()
    assert importance_ratio(student, behavior).log().item() == pytest.approx(-30)
    theirs: Any = trl.functions.apply_importance_sampling_clipping(one, student, behavior, 2.0)
    assert theirs.log().item() == pytest.approx(-20)
