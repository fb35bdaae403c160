"""What of a host a replica may use: some of its GPUs, or some of its cores."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Share:
    """Of a host, for one process and all that it starts."""

    environment: Mapping[str, str] = field(default_factory=dict)
    cores: tuple[int, ...] = ()
    """Numbers of its cores; () for all that the process has anyway."""

    def take(self) -> None:
        """Keep to the share from here on: before a device is used, and before threads are started."""
        os.environ.update(self.environment)
        if self.cores:
            os.environ.pop("VLLM_CPU_OMP_THREADS_BIND", None)  # would bind all replicas to the same ones
            os.sched_setaffinity(0, self.cores)
            limit_threads(len(self.cores))


def limit_threads(most: int) -> None:
    """At most so many threads a pass, here and in processes that are started from here."""
    outermost = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]  # OpenMP takes a number for each level of nesting
    os.environ["OMP_NUM_THREADS"] = str(min(most, int(outermost) if outermost.strip().isdigit() else most))
    torch = sys.modules.get("torch")
    if torch is not None:  # it read the variable when it was loaded, in the process that this one is forked from
        torch.set_num_threads(min(most, torch.get_num_threads()))
