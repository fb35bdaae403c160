"""What the gradient of an update must not depend on: how its rollouts are cut, ordered, padded, or shared out.

Weights and numbers are float64, so only the order of additions differs, and the norms that the model takes in fp32
whatever its weights are: gradients agree to about 1e-8 of their length. Each objective in turn, on a tiny model.
"""

from __future__ import annotations

import multiprocessing
import random
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mopd.models.folders import load_model, resolve_model
from mopd.objectives import objective_class
from mopd.objectives.base import Update
from mopd.score import Scorer
from mopd.settings import Settings, parse_settings
from mopd.trainer.gradients import accumulate_gradients
from mopd.trainer.updates import split_updates

CPU = torch.device("cpu")
Rows = list[dict[str, Any]]
Gradient = dict[str, np.ndarray]

STEPS: dict[str, Any] = {"aggregation": {"kind": "step_level", "separator": "."}}
SEQUENCES: dict[str, Any] = {"aggregation": "sequence_mean"}
DISTILL: dict[str, Any] = {"kind": "distill", "policy_gradient_weight": 0.3}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "distill": {"objective": DISTILL},
    "distill by sequence": {"objective": DISTILL | {"alpha": 0.0}, **SEQUENCES},
    "distill by step": {"objective": DISTILL | {"alpha": 1.0}, **STEPS},
    "renormalized": {"objective": DISTILL | {"tail": "renormalize"}, "importance": "proximal"},
    "sampled token": {"objective": DISTILL | {"alpha": 1.0, "form": "sampled_token"}, "importance": "none"},
    "grpo": {"objective": {"kind": "grpo", "kl_weight": 0.1}},
    "dpo": {"objective": {"kind": "dpo"}},
    "simpo": {"objective": {"kind": "simpo"}},
    "sft": {"objective": {"kind": "sft"}},
}


def settings(
    train: dict[str, Any] | None = None, *, tokens: int = 10_000, positions: int = 512, support: str = "student"
) -> Settings:
    """Settings without autocast; `tokens` are those of a pass, `positions` those of a chunk."""
    tree = {
        "model": {"path": "tiny:llama", "precision": "float32"},
        "score": {"chunk_positions": positions, "max_tokens_per_pass": tokens, "top_k": 4, "support": support},
        "train": {**(train or {}), "max_tokens_per_pass": tokens, "updates_per_round": 2},
    }
    return parse_settings(tree)


@pytest.fixture(scope="module")
def folder() -> Path:
    return resolve_model("tiny:llama")


def update_rows(num_groups: int = 4, samples: int = 3, top_k: int = 5) -> Rows:
    """Score rows in float64; groups of unlike lengths, rollouts without distillation, reward or success among them."""
    rng = np.random.default_rng(0)
    return [
        {
            "prompt_id": f"p{group}",
            "sample": sample,
            "prompt_token_ids": np.arange(3, 8 + 2 * group),
            "temperature": 0.8,
            "token_ids": rng.integers(3, 40, size=length),
            "behavior_logprobs": rng.normal(-5.5, 0.5, size=length),
            "proximal_logprobs": rng.normal(-5.5, 0.5, size=length),
            "reference_logprobs": rng.normal(-5.5, 0.5, size=length),
            "teacher_logprobs": rng.normal(-5.5, 0.5, size=length),
            "support_ids": np.stack([rng.permutation(200)[:top_k] for _ in range(length)]).astype(np.int32),
            "support_teacher_logprobs": np.log(rng.dirichlet(np.ones(top_k + 1), size=length)[:, :top_k]),
            "step_ids": np.sort(rng.integers(0, 3, size=length)),
            "advantage": None if (group, sample) == (1, 1) else float(rng.normal()),
            "reward": float(sample % 2),
            "success": sample % 2 == 1,
            "distill": (group, sample) != (2, 0),
        }
        for group in range(num_groups)
        for sample in range(samples)
        for length in [int(rng.integers(1, 9))]
    ]


@cache
def float64_model(folder: Path) -> Any:
    return load_model(folder, CPU).double()


def gradient(folder: Path, rows: Rows, chosen: Settings) -> Gradient:
    """Of the update's loss, by parameter, in float64."""
    student = float64_model(folder)
    student.zero_grad()
    objective = objective_class(chosen.train)(Update(rows, chosen.train))
    accumulate_gradients(student, objective, chosen, CPU, number=0)
    return {name: value.grad.numpy().copy() for name, value in student.named_parameters() if value.grad is not None}


def assert_same(first: Gradient, second: Gradient, tolerance: float = 1e-7) -> None:
    """Each parameter's gradient agrees to a share `tolerance` of the whole gradient's norm."""
    assert first.keys() == second.keys()
    norm = np.sqrt(sum(np.square(value).sum() for value in first.values()))
    assert norm > 0
    for name, value in first.items():
        assert np.abs(value - second[name]).max() <= tolerance * norm, name


@pytest.mark.parametrize("train", OBJECTIVES.values(), ids=OBJECTIVES.keys())
def test_micro_batches_chunks_and_order(folder: Path, train: dict[str, Any]) -> None:
    """One pass over padded trees gives what a rollout at a time, cut anywhere and in any order, gives."""
    rows = update_rows()
    whole = gradient(folder, rows, settings(train))
    for tokens, positions in ((1, 512), (40, 3)):
        assert_same(whole, gradient(folder, rows, settings(train, tokens=tokens, positions=positions)))
    assert_same(whole, gradient(folder, random.Random(0).sample(rows, len(rows)), settings(train)))


@pytest.mark.parametrize("tail", ["bucket", "renormalize"])
def test_padding_of_supports(folder: Path, tail: str) -> None:
    """Places that a union leaves empty, id -1 and log-probability -inf, carry nothing."""
    rows, chosen = update_rows(), settings({"objective": {"kind": "distill", "tail": tail}})
    padded = [row | padded_support(row) for row in rows]
    assert_same(gradient(folder, rows, chosen), gradient(folder, padded, chosen))


def padded_support(row: dict[str, Any]) -> dict[str, np.ndarray]:
    wider = ((0, 0), (0, 3))
    return {
        "support_ids": np.pad(row["support_ids"], wider, constant_values=-1),
        "support_teacher_logprobs": np.pad(row["support_teacher_logprobs"], wider, constant_values=-np.inf),
    }


@pytest.mark.parametrize("support", ["student", "teacher", "union"])
def test_shards_do_not_change_scores_or_gradient(folder: Path, support: str) -> None:
    """Scored at once, or shard by shard in small passes: the same update, but for the fp32 of the scores.

    A random model's teacher is so near to its student that the last digits of the scores are 1e-5 of what is between.
    """
    chosen, small = (settings(None, **sizes, support=support) for sizes in ({}, {"tokens": 16, "positions": 2}))
    whole = score(folder, update_rows(), chosen)
    parts = [row for number in range(4) for row in score(folder, group(number), small)]
    assert [row["prompt_id"] for row in parts] == [row["prompt_id"] for row in whole]
    assert_same(gradient(folder, whole, chosen), gradient(folder, parts, chosen), tolerance=1e-3)


def group(number: int) -> Rows:
    return [row for row in update_rows() if row["prompt_id"] == f"p{number}"]


def score(folder: Path, rows: Rows, chosen: Settings) -> Rows:
    """Score rows of a shard: the teacher is the student after a longer prompt."""
    keys = [{"run": "r", "round": 0, "policy_version": 0, "text": "", "finish_reason": "stop"} | row for row in rows]
    contexts = [
        {"context_token_ids": np.append([9, 10, 11], row["prompt_token_ids"]), "context_digest": ""}
        | {"has_sections": row["distill"], "variant": "success"}
        for row in rows
    ]
    scored = Scorer(chosen, policy_folder=folder, device=CPU).score(keys, keys, contexts, policy_version=0)
    wide = ("behavior_logprobs", "support_teacher_logprobs")
    return [row | {name: np.asarray(row[name], dtype=np.float64) for name in wide} for row in scored]


def test_shards_do_not_change_the_updates_of_a_round() -> None:
    """Groups are drawn by their order in the round, which shards of any size keep."""
    rows = update_rows()
    expected = [[row["prompt_id"] for row in part] for part in split_updates(rows, settings(), round=3)]
    for size in (1, 2):
        shards = [[row for n in range(first, first + size) for row in group(n)] for first in range(0, 4, size)]
        joined = [row for shard in shards for row in shard]
        assert [[row["prompt_id"] for row in part] for part in split_updates(joined, settings(), round=3)] == expected


SHARED = {
    "distill": lambda rows: sum(len(row["token_ids"]) for row in rows if row["distill"]),
    "distill by sequence": lambda rows: sum(row["distill"] for row in rows),
    "grpo": lambda rows: sum(len(row["token_ids"]) for row in rows if row["advantage"] is not None),
    "sft": lambda rows: sum(len(row["token_ids"]) for row in rows if row["success"]),
    "dpo": lambda rows: len({row["prompt_id"] for row in rows}),
}
"""What a half of the update counts for, by objective."""


def gradients_of_half(folder: Path, rows: Rows) -> dict[str, Gradient]:
    """What one of the two processes computes."""
    return {name: gradient(folder, rows, settings(alone(name))) for name in SHARED}


def alone(name: str) -> dict[str, Any]:
    """The objective without a blend, whose two parts would be shared out each by its own weight."""
    chosen = OBJECTIVES[name]["objective"]
    return OBJECTIVES[name] | {"objective": {key: chosen[key] for key in chosen if key != "policy_gradient_weight"}}


def test_two_processes_give_what_one_gives(folder: Path) -> None:
    """Each takes half of the groups; their gradients, weighted by what each half counts for, add up to the update's."""
    rows = update_rows()
    halves = [[row for row in rows if row["prompt_id"] in names] for names in (("p0", "p3"), ("p1", "p2"))]
    with multiprocessing.get_context("spawn").Pool(1) as other:
        found = [gradients_of_half(folder, halves[0]), other.apply(gradients_of_half, (folder, halves[1]))]
    for name, count in SHARED.items():
        shares = [count(half) / count(rows) for half in halves]
        parts = [
            {key: share * value for key, value in half[name].items()} for share, half in zip(shares, found, strict=True)
        ]
        both = {key: sum(part[key] for part in parts) for key in parts[0]}
        assert_same(gradient(folder, rows, settings(alone(name))), both)
