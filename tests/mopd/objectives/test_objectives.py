"""Objectives: their numbers agree with values computed independently, and each favours what it should."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from test_train import CPU, sampled_logps, score_rows, settings

from mopd.errors import InputError
from mopd.groups import group_advantages
from mopd.models.folders import load_model, resolve_model
from mopd.objectives import (
    OBJECTIVES,
    ROLLOUT_COLUMNS,
    columns_read,
    needs_reference,
    needs_support,
    needs_teacher,
    objective_class,
)
from mopd.objectives.base import Update
from mopd.objectives.pairs import reward_pairs
from mopd.objectives.response_steps import StepSplitter
from mopd.settings import Settings, parse_settings
from mopd.train import check_staleness, take_step, train_round
from mopd.trainer.gradients import accumulate_gradients
from mopd.trainer.state import open_state

GOLDEN = Path(os.environ.get("MOPD_GOLDEN", "../shared/golden")) / "losses.json"
FIRST = 100
"""The prompt of rollout s is the one token FIRST + s, by which a table knows it again."""
KINDS: dict[str, dict[str, Any]] = {
    "distill": {"kind": "distill"},
    "reverse": {"kind": "distill", "alpha": 1.0, "tail": "renormalize"},
    "sampled": {"kind": "distill", "alpha": 1.0, "form": "sampled_token"},
    "blend": {"kind": "distill", "policy_gradient_weight": 0.5},
    "grpo": {"kind": "grpo"},
    "grpo_kl": {"kind": "grpo", "kl_weight": 0.5},
    "dpo": {"kind": "dpo", "beta": 0.5},
    "simpo": {"kind": "simpo"},
    "sft": {"kind": "sft"},
}


class Table(torch.nn.Module):
    """A model whose logits [S, T, V] are looked up: rollout s is told by its prompt, t by the position."""

    def __init__(self, logits_STV: torch.Tensor) -> None:
        super().__init__()
        self.logits_STV = logits_STV
        self.config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(num_hidden_layers=0))

    def base_model(self, input_ids: torch.Tensor, position_ids: torch.Tensor, **_: Any) -> Any:
        return SimpleNamespace(last_hidden_state=self.logits_STV[input_ids[:, :1] - FIRST, position_ids])

    def get_output_embeddings(self) -> Any:
        return SimpleNamespace(weight=torch.eye(self.logits_STV.shape[-1], dtype=torch.float64), bias=None)


def double(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def table_settings(objective: Any, *, tokens: int = 6, **parts: Any) -> Settings:
    """Float64 tables know no autocast; several micro-batches."""
    score = {"chunk_positions": 3, "support": parts.pop("support", "student")}
    train = {"max_tokens_per_pass": 2 * tokens, "objective": objective, **parts}
    return parse_settings({"model": {"precision": "float32"}, "score": score, "train": train})


def loss_and_gradient(
    logits_STV: torch.Tensor, rows: list[dict[str, Any]], chosen: Settings, teacher: Any = None
) -> tuple[float, torch.Tensor]:
    """As the trainer gets them."""
    logits_STV = logits_STV.clone().requires_grad_()
    objective = objective_class(chosen.train)(Update(rows, chosen.train, teacher))
    accumulate_gradients(Table(logits_STV), objective, chosen, CPU, number=0)
    loss = objective.report()["loss"]
    assert loss is not None
    assert logits_STV.grad is not None
    return loss, logits_STV.grad


def golden_cases(part: str) -> list[dict[str, Any]]:
    return json.loads(GOLDEN.read_text())[part] if GOLDEN.exists() else []


def case_name(case: dict[str, Any]) -> str:
    if "objective" in case:
        return f"{case['objective']}-{case['label_smoothing']:g}"
    steps = "-steps" if case["step_level"] else ""
    decoupled = "-decoupled" if case["rollout_weights"] else ""
    return f"{case['support']}-{case['alpha']}-{case['importance_clip']}-{case['aggregation']}{steps}{decoupled}"


needs_golden = pytest.mark.skipif(not GOLDEN.exists(), reason=f"{GOLDEN} is absent; set MOPD_GOLDEN")
MEANS = {"token-mean": "token_mean", "seq-mean-token-mean": "sequence_mean"}


def distillation_settings(case: dict[str, Any]) -> Settings:
    objective: dict[str, Any] = {"kind": "distill", "alpha": case["alpha"]}
    objective |= {"tail": "renormalize"} if case["support"] == "topk_renorm" else {}
    objective |= {"form": "sampled_token"} if case["support"] == "sampled_token" else {}
    mean = MEANS[case["aggregation"]]
    importance = {"kind": "proximal" if case["rollout_weights"] else "behavior", "clip": case["importance_clip"]}
    return table_settings(
        objective,
        support="full" if case["support"] == "full" else "student",
        importance="none" if case["importance_clip"] is None else importance,
        aggregation={"kind": "step_level", "over": mean} if case["step_level"] else mean,
    )


def distillation_rows(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The file's decoupled cases have the ratio to the sampler before training, truncated, as `rollout_weights`."""
    teacher_STV = torch.log_softmax(double(case["teacher_logits"]), dim=-1)
    rows = []
    for s, mask in enumerate(case["response_mask"]):
        length = int(sum(mask))
        tokens, proximal = np.array(case["token_ids"][s][:length]), np.array(case["behavior_logprobs"][s][:length])
        before = case["rollout_weights"][s][:length] if case["rollout_weights"] else np.ones(length)
        row: dict[str, Any] = {"prompt_token_ids": [FIRST + s], "context_token_ids": [FIRST + s], "token_ids": tokens}
        row |= {"temperature": 1.0, "proximal_logprobs": proximal, "behavior_logprobs": proximal - np.log(before)}
        row |= {"advantage": None, "distill": bool(case["distill_mask"][s])}
        row["teacher_logprobs"] = teacher_STV[s, range(length), tokens].numpy()
        if case["support_ids"]:
            row["support_ids"] = np.array(case["support_ids"][s][:length])
            row["support_teacher_logprobs"] = np.take_along_axis(teacher_STV[s].numpy()[:length], row["support_ids"], 1)
        if case["step_ids"]:
            row["step_ids"] = case["step_ids"][s][:length]
        rows.append(row)
    return rows


@needs_golden
@pytest.mark.parametrize("case", golden_cases("distillation"), ids=case_name)
def test_distillation_agrees_with_golden(case: dict[str, Any]) -> None:
    chosen = distillation_settings(case)
    teacher = Table(double(case["teacher_logits"])) if needs_teacher(chosen) else None
    loss, gradient = loss_and_gradient(double(case["student_logits"]), distillation_rows(case), chosen, teacher)
    assert loss == pytest.approx(case["loss"], abs=1e-9)
    torch.testing.assert_close(gradient, double(case["grad_student_logits"]), atol=1e-9, rtol=0)


def outcome_rows(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Rollouts of token 0, whose log-probability a table of two tokens gives as the case says."""
    rows = []
    for s, mask in enumerate(case["response_mask"]):
        length, reward = int(sum(mask)), case["rewards"][s]
        row: dict[str, Any] = {
            "prompt_id": case["group_ids"][s],
            "prompt_token_ids": [FIRST + s],
            "token_ids": [0] * length,
        }
        row |= {"temperature": 1.0, "behavior_logprobs": np.zeros(length), "reward": reward, "success": reward >= 1.0}
        if case["reference_logprobs"]:
            row["reference_logprobs"] = np.array(case["reference_logprobs"][s][:length])
        rows.append(row)
    return rows


@needs_golden
@pytest.mark.parametrize("case", golden_cases("objectives"), ids=case_name)
def test_objectives_over_outcomes_agree_with_golden(case: dict[str, Any]) -> None:
    objective = {"kind": case["objective"]} | {name: case[name] for name in ("beta", "margin") if case[name]}
    objective |= {"label_smoothing": case["label_smoothing"]} if case["objective"] != "sft" else {}
    logps_ST = double(case["logprobs"])
    assert (logps_ST < 0).all()
    logits_STV = torch.stack([logps_ST, torch.log(-torch.expm1(logps_ST))], dim=-1)
    chosen = table_settings(objective, aggregation="sequence_mean")
    loss, gradient_STV = loss_and_gradient(logits_STV, outcome_rows(case), chosen)
    # d loss / d logit 0 = (d loss / d logp) * (1 - p): the other logit is no function of the first here
    gradient_ST = gradient_STV[..., 0] / -torch.expm1(logps_ST)
    assert loss == pytest.approx(case["loss"], abs=1e-9)
    torch.testing.assert_close(gradient_ST, double(case["grad_logprobs"]), atol=1e-9, rtol=0)


def random_rows() -> tuple[torch.Tensor, list[dict[str, Any]]]:
    """Logits [S, T, V] of a student, and rows in float64 with everything that any objective reads."""
    rng = np.random.default_rng(1)
    logits_STV = rng.normal(size=(4, 3, 7))
    logps_STV = torch.log_softmax(double(logits_STV), dim=-1).numpy()
    teacher_STV = np.log(rng.dirichlet(np.ones(7), size=(4, 3)))
    rows: list[dict[str, Any]] = []
    for s in range(4):
        tokens = rng.integers(0, 7, size=3)
        ids = np.array([[*rng.permutation(7)[:3], -1] for _ in range(3)])  # padded, as a union of supports is
        taken = {name: table[s, range(3), tokens] for name, table in (("own", logps_STV), ("theirs", teacher_STV))}
        row: dict[str, Any] = {
            "prompt_id": f"p{s // 2}",
            "prompt_token_ids": [FIRST + s],
            "token_ids": tokens,
            "temperature": 1.0,
        }
        row |= {"behavior_logprobs": taken["own"] - 0.1, "proximal_logprobs": taken["own"] + 0.05}
        row |= {"teacher_logprobs": taken["theirs"], "reference_logprobs": taken["own"] - rng.uniform(size=3)}
        row |= {"support_ids": ids, "step_ids": [0, 0, 1], "distill": s != 3}
        row["support_teacher_logprobs"] = np.where(ids < 0, -np.inf, np.take_along_axis(teacher_STV[s], ids, 1))
        row |= {"reward": float(s % 2), "success": s % 2 == 1, "advantage": 2.0 * (s % 2) - 1.0}
        rows.append(row)
    return double(logits_STV), rows


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"sampled", "blend"}))
def test_gradients_are_the_slopes_of_the_loss(name: str) -> None:
    """By finite differences. Weights without gradient would hide in them, so distillation has none here."""
    logits_STV, rows = random_rows()
    importance = "proximal" if KINDS[name]["kind"] == "grpo" else "none"
    chosen = table_settings(KINDS[name], tokens=3, importance=importance)
    _, gradient = loss_and_gradient(logits_STV, rows, chosen)
    for index in [(0, 0, 1), (1, 2, 4), (2, 1, 0), (3, 0, 6)]:
        losses = []
        for step in (1e-5, -1e-5):
            moved = logits_STV.clone()
            moved[index] += step
            losses.append(loss_and_gradient(moved, rows, chosen)[0])
        assert gradient[index].item() == pytest.approx((losses[0] - losses[1]) / 2e-5, abs=1e-8)


def test_a_padded_support_is_the_support_without_its_padding() -> None:
    logits_STV, rows = random_rows()
    bare = [row | {name: row[name][:, :3] for name in ("support_ids", "support_teacher_logprobs")} for row in rows]
    for name in ("distill", "reverse"):
        chosen = table_settings(KINDS[name])
        padded, plain = (loss_and_gradient(logits_STV, given, chosen) for given in (rows, bare))
        assert padded[0] == pytest.approx(plain[0], abs=1e-12)
        assert torch.isfinite(padded[1]).all()
        torch.testing.assert_close(padded[1], plain[1], atol=1e-12, rtol=0)


def test_the_whole_vocabulary_is_the_support_that_holds_every_token() -> None:
    logits_STV, rows = random_rows()
    teacher_STV = double(np.random.default_rng(2).normal(size=(4, 3, 7)))
    logps_STV = torch.log_softmax(teacher_STV, dim=-1).numpy()
    everything: dict[str, Any] = {"support_ids": np.tile(np.arange(7), (3, 1)), "context_token_ids": None}
    rows = [
        row | everything | {"context_token_ids": [FIRST + s], "support_teacher_logprobs": logps_STV[s]}
        for s, row in enumerate(rows)
    ]
    for name in ("distill", "reverse"):
        renormalized = KINDS[name] | {"tail": "renormalize"}
        kept = loss_and_gradient(logits_STV, rows, table_settings(renormalized))
        again = loss_and_gradient(logits_STV, rows, table_settings(KINDS[name], support="full"), Table(teacher_STV))
        assert again[0] == pytest.approx(kept[0], abs=1e-12)
        torch.testing.assert_close(again[1], kept[1], atol=1e-12, rtol=0)


def test_grpo_leaves_alone_what_has_moved_far_enough() -> None:
    """Ratios 2 and 1/2 at clip 0.2: clipped for the advantage they went along with, not for the other."""
    logits_STV = torch.zeros(1, 2, 2, dtype=torch.float64)
    row: dict[str, Any] = {"prompt_token_ids": [FIRST], "token_ids": [0, 0], "temperature": 1.0}
    row["behavior_logprobs"] = math.log(0.5) - np.log([2.0, 0.5])
    for advantage, moves, loss in ((1.0, [False, True], -(1.2 + 0.5) / 2), (-1.0, [True, False], (2.0 + 0.8) / 2)):
        chosen = table_settings({"kind": "grpo", "clip": 0.2}, importance={"kind": "behavior", "clip": 3.0})
        found, gradient = loss_and_gradient(logits_STV, [row | {"advantage": advantage}], chosen)
        assert found == pytest.approx(loss)
        assert gradient[0, :, 0].abs().gt(0).tolist() == moves


def test_pairs_are_of_one_prompt_and_of_unlike_rewards() -> None:
    outcomes = [("a", 1), ("a", 0), ("a", None), ("b", 0), ("a", 1)]
    rows = [{"prompt_id": prompt, "reward": reward} for prompt, reward in outcomes]
    assert reward_pairs(rows) == [(0, 1), (4, 1)]


@pytest.fixture(scope="module")
def folder() -> Path:
    return resolve_model("tiny:llama")


def full_rows(folder: Path) -> list[dict[str, Any]]:
    """Score rows with everything that any objective reads; every prompt has a success and a failure."""
    rows = score_rows()
    logps = [row["behavior_logprobs"] + np.float32(0.1) for row in rows]
    return [
        row
        | {"reward": float(row["advantage"] > 0), "success": row["advantage"] > 0, "reference_logprobs": known}
        | {"teacher_logprobs": known, "proximal_logprobs": known, "context_token_ids": row["prompt_token_ids"]}
        for row, known in zip(rows, logps, strict=True)
    ]


def favours_success(name: str) -> bool:
    return name in ("grpo", "grpo_kl", "dpo", "simpo", "sft")


@pytest.mark.parametrize("name", [name for name in KINDS if favours_success(name)])
def test_a_step_favours_what_was_rewarded(folder: Path, name: str) -> None:
    rows, chosen = full_rows(folder), settings(objective=KINDS[name], learning_rate=1e-3)
    state = open_state(folder, None, chosen.train, CPU)
    before = sampled_logps(state.student, rows)
    report = take_step(state, rows, chosen, CPU)
    gains = sampled_logps(state.student, rows) - before
    rewarded = torch.tensor([row["success"] for row in rows])
    assert gains[rewarded].mean() > gains[~rewarded].mean()
    assert name == "simpo" or gains[rewarded].mean() > 0
    assert report["objective"] == KINDS[name]["kind"]


@pytest.mark.parametrize("name", ["sampled", "reverse"])
def test_steps_come_closer_to_the_teacher(folder: Path, name: str) -> None:
    """A teacher that is sure of every sampled token: the student grows surer of them."""
    sure = [
        row
        | {"teacher_logprobs": np.zeros(len(row["token_ids"]), np.float32)}
        | {"support_ids": np.stack([row["token_ids"], (row["token_ids"] + 1) % 40], axis=1)}
        | {"support_teacher_logprobs": np.tile(np.log(np.array([0.98, 0.01], np.float32)), (len(row["token_ids"]), 1))}
        for row in full_rows(folder)
    ]
    chosen = settings(objective=KINDS[name], learning_rate=1e-3)
    state = open_state(folder, None, chosen.train, CPU)
    before = sampled_logps(state.student, sure)
    take_step(state, sure, chosen, CPU)
    assert (sampled_logps(state.student, sure) - before).mean() > 0


@pytest.mark.parametrize("name", [*KINDS, "full", "steps"])
def test_micro_batches_do_not_change_an_update(folder: Path, name: str) -> None:
    student, losses, gradients = load_model(folder), [], []
    teacher = load_model(folder) if name == "full" else None
    rows = [
        row
        | {"context_token_ids": [5] * (1 + row["sample"]) + list(row["prompt_token_ids"])}
        | {"step_ids": np.arange(len(row["token_ids"])) // 2}
        for row in full_rows(folder)
    ]
    for bound in (1, 30, 10_000):
        parts: dict[str, Any] = {"objective": KINDS.get(name, KINDS["distill"]), "importance": "proximal"}
        parts |= {"aggregation": {"kind": "step_level", "over": "sequence_mean"}} if name == "steps" else {}
        chosen = settings(**parts, max_tokens_per_pass=bound)
        objective = objective_class(chosen.train)(Update(rows, chosen.train, teacher))
        student.zero_grad()
        accumulate_gradients(student, objective, chosen, CPU, number=0)
        losses.append(objective.report()["loss"])
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in student.parameters()]))
    assert losses[:2] == pytest.approx([losses[2]] * 2, rel=1e-4, abs=1e-6)
    for gradient in gradients[:2]:
        torch.testing.assert_close(gradient, gradients[2], rtol=1e-3, atol=1e-6)


def test_an_update_without_anything_to_learn_changes_nothing(folder: Path) -> None:
    rows = [row | {"reward": 0.0, "success": False, "advantage": 0.0} for row in full_rows(folder)]
    for name in ("grpo", "dpo", "simpo", "sft"):
        chosen = settings(objective=name)
        state = open_state(folder, None, chosen.train, CPU)
        report = take_step(state, rows, chosen, CPU)
        assert (report["loss"], report["grad_norm"], report["pairs"], state.step) == (None, None, None, 0)


def test_columns_that_an_objective_has_not_are_null(folder: Path) -> None:
    reports = {}
    for name in ("distill", "grpo_kl", "dpo", "sft"):
        chosen = settings(objective=KINDS[name])
        reports[name] = take_step(open_state(folder, None, chosen.train, CPU), full_rows(folder), chosen, CPU)
    columns = ("distill_loss", "policy_loss", "kl", "policy_clipped", "pairs", "pair_accuracy", "importance_clipped")
    filled = {name: [column for column in columns if report[column] is not None] for name, report in reports.items()}
    assert filled == {
        "distill": ["distill_loss", "policy_loss", "importance_clipped"],
        "grpo_kl": ["policy_loss", "kl", "policy_clipped", "importance_clipped"],
        "dpo": ["pairs", "pair_accuracy"],
        "sft": [],
    }
    assert reports["dpo"]["pairs"] == 4


def test_rollouts_of_too_old_a_policy_are_refused(folder: Path, tmp_path: Path) -> None:
    check_staleness(score_rows(), 1, round=1)
    chosen = settings()
    with pytest.raises(InputError, match=r"round 2: rollouts of policy 0 are 2 rounds older .*is 1; raise it"):
        train_round(score_rows(), chosen, policy_folder=folder, state_folder=None, out=tmp_path, round=2)


def test_the_teacher_is_read_again_from_its_folder(folder: Path, tmp_path: Path) -> None:
    """Where the teacher reads what the student reads, with the same weights, there is nothing to learn yet."""
    tree = settings(objective="distill", updates_per_round=1).model_dump()
    tree["score"]["support"] = "full"
    updates = train_round(
        full_rows(folder), parse_settings(tree), policy_folder=folder, state_folder=None, out=tmp_path, round=0
    )
    assert updates[0]["loss"] == pytest.approx(0.0, abs=1e-6)


def test_a_separator_ends_the_step_of_the_token_it_ends_in() -> None:
    pieces = ["a", ".\n\n", "b", "\n", "\nc", "d", "\n\n\n\n", "e"]
    splitter = StepSplitter(SimpleNamespace(decode=lambda ids: pieces[ids[0]]), "\n\n")
    assert splitter.step_ids(range(8)).tolist() == [0, 0, 1, 1, 1, 2, 2, 4]
    assert splitter.step_ids([]).tolist() == []


def test_steps_leave_the_mean_of_whole_responses_as_it_is(folder: Path, tmp_path: Path) -> None:
    losses = []
    for aggregation in ("token_mean", {"kind": "step_level", "separator": "a"}):
        chosen = settings(aggregation=aggregation)
        out = tmp_path / str(len(losses))
        updates = train_round(full_rows(folder), chosen, policy_folder=folder, state_folder=None, out=out, round=0)
        losses.append([update["loss"] for update in updates])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


READS: dict[str, tuple[dict[str, Any], tuple[str, ...], dict[str, tuple[str, ...]]]] = {
    "distill": (KINDS["distill"], ("advantage", "distill", "support_ids", "support_teacher_logprobs"), {}),
    "sampled": (KINDS["sampled"], ("advantage", "distill", "teacher_logprobs"), {}),
    "grpo": (KINDS["grpo"], ("advantage",), {}),
    "grpo_kl": (KINDS["grpo_kl"], ("advantage", "reference_logprobs"), {}),
    "dpo": (KINDS["dpo"], ("reference_logprobs",), {"verdicts": ("reward",)}),
    "simpo": (KINDS["simpo"], (), {"verdicts": ("reward",)}),
    "sft": (KINDS["sft"], (), {"verdicts": ("success",)}),
}


def test_every_objective_has_settings_and_says_which_columns_it_reads() -> None:
    assert {given["kind"] for given, _, _ in READS.values()} == set(OBJECTIVES)
    for given, scores, beside in READS.values():
        chosen = parse_settings({"train": {"objective": given}})
        assert objective_class(chosen.train)
        expected = {"scores": (*ROLLOUT_COLUMNS, *scores), "rollouts": ("policy_version",), **beside}
        assert columns_read(chosen) == expected
        needs = (needs_reference(chosen), needs_support(chosen), needs_teacher(chosen))
        assert needs == ("reference_logprobs" in scores, "support_ids" in scores, False)


def test_the_whole_vocabulary_is_read_again_and_importance_has_a_column_of_its_own() -> None:
    chosen = parse_settings({"score": {"support": "full"}, "train": {"importance": "proximal"}})
    assert columns_read(chosen)["scores"] == (*ROLLOUT_COLUMNS, "proximal_logprobs", "advantage", "distill")
    assert columns_read(chosen)["contexts"] == ("context_token_ids",)
    assert (needs_support(chosen), needs_teacher(chosen)) == (False, True)


@pytest.mark.parametrize("name", [*READS, "full"])
def test_an_objective_reads_no_column_that_it_does_not_name(folder: Path, name: str) -> None:
    """Rows with what it names alone are enough for a step."""
    tree = settings(objective=READS.get(name, READS["distill"])[0]).model_dump()
    tree["score"]["support"] = "full" if name == "full" else "student"
    chosen = parse_settings(tree)
    named = {column for columns in columns_read(chosen).values() for column in columns}
    rows = [{column: row[column] for column in named} for row in full_rows(folder)]
    teacher = load_model(folder) if needs_teacher(chosen) else None
    assert take_step(open_state(folder, None, chosen.train, CPU), rows, chosen, CPU, teacher)["loss"] is not None


def test_advantages_can_do_without_the_standard_deviation() -> None:
    verdicts = [{"prompt_id": "p", "reward": reward} for reward in (1.0, 0.0, 0.0, 0.0)]
    assert group_advantages(verdicts, normalize_std=False) == [0.75, -0.25, -0.25, -0.25]
