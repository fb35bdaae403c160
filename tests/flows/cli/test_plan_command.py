"""`mopd plan`, and what `mopd run` refuses, of a model of the hub: its config is all that is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mopd.hub.client import ROOT, hub_environment
from tests.mopd.hub.hub_server import Hub, serve_hub
from tests.mopd.memory.test_memory_plan import QWEN3_4B

REPO = "acme/large"
LARGE = {**QWEN3_4B, "intermediate_size": 1_000_000}
"""No machine of ours trains that."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub() as hub:
        hub.push(REPO, {"config.json": json.dumps(LARGE).encode(), "model.safetensors": b"w" * 100_000})
        yield hub


def mopd(hub: Hub, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows.cli", *words]
    environment = hub_environment(hub.url, home, PYTHONPATH=str(ROOT))
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)


@pytest.mark.timeout(300)
def test_the_config_of_a_named_model_is_enough(hub: Hub, tmp_path: Path) -> None:
    config = tmp_path / "large.yaml"
    config.write_text(f"model: {{path: {REPO}, precision: bfloat16}}\n")
    planned = mopd(hub, tmp_path, "plan", str(config), "--device", "80GB")
    assert planned.returncode == 1, planned.stderr
    assert "a GPU with 80.0 GB, products in bfloat16" in planned.stdout
    assert "train does not fit: " in planned.stdout and "trainer state" in planned.stdout

    refused = mopd(hub, tmp_path, "run", str(config), "--run", "new")
    assert refused.returncode == 2
    assert refused.stderr.startswith("mopd: ") and " GB of memory (" in refused.stderr, refused.stderr
    assert not (tmp_path / "new").exists()
    assert hub.loaded() == {"config.json"}
