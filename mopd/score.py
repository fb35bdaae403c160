"""Score: what student and teacher say about every token of every rollout.

The student reads prompt + rollout, the teacher context + rollout; both give the log-probability of the sampled tokens
and of the student's top-k support, at the rollout temperature (arXiv 2605.12652, section 3). The logic of peers stays
outside: a context is token ids.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mopd.forward import (
    Branch,
    branches,
    check_head,
    check_window,
    hidden_states,
    make_batch,
    plan_batches,
    token_logps,
)
from mopd.models import autocast_dtype, load_model, model_window

if TYPE_CHECKING:  # scoring and training run where pydantic is not installed
    from mopd.settings import Settings

Rows = list[dict[str, Any]]


def default_device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(precision: str, device: torch.device) -> Any:
    """Context of the forward pass; a no-op in fp32."""
    dtype = autocast_dtype(precision, device.type)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


class Scorer:
    """Student and teacher, loaded once, scoring shard after shard."""

    def __init__(
        self, student_folder: Path, teacher_folder: Path, settings: Settings, device: torch.device | None = None
    ) -> None:
        self.settings = settings
        self.device = device or default_device()
        self.window = model_window(student_folder)
        self.student = load_model(student_folder, self.device)
        same = Path(student_folder) == Path(teacher_folder)
        self.teacher = self.student if same else load_model(teacher_folder, self.device)
        check_head(self.student)

    def score(
        self, rollouts: Rows, verdicts: Rows, contexts: Rows, *, policy_version: int, teacher_version: int
    ) -> Rows:
        """Rows of `scores`, one a rollout, in the order of `rollouts`."""
        responses = [np.asarray(row["token_ids"], dtype=np.int64) for row in rollouts]
        prompts = [np.asarray(row["prompt_token_ids"], dtype=np.int64) for row in rollouts]
        shown = [np.asarray(row["context_token_ids"], dtype=np.int64) for row in contexts]
        check_window([len(p) + len(r) for p, r in zip(shown, responses, strict=True)], self.window)
        temperatures = {float(row["temperature"]) for row in rollouts}
        assert len(temperatures) == 1, "a shard is sampled at one temperature"
        temperature = temperatures.pop()
        student = self._read(self.student, branches(prompts, responses), temperature, supports=None)
        supports = {row: ids for row, (_, ids, _) in student.items()}
        teacher = self._read(self.teacher, branches(shown, responses), temperature, supports=supports)
        advantages = group_advantages(verdicts, normalize_std=self.settings.train.normalize_advantage_std)
        return [
            _score_row(
                rollout,
                context,
                student.get(row),
                teacher.get(row),
                advantage=advantages[row],
                policy_version=policy_version,
                teacher_version=teacher_version,
                teacher_kind=self.settings.train.teacher.kind,
                top_k=self.settings.score.top_k,
            )
            for row, (rollout, context) in enumerate(zip(rollouts, contexts, strict=True))
        ]

    @torch.no_grad()
    def _read(
        self, model: Any, items: list[Branch], temperature: float, supports: dict[int, np.ndarray] | None
    ) -> dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Per row: sampled logps [T], support ids [T, K], support logps [T, K]."""
        settings, out = self.settings.score, {}
        for trees in plan_batches(items, max_tokens=settings.max_tokens_per_pass):
            batch = make_batch(trees, self.device)
            given = None
            if supports is not None:
                given = torch.from_numpy(np.concatenate([supports[row] for row, _ in batch.rows])).to(self.device)
            with autocast(self.settings.model.precision, self.device):
                logps = token_logps(
                    model,
                    hidden_states(model, batch),
                    batch.targets,
                    temperature=temperature,
                    chunk=settings.chunk_positions,
                    support_ids_NK=given,
                    top_k=settings.top_k if given is None else None,
                )
            arrays = [tensor.cpu().numpy() for tensor in logps]
            start = 0
            for row, length in batch.rows:
                sampled, ids, support = (array[start : start + length] for array in arrays)
                out[row] = (sampled, ids, support)
                start += length
        return out


def group_advantages(verdicts: Rows, *, normalize_std: bool) -> list[float | None]:
    """Group-relative advantage of each verdict: reward minus the group's mean, over its standard deviation.

    Rollouts without a reward get None and do not enter the group's statistics; a group of equal rewards gets zeros.
    """
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(verdicts):
        if row["reward"] is not None:
            groups.setdefault(row["prompt_id"], []).append(index)
    advantages: list[float | None] = [None] * len(verdicts)
    for members in groups.values():
        rewards = np.array([verdicts[index]["reward"] for index in members], dtype=np.float64)
        equal = rewards.max() == rewards.min()  # the mean of equal rewards may differ from them by rounding
        centred = np.zeros_like(rewards) if equal else rewards - rewards.mean()
        if normalize_std and not equal:
            centred = centred / rewards.std()
        for index, value in zip(members, centred, strict=True):
            advantages[index] = float(value)
    return advantages


def _score_row(
    rollout: dict[str, Any],
    context: dict[str, Any],
    student: tuple[np.ndarray, np.ndarray, np.ndarray] | None,
    teacher: tuple[np.ndarray, np.ndarray, np.ndarray] | None,
    *,
    advantage: float | None,
    policy_version: int,
    teacher_version: int,
    teacher_kind: str,
    top_k: int,
) -> dict[str, Any]:
    empty = (np.zeros(0, np.float32), np.zeros((0, top_k), np.int64), np.zeros((0, top_k), np.float32))
    student_logps_T, support_ids_TK, student_support_TK = student or empty
    teacher_logps_T, _, teacher_support_TK = teacher or empty
    return {
        **{name: rollout[name] for name in ("run", "round", "prompt_id", "sample")},
        "teacher": teacher_kind,
        "teacher_version": teacher_version,
        "policy_version": policy_version,
        "prompt_token_ids": rollout["prompt_token_ids"],
        "token_ids": rollout["token_ids"],
        "temperature": rollout["temperature"],
        "behavior_logprobs": rollout["behavior_logprobs"],
        "proximal_logprobs": student_logps_T,
        "teacher_logprobs": teacher_logps_T,
        "support_ids": support_ids_TK.astype(np.int32),
        "support_student_logprobs": student_support_TK,
        "support_teacher_logprobs": teacher_support_TK,
        "advantage": advantage,
        "distill": bool(context["has_sections"]) or context["variant"] == "none",
        "mean_teacher_logprob": float(teacher_logps_T.mean()) if len(teacher_logps_T) else None,
        "context_digest": context["context_digest"],
    }
