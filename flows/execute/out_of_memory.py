"""What is said of a stage whose worker took more memory than there is: how it ended, and which settings to lower."""

from __future__ import annotations

from flows.plan.shard import Shard
from flows.plan.stage import is_free
from flows.runtime.messages import Report
from flows.runtime.out_of_memory import OutOfMemory
from mopd.memory.plan import describe, lower_after

RECKONED = {"generate": "generate", "answer": "generate", "evaluate": "generate", "score": "score", "train": "train"}
"""Stages that have a device, and the one whose memory is reckoned for them."""


def explain_out_of_memory(_: None, report: Report, stage: str, shard: Shard, error: OutOfMemory) -> str:
    """One line; computed by a worker, since it takes the model's config."""
    start = f"round {shard.round}: {stage} was {error}"
    if stage not in RECKONED:
        return f"{start}; lower prompts_per_shard in a new run, or end what else takes memory here"
    changes = lower_after(shard.settings, RECKONED[stage], error.peak_bytes)
    overrides = " ".join(f"--set {change.override}" for change in changes or ())
    goes_on = all(is_free(change.setting) for change in changes or ())
    again = "start the same command again with" if goes_on else "begin a new run with"
    return f"{start}; {describe(changes)}" + (f": {again} {overrides}" if overrides else "")
