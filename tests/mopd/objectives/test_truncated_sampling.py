"""What truncated sampling does to training, by enumeration of a vocabulary of four tokens.

The policy is pi, top_p = 0.7 keeps K = {0, 1} of mass Z = 0.75, and rollouts are drawn from mu = pi / Z on K. Expected
gradients are sums over what can be drawn, weighted by mu; `docs/sampling.md` has the same arithmetic.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from test_objectives import FIRST, double, loss_and_gradient, table_settings

from mopd.engines import Sampling
from mopd.engines.distribution import sampling_logps
from mopd.errors import InputError
from mopd.objectives import columns_read
from mopd.settings import GenerateSettings, Settings, parse_settings

PI = np.array([0.45, 0.30, 0.15, 0.10])
KEPT, Z = [0, 1], 0.75
MU = np.array([0.6, 0.4])
LOGITS_STV = double(np.log(PI)).reshape(1, 1, 4)
IDENTITY = np.eye(4)


def row(token: int, advantage: float) -> dict[str, Any]:
    """A rollout of one token; the trainer at the start of the round is the policy itself."""
    sampled = {"prompt_token_ids": [FIRST], "token_ids": [token], "temperature": 1.0, "advantage": advantage}
    read = {"behavior_logprobs": np.log(MU[[token]]), "proximal_logprobs": np.log(PI[[token]])}
    teacher = {"support_ids": np.arange(4)[None], "support_teacher_logprobs": np.log([[0.1, 0.2, 0.3, 0.4]])}
    return {**sampled, **read, **teacher, "distill": True}


def expected_ascent(objective: Any, importance: Any, advantages: dict[int, float]) -> np.ndarray:
    """Minus the gradient of the loss by the logits [4], over what truncated sampling draws."""
    chosen = table_settings(objective, importance=importance)
    ascents = [-loss_and_gradient(LOGITS_STV, [row(t, advantages[t])], chosen)[1].numpy()[0, 0] for t in KEPT]
    return np.asarray(MU @ np.stack(ascents))


def test_what_is_kept_is_what_the_engine_keeps() -> None:
    sampling = Sampling.of(GenerateSettings(top_p=0.7))
    logps_BV = sampling_logps(double(np.log(PI))[None], torch.zeros(1, 0, dtype=torch.long), sampling, num_prompt=0)
    assert logps_BV[0].exp().tolist() == pytest.approx([0.6, 0.4, 0, 0])


@pytest.mark.parametrize("objective", [{"kind": "grpo"}, {"kind": "distill", "policy_gradient_weight": 1.0}])
def test_recomputed_ratios_weight_every_token_by_one(objective: Any) -> None:
    """sum over K of mu * A * (e - pi); relative to mu it is Z times that, sum over K of pi * A * (e - pi)."""
    advantages = {0: 0.5, 1: 2.0}
    ascent = sum(MU[t] * advantages[t] * (IDENTITY[t] - PI) for t in KEPT)
    np.testing.assert_allclose(expected_ascent(objective, "recomputed", advantages), ascent, atol=1e-12)
    np.testing.assert_allclose(expected_ascent(objective, "behavior", advantages), Z * ascent, atol=1e-12)


def test_with_a_groups_mean_as_baseline_it_is_the_gradient_of_what_is_sampled() -> None:
    """Of the expected reward under mu, sum over K of mu * r * (e - mu): advantages whose mean under mu is zero."""
    rewards = {0: 1.0, 1: 0.0}
    mean = sum(MU[t] * rewards[t] for t in KEPT)
    advantages = {t: rewards[t] - mean for t in KEPT}
    mu_V = np.array([*MU, 0.0, 0.0])
    truncated = sum(MU[t] * rewards[t] * (IDENTITY[t] - mu_V) for t in KEPT)
    np.testing.assert_allclose(expected_ascent({"kind": "grpo"}, "recomputed", advantages), truncated, atol=1e-12)


def test_relative_to_what_was_sampled_from_grpo_would_silence_failures() -> None:
    """Z is below 1 - clip before any training: nothing pushes the failed token down."""
    failed = {0: 0.0, 1: -1.0}
    assert not expected_ascent({"kind": "grpo", "clip": 0.2}, "behavior", failed).any()
    pushed = MU[1] * -(IDENTITY[1] - PI)
    np.testing.assert_allclose(expected_ascent({"kind": "grpo", "clip": 0.2}, "recomputed", failed), pushed, atol=1e-12)


def test_distillation_is_not_shrunk_by_the_kept_mass() -> None:
    """Its target knows no truncation: at a position it has one gradient, whichever token was drawn."""
    whole = -loss_and_gradient(LOGITS_STV, [row(0, 0.0)], table_settings({"kind": "distill"}, importance="none"))[1]
    for importance, share in (("recomputed", 1.0), ("behavior", Z)):
        ascent = expected_ascent({"kind": "distill"}, importance, {0: 0.0, 1: 0.0})
        np.testing.assert_allclose(ascent, share * whole.numpy()[0, 0], atol=1e-12)


def chosen_importance(generate: dict[str, Any], **train: Any) -> Settings:
    return parse_settings({"generate": generate, "train": train})


@pytest.mark.parametrize(
    "generate",
    [{"top_p": 0.9}, {"top_k": 20}, {"min_p": 0.1}, {"repetition_penalty": 1.1}, {"presence_penalty": 0.5}],
)
def test_importance_follows_sampling(generate: dict[str, Any]) -> None:
    chosen = chosen_importance(generate)
    assert chosen.train.importance.kind == "recomputed"
    assert "proximal_logprobs" in columns_read(chosen)["scores"]
    assert chosen_importance(generate, importance={"clip": 3.0}).train.importance.model_dump() == {
        "kind": "recomputed",
        "clip": 3.0,
    }
    assert chosen_importance(generate, importance="none").train.importance.kind == "none"
    assert parse_settings(chosen.model_dump(mode="json")) == chosen
    for kind in ("behavior", "proximal"):
        with pytest.raises(InputError, match=f"importance: {kind} compares .* set train.importance to recomputed"):
            chosen_importance(generate, importance=kind)


@pytest.mark.parametrize("generate", [{}, {"temperature": 0.5}, {"stop": "x"}, {"top_p": 1.0, "top_k": 0}])
def test_importance_is_the_papers_where_the_whole_distribution_is_sampled_from(generate: dict[str, Any]) -> None:
    assert chosen_importance(generate).train.importance.kind == "behavior"
