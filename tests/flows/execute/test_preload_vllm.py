"""vLLM is imported behind what workers wait for; one that can't be imported is the engine's business."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.runtime.places.devices import is_cpu_build

ROOT = Path(__file__).parents[3]
WAITS = """
import os, signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
import flows.execute.preload_vllm
print("vllm" in sys.modules, "HF_HUB_OFFLINE" in os.environ)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
while signal.getsignal(signal.SIGALRM) != signal.SIG_DFL:
    time.sleep(0.01)
print("vllm.entrypoints.llm" in sys.modules)
"""


@pytest.mark.skipif(not is_cpu_build(), reason="vLLM is not imported ahead where there may be GPUs")
@pytest.mark.parametrize(("content", "imported"), [("", True), ("raise OSError('no such library')", False)])
def test_it_is_imported_when_the_process_is_idle(tmp_path: Path, content: str, imported: bool) -> None:
    entrypoints = tmp_path / "vllm" / "entrypoints"
    entrypoints.mkdir(parents=True)
    for package in (entrypoints.parent, entrypoints):
        (package / "__init__.py").touch()
    (entrypoints / "llm.py").write_text(content)
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", WAITS], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"False False\n{imported}\n"
