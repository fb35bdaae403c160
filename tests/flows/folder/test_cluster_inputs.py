"""A run is begun from a host of a cluster that has no GPU: what the devices of the others hold is not known there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from flows.folder.inputs import check_device
from flows.runtime.messages import silent
from mopd.errors import InputError
from mopd.memory import plan
from mopd.memory.sizes import GIGABYTE
from tests.mopd.memory.test_memory_plan import QWEN3_4B, settings_for

ON_GPU = ("train.offload_optimizer=true", "train.master_weights=bfloat16", "model.precision=auto")


@pytest.fixture(autouse=True)
def _a_small_host_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(plan, "total_memory", lambda: 8 * GIGABYTE)


def test_a_cluster_is_not_refused_what_this_host_lacks(tmp_path: Path) -> None:
    check_device(None, silent, settings_for(tmp_path / "m", QWEN3_4B, "place=ray", *ON_GPU))


def test_this_host_is(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^train\.offload_optimizer"):
        check_device(None, silent, settings_for(tmp_path / "m", QWEN3_4B, ON_GPU[0]))
    with pytest.raises(InputError, match=r"GB of memory .* and there are 8\.0 GB"):
        check_device(None, silent, settings_for(tmp_path / "m", QWEN3_4B))
