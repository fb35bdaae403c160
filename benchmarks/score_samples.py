"""Score rows of a real model on its own rollouts, in fp32, with what the student says there in float64.

Rollouts, verdicts and contexts are those of `examples/demo.yaml`, by mopd's own stages with the transformers engine.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from supports import CONFIG, hidden, sample
from torch import Tensor

from mopd.models.folders import load_model, resolve_model
from mopd.score import Scorer
from mopd.settings import Settings, load_settings

FIXED = ["generate.engine=transformers", "model.precision=float32", "score.precision=float32"]
SCENARIOS = {
    "short": [],
    "hot": ["generate.temperature=1.0", "generate.max_tokens=128", "condition.max_context_tokens=1024"]
    + ["generate.num_samples=2", "generate.num_prompts=8"],
}
"""By name, what is changed in the demo: replies of 20 tokens at temperature 0.8, or longer ones of flatter
distributions."""
CHUNK = 64
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Scored:
    """The scores of a scenario. Axes: T tokens of all rollouts, K support ids."""

    rows: Rows
    student_TK: Tensor
    """On the support, in float64."""
    outside_T: Tensor
    """Sum of the squares of the student's probabilities outside the support."""

    @property
    def teacher_TK(self) -> Tensor:
        """On the support, in fp32."""
        return torch.from_numpy(np.concatenate([row["support_teacher_logprobs"] for row in self.rows]))


def score_scenario(name: str, kept: Path | None) -> Scored:
    """A scenario sampled and scored, or taken from the folder that keeps it."""
    path = kept / f"{name}.pickle" if kept else None
    if path is not None and path.exists():
        return Scored(*pickle.loads(path.read_bytes()))
    settings = load_settings(CONFIG, [*FIXED, *SCENARIOS[name]])
    policy = resolve_model(settings.model.path)
    rows = Scorer(settings, policy_folder=policy).score(*sample(settings, policy, round=0), policy_version=0)
    scored = Scored(rows, *_read_student(settings, policy, rows))
    if path is not None:
        path.write_bytes(pickle.dumps((scored.rows, scored.student_TK, scored.outside_T)))
    return scored


@torch.no_grad()
def _read_student(settings: Settings, policy: Path, rows: Rows) -> tuple[Tensor, Tensor]:
    """The student on the support [T, K], and the squares of its probabilities outside it, added up [T]."""
    model = load_model(policy)
    prompts, replies = ([np.asarray(row[name]) for row in rows] for name in ("prompt_token_ids", "token_ids"))
    hidden_TH = hidden(model, prompts, replies, settings.score.max_tokens_per_pass)
    ids_TK = torch.from_numpy(np.concatenate([row["support_ids"] for row in rows])).long()
    parts, outside = [], []
    for hidden_CH, ids_CK in zip(hidden_TH.split(CHUNK), ids_TK.split(CHUNK), strict=True):
        logits_CV = model.get_output_embeddings()(hidden_CH).double() / settings.generate.temperature
        logps_CV = torch.log_softmax(logits_CV, dim=-1)
        parts.append(logps_CV.gather(1, ids_CK))
        outside.append((2 * logps_CV).exp().scatter(1, ids_CK, 0.0).sum(dim=1))
    return torch.cat(parts), torch.cat(outside)
