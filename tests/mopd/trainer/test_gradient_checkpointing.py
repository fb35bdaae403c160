"""Gradient checkpointing changes memory and time, never the gradient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mopd.errors import InputError
from mopd.models.folders import resolve_model
from mopd.settings import Settings, parse_settings
from mopd.train import take_step
from mopd.trainer import gradient_checkpointing
from mopd.trainer.gradient_checkpointing import set_checkpointing
from mopd.trainer.state import open_state
from tests.mopd.models.test_lora import score_rows

CPU = torch.device("cpu")


def settings(precision: str = "float32", **train: Any) -> Settings:
    tree = {"learning_rate": 1e-2, "warmup_steps": 0, "max_tokens_per_pass": 40} | train
    return parse_settings({"model": {"path": "tiny:llama", "precision": precision}, "train": tree})


@pytest.fixture(scope="module")
def folder() -> Path:
    return resolve_model("tiny:llama")


def stepped(folder: Path, chosen: Settings) -> tuple[dict[str, Any], dict[str, torch.Tensor], int]:
    """The update's report, the weights after it, and how often a layer was computed."""
    state = open_state(folder, None, chosen.train, CPU)
    set_checkpointing(state.student, chosen, CPU)
    calls = []
    first = next(module for module in state.student.modules() if type(module).__name__.endswith("MLP"))
    first.register_forward_pre_hook(lambda *_: calls.append(1))
    report = take_step(state, score_rows(), chosen, CPU)
    del report["seconds"]
    return report, {name: part.detach() for name, part in state.student.named_parameters()}, len(calls)


@pytest.mark.parametrize("lora", [None, {"rank": 4}, {"rank": 4, "dropout": 0.3}], ids=["whole", "lora", "dropout"])
@pytest.mark.parametrize("objective", ["distill", "dpo"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_step(folder: Path, objective: str, lora: dict[str, Any] | None, precision: str) -> None:
    """Over prefix trees, also where a loss takes two passes and dropout must fall alike in both."""
    choice = {"objective": objective, "lora": lora}
    kept, weights, calls = stepped(folder, settings(precision, **choice, gradient_checkpointing="off"))
    again, others, more = stepped(folder, settings(precision, **choice, gradient_checkpointing="on"))
    assert again == kept and kept["skipped"] is None
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    passes = 2 if objective == "dpo" else 1
    assert more == calls * (passes + 1) / passes


def test_auto_is_on_where_the_activations_would_not_fit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(max_tokens_per_pass=4096)
    student = open_state(folder, None, chosen.train, CPU).student
    assert not set_checkpointing(student, chosen, CPU)  # small: nobody looks how much is free
    monkeypatch.setattr(gradient_checkpointing, "SMALL", 0)
    monkeypatch.setattr(gradient_checkpointing, "available_memory", lambda: 64 << 30)
    assert not set_checkpointing(student, chosen, CPU)
    monkeypatch.setattr(gradient_checkpointing, "available_memory", lambda: 1 << 20)
    assert set_checkpointing(student, chosen, CPU)


def test_a_model_without_it_is_refused_where_it_must_be_on(folder: Path) -> None:
    chosen = settings(gradient_checkpointing="on")
    student = open_state(folder, None, chosen.train, CPU).student
    student.supports_gradient_checkpointing = False
    with pytest.raises(InputError, match="llama models have none; set it to off"):
        set_checkpointing(student, chosen, CPU)
