"""The gradient of an update is drawn from nothing but its seeds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from mopd.models.folders import resolve_model
from mopd.train import take_step
from mopd.trainer.state import open_state
from tests.mopd.trainer.test_ranks import round_rows, round_settings

CPU = torch.device("cpu")


@pytest.mark.parametrize("objective", ["sft", "dpo"])
def test_dropout_of_a_model_itself_falls_alike_whenever_an_update_is_computed(tmp_path: Path, objective: str) -> None:
    """Some configs ask for it (GPT-2's for 0.1), without an adapter as with one."""
    folder, chosen = tmp_path / "model", round_settings(objective=objective)
    shutil.copytree(resolve_model("tiny:llama"), folder)
    config = json.loads((folder / "config.json").read_text())
    norms = []
    for dropout in (0.5, 0.5, 0.0):
        (folder / "config.json").write_text(json.dumps(config | {"attention_dropout": dropout}))
        norms.append(take_step(open_state(folder, None, chosen.train, CPU), round_rows(), chosen, CPU)["grad_norm"])
    assert norms[0] == norms[1] != norms[2]
