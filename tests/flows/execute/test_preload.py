"""What all workers are forked from has asked no GPU: which ones a worker sees is decided after the fork."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
SPY = """
import torch
asked = []
for name in ("is_available", "device_count", "_lazy_init", "get_device_capability", "get_device_properties"):
    real = getattr(torch.cuda, name)
    setattr(torch.cuda, name, lambda *a, real=real, name=name, **k: asked.append(name) or real(*a, **k))
import flows.execute.preload
print(asked)
"""


def test_nothing_that_is_preloaded_asks_for_gpus() -> None:
    done = subprocess.run([sys.executable, "-c", SPY], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
