"""Scoring and training on one GPU agree with the CPU. Needs torch, transformers, numpy and safetensors alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mopd.models.folders import resolve_model
from mopd.score import Scorer
from mopd.train import take_step
from mopd.trainer.gradient_checkpointing import set_checkpointing
from mopd.trainer.state import open_state, student_pieces

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]
PROMPTS, SAMPLES = 3, 4


def settings(precision: str, **train: Any) -> Any:
    """A stand-in for Settings: the real one needs pydantic."""
    chosen = SimpleNamespace(
        seed=0,
        rounds=1,
        model=SimpleNamespace(precision=precision),
        score=SimpleNamespace(
            support="student", keep_student=False, top_k=8, max_tokens_per_pass=64, chunk_positions=16,
            precision="float32",
        ),
        train=SimpleNamespace(
            learning_rate=1e-3, warmup_steps=0, weight_decay=0.01, betas=(0.9, 0.999), max_grad_norm=1.0,
            objective=SimpleNamespace(
                kind="distill", form="divergence", alpha=0.5, tail="bucket", policy_gradient_weight=0.5,
                columns=lambda support: {"scores": ("advantage", "distill", "support_ids", "support_teacher_logprobs")},
            ),
            importance=SimpleNamespace(kind="behavior", clip=2.0), normalize_advantage_std=True,
            aggregation=SimpleNamespace(kind="token_mean"), max_tokens_per_pass=64, lora=None,
            teacher=SimpleNamespace(kind="ema", rate=0.05, place="auto"), schedule="constant", epochs=1,
            updates_per_round=1, optimizer="adamw", master_weights="float32", offload_optimizer=False,
            gradient_checkpointing="off", mask_truncated=False,
        ),
    )  # fmt: skip
    vars(chosen.train).update(train)
    return chosen


def shard() -> tuple[list[dict[str, Any]], ...]:
    rng = np.random.default_rng(0)
    keys = [
        {"run": "r", "round": 0, "prompt_id": f"p{prompt}", "sample": sample}
        for prompt in range(PROMPTS)
        for sample in range(SAMPLES)
    ]
    rollouts = [
        key
        | {"prompt_token_ids": [7] * (3 + int(key["prompt_id"][1])), "temperature": 0.8}
        | {"token_ids": ids, "behavior_logprobs": np.full(len(ids), -3.0, np.float32)}
        for key in keys
        for ids in [rng.integers(5, 200, size=int(rng.integers(1, 9)))]
    ]
    verdicts = [key | {"reward": float(key["sample"] % 2)} for key in keys]
    shown = {"has_sections": True, "variant": "success", "context_digest": ""}
    contexts = [key | shown | {"context_token_ids": [9] * (5 + key["sample"] % 2)} for key in keys]
    return rollouts, verdicts, contexts


def scores(folder: Path, device: str, precision: str) -> list[dict[str, Any]]:
    scorer = Scorer(settings(precision), policy_folder=folder, device=torch.device(device))
    return scorer.score(*shard(), policy_version=0)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-3), ("bfloat16", 0.1)])
def test_scores_agree_with_the_cpu(precision: str, tolerance: float) -> None:
    folder = resolve_model("tiny:llama")
    for ours, theirs in zip(scores(folder, "cuda", precision), scores(folder, "cpu", "float32"), strict=True):
        for column in ("proximal_logprobs", "teacher_logprobs"):
            np.testing.assert_allclose(ours[column], theirs[column], atol=tolerance)


def test_a_step_agrees_with_the_cpu() -> None:
    folder = resolve_model("tiny:llama")
    rows = scores(folder, "cpu", "float32")
    reports = []
    for device in ("cpu", "cuda"):
        chosen = settings("float32")
        state = open_state(folder, None, chosen.train, torch.device(device))
        reports.append(take_step(state, rows, chosen, torch.device(device)))
    for name in ("loss", "distill_loss", "policy_loss", "grad_norm", "importance_mean"):
        assert reports[1][name] == pytest.approx(reports[0][name], rel=1e-3)


def stepped(precision: str, **train: Any) -> tuple[dict[str, torch.Tensor], Any]:
    """The whole weights after two steps on the GPU, and the state."""
    folder, device, chosen = resolve_model("tiny:llama"), torch.device("cuda"), settings(precision, **train)
    rows = scores(folder, "cpu", "float32")
    state = open_state(folder, None, chosen.train, device, precision=precision)
    set_checkpointing(state.student, chosen, device)
    for _ in range(2):
        assert take_step(state, rows, chosen, device)["skipped"] is None
    return {f"{name} {start}": values.cpu() for name, start, values in student_pieces(state)}, state


def test_where_the_optimizer_lies_changes_nothing() -> None:
    (here, near), (there, far) = (stepped("bfloat16", offload_optimizer=offload) for offload in (False, True))
    kinds = [{value.device.type for state in each.optimizer.state.values() for value in state.values() if value.dim()}
             for each in (near, far)]  # fmt: skip
    assert kinds == [{"cuda"}, {"cpu"}]
    for name, values in here.items():
        torch.testing.assert_close(values, there[name], rtol=0, atol=1e-6)


def test_the_next_teacher_is_in_the_memory_of_the_host() -> None:
    _, state = stepped("bfloat16")
    assert {part.device.type for part in state.teacher.model.parameters()} == {"cpu"}
    student = dict(state.student.named_parameters())
    moved = [(part - student[name].cpu()).abs().max() for name, part in state.teacher.model.named_parameters()]
    assert 0 < max(moved) < 3e-3


@pytest.mark.parametrize("train", [{"gradient_checkpointing": "on"}, {"master_weights": "bfloat16"}], ids=str)
def test_what_saves_memory_leaves_the_step_as_it_is(train: dict[str, str]) -> None:
    plain, _ = stepped("bfloat16")
    saving, _ = stepped("bfloat16", **train)
    moved = [(values - saving[name]).abs().mean() for name, values in plain.items()]
    assert max(moved) < 2e-4  # a step moves a weight by 1e-3
