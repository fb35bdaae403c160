"""What the plan says of a policy and its trainer state is what lies there after training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mopd.memory.disk import checkpoint_bytes, policy_bytes, trainer_state_bytes
from mopd.memory.plan import models_of
from mopd.models.folders import resolve_model
from mopd.settings import parse_settings
from mopd.train import take_step
from mopd.trainer.state import OPTIMIZER, open_state, save_state
from tests.mopd.models.test_lora import score_rows

HEADERS = 16_000
"""Bytes that the names of tensors take, and the other files of a model."""


@pytest.mark.parametrize("master_weights", ["float32", "bfloat16"])
def test_sizes_are_those_of_the_files(tmp_path: Path, master_weights: str) -> None:
    model, folder = {"path": "tiny:llama", "precision": "bfloat16"}, resolve_model("tiny:llama")
    settings = parse_settings({"model": model, "train": {"master_weights": master_weights}})
    state = open_state(folder, None, settings.train, torch.device("cpu"), precision="bfloat16", out=tmp_path)
    take_step(state, score_rows(), settings, torch.device("cpu"))
    save_state(state, folder, tmp_path)
    models = models_of(settings)
    weights = (tmp_path / "model.safetensors").stat().st_size
    assert 0 <= weights - policy_bytes(settings, models) < HEADERS
    kept = [tmp_path / OPTIMIZER, tmp_path / "teacher" / "model.safetensors"]
    assert 0 <= sum(file.stat().st_size for file in kept) - trainer_state_bytes(settings, models) < 2 * HEADERS


def test_checkpoints_of_a_round_are_two_for_a_moment() -> None:
    size = {}
    for every in (None, 2, 4):
        train = {"checkpoint_every_updates": every, "updates_per_round": 2, "epochs": 2}
        settings = parse_settings({"model": {"path": "tiny:llama"}, "train": train})
        models = models_of(settings)
        size[every] = checkpoint_bytes(settings, models)
        whole = policy_bytes(settings, models) + trainer_state_bytes(settings, models)
    assert size == {None: 0, 2: 2 * whole, 4: 0}  # there is none after the last of four updates
