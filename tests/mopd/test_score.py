"""Scoring: the numbers of student and teacher beside each token, and the group-relative advantage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mopd.errors import InputError
from mopd.models import load_model, resolve_model
from mopd.score import Scorer, group_advantages
from mopd.settings import parse_settings

PROMPT, CONTEXT = [5, 6, 7], [5, 6, 7, 8, 9]
RESPONSES = [[11, 12, 13], [14], []]


@pytest.fixture(scope="module")
def folder() -> Path:
    return resolve_model("tiny:llama")


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict[str, Any]]:
    settings = parse_settings({"model": {"path": "tiny:llama", "precision": "float32"}, "score": {"top_k": 4}})
    return Scorer(folder, folder, settings, torch.device("cpu")).score(*shard(), policy_version=0, teacher_version=0)


def shard() -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    keys = [{"run": "r", "round": 0, "prompt_id": "p", "sample": sample} for sample in range(len(RESPONSES))]
    rollouts = [
        key | {"prompt_token_ids": PROMPT, "token_ids": ids, "temperature": 0.8, "behavior_logprobs": [-1.0] * len(ids)}
        for key, ids in zip(keys, RESPONSES, strict=True)
    ]
    verdicts = [key | {"reward": reward} for key, reward in zip(keys, (1.0, 0.0, None), strict=True)]
    context = {"context_token_ids": CONTEXT, "has_sections": True, "variant": "success", "context_digest": "d"}
    return rollouts, verdicts, [key | context for key in keys]


def logps(folder: Path, prefix: list[int], response: list[int]) -> torch.Tensor:
    with torch.no_grad():
        logits = load_model(folder, "cpu")(torch.tensor([prefix + response])).logits[0, len(prefix) - 1 : -1]
    return torch.log_softmax(logits / 0.8, dim=-1)


@pytest.mark.parametrize("row", [0, 1])
def test_student_reads_the_prompt_and_teacher_the_context(rows: list[dict[str, Any]], folder: Path, row: int) -> None:
    ids = torch.tensor(RESPONSES[row])[:, None]
    for column, prefix in (("proximal_logprobs", PROMPT), ("teacher_logprobs", CONTEXT)):
        expected = logps(folder, prefix, RESPONSES[row]).gather(1, ids).squeeze(1)
        np.testing.assert_allclose(rows[row][column], expected, atol=1e-5)


def test_support_is_the_students_top_k_and_both_models_are_read_on_it(rows: list[dict[str, Any]], folder: Path) -> None:
    student, teacher = (logps(folder, prefix, RESPONSES[0]) for prefix in (PROMPT, CONTEXT))
    np.testing.assert_allclose(rows[0]["support_student_logprobs"], student.topk(4).values, atol=1e-5)
    ids = torch.from_numpy(rows[0]["support_ids"]).long()
    np.testing.assert_allclose(rows[0]["support_teacher_logprobs"], teacher.gather(1, ids), atol=1e-5)


def test_an_empty_response_has_no_score_rather_than_the_best(rows: list[dict[str, Any]]) -> None:
    assert rows[2]["mean_teacher_logprob"] is None
    assert rows[2]["support_ids"].shape == (0, 4)


def test_longer_than_the_window_is_refused(folder: Path) -> None:
    scorer = Scorer(folder, folder, parse_settings({"model": {"path": "tiny:llama"}}), torch.device("cpu"))
    scorer.window = 6
    with pytest.raises(InputError, match="8 tokens and the model reads 6"):
        scorer.score(*shard(), policy_version=0, teacher_version=0)


def verdicts(*rewards: float | None) -> list[dict[str, Any]]:
    return [{"prompt_id": "p", "reward": reward} for reward in rewards]


def test_advantage_is_relative_to_the_group() -> None:
    assert group_advantages(verdicts(1.0, 0.0, 0.0, 0.0), normalize_std=False) == [0.75, -0.25, -0.25, -0.25]
    assert group_advantages(verdicts(1.0, 0.0), normalize_std=True) == [1.0, -1.0]


def test_a_null_reward_has_no_advantage_and_stays_out_of_the_mean() -> None:
    assert group_advantages(verdicts(1.0, None, 0.0), normalize_std=False) == [0.5, None, -0.5]


def test_equal_rewards_give_zero() -> None:
    for rewards in ((1.0, 1.0), (0.1,) * 3, (0.7,) * 6):  # the mean of three 0.1 is not 0.1
        assert group_advantages(verdicts(*rewards), normalize_std=True) == [0.0] * len(rewards)
