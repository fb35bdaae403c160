"""vLLM, imported once in the process that workers are forked from, as soon as that one has nothing else to do.

Its first workers check a run's inputs: they need no vLLM, and wait for none.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from importlib import import_module
from typing import Any

from flows.runtime.importing import importing
from flows.runtime.places.devices import is_cpu_build
from mopd.engines.vllm_engine import ENVIRONMENT

IDLE_SECONDS = 0.5
"""Whoever waits for a worker while other modules are imported has it by then."""
FOR_ENGINES_ALONE = "HF_HUB_OFFLINE"
"""Workers that load from the hub are forked here too."""


def import_when_idle() -> None:
    """Have a timer interrupt this process, which then waits to be asked for workers."""
    for name, value in ENVIRONMENT.items():
        if name != FOR_ENGINES_ALONE:
            os.environ.setdefault(name, value)
    signal.signal(signal.SIGALRM, _import)
    signal.setitimer(signal.ITIMER_REAL, IDLE_SECONDS)


def _import(number: int, frame: Any) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with suppress(Exception), importing():  # the engine imports it again, where there is somebody to be told
        import_module("vllm.entrypoints.llm")


if is_cpu_build():  # else vLLM may ask for GPUs, before it is settled which ones a worker sees
    import_when_idle()
