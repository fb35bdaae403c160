"""Runs of a few groups, with the outcomes that a test wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mopd.settings import parse_settings
from storage.runs import RunFolder
from tests.storage.storage_samples import PEER, Rows, columns_of, commit

Outcomes = Mapping[int, Mapping[str, Sequence[bool | None]]]
"""Of each round and prompt the successes of its rollouts; None: the verifier failed."""


def make_groups(path: Path, outcomes: Outcomes, **settings_tree: Any) -> RunFolder:
    """A run of some groups."""
    settings = parse_settings({"model": {"system_prompt": "Be kind."}, **settings_tree})
    run = RunFolder.create(path, {"settings": settings.model_dump(mode="json")})
    add_groups(run, outcomes)
    return run


def add_groups(run: RunFolder, outcomes: Outcomes) -> None:
    """Prompts, rollouts, verdicts, contexts and scores: the teacher of each rollout but the first was shown that one.

    A prompt is of the dataset `sums`, or of `hard` where its id begins so.
    """
    for round, groups in outcomes.items():
        for table in ("prompts", "rollouts", "verdicts", "contexts", "scores"):
            rows = [row for prompt in groups for row in _rows(run, table, round, prompt, groups[prompt])]
            commit(run, table, rows, round=round)


def _rows(run: RunFolder, table: str, round: int, prompt: str, successes: Sequence[bool | None]) -> Rows:
    columns = {"run": run.run_id, "round": round, "prompt_id": prompt, **columns_of(table)}
    if table == "prompts":
        messages = [{"role": "user", "content": f"How much is {prompt}?"}]
        return [columns | {"messages": messages, "dataset": "hard" if prompt.startswith("hard") else "sums"}]
    return [
        columns | {"sample": sample} | _own(table, round, prompt, sample, success)
        for sample, success in enumerate(successes)
    ]


def _own(table: str, round: int, prompt: str, sample: int, success: bool | None) -> dict[str, Any]:
    """What tells a rollout of a group from the others."""
    if table == "rollouts":
        return {"text": f"Reply {sample} to {prompt}.", "token_ids": np.arange(sample + 1, dtype=np.int32)} | {
            "behavior_logprobs": np.zeros(sample + 1, dtype=np.float32)
        }
    if table == "verdicts":
        reward = None if success is None else float(success)
        return {"success": success, "reward": reward, "error": "it hung" if success is None else None}
    if table == "contexts":
        shown = PEER | {"round": round, "prompt_id": prompt, "sample": 0}
        return {
            "peers": [shown] if sample else [],
            "has_sections": sample > 0,
            "no_section_reason": None if sample else "no peer",
        }
    return {"mean_teacher_logprob": -0.5 + sample / 4, "distill": sample > 0}
