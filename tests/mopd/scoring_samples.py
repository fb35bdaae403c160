"""A shard to be scored, and a scorer of the tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mopd.models.folders import resolve_model
from mopd.score import Scorer
from mopd.settings import parse_settings

Rows = list[dict[str, Any]]

PROMPT, CONTEXT = [5, 6, 7], [5, 6, 7, 8, 9]
RESPONSES = [[11, 12, 13], [14], []]
TEMPERATURE = 0.8
TOP_K = 4


def shard() -> tuple[Rows, Rows, Rows]:
    """Rollouts, verdicts and contexts of one group; the last response is empty."""
    keys = [{"run": "r", "round": 0, "prompt_id": "p", "sample": sample} for sample in range(len(RESPONSES))]
    sampled = {"prompt_token_ids": PROMPT, "temperature": TEMPERATURE}
    rollouts = [
        key | sampled | {"token_ids": ids, "behavior_logprobs": [-1.0] * len(ids)}
        for key, ids in zip(keys, RESPONSES, strict=True)
    ]
    verdicts = [key | {"reward": reward} for key, reward in zip(keys, (1.0, 0.0, None), strict=True)]
    context = {"context_token_ids": CONTEXT, "has_sections": True, "variant": "success", "context_digest": "d"}
    return rollouts, verdicts, [key | context for key in keys]


def scorer_of(changes: dict[str, Any], *, policy_folder: Path | None = None, **folders: Path | None) -> Scorer:
    """A scorer in fp32 on the CPU with a support of TOP_K."""
    tree = {"model": {"path": "tiny:llama", "precision": "float32"}, **changes}
    tree["score"] = {"top_k": TOP_K, **changes.get("score", {})}
    policy = policy_folder or resolve_model("tiny:llama")
    return Scorer(parse_settings(tree), policy_folder=policy, device=torch.device("cpu"), **folders)
