"""Training on score rows: what changes the result, what must not, and what survives a round."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mopd.errors import InputError
from mopd.models.folders import load_model, resolve_model
from mopd.objectives import columns_read
from mopd.objectives.base import Update
from mopd.objectives.distill import Distill
from mopd.settings import Settings, parse_settings
from mopd.train import NO_SIGNAL, ROUNDING, take_step, train_round
from mopd.trainer.state import open_state, save_state
from mopd.trainer.updates import split_updates
from tests.mopd.scoring_samples import PROMPT, scorer_of, shard
from tests.small_files import REFUSED, files_of_at_most

CPU = torch.device("cpu")


def settings(**train: Any) -> Settings:
    objective = {"policy_gradient_weight": 0.5}
    tree = {"learning_rate": 1e-2, "warmup_steps": 0, "objective": objective, "updates_per_round": 2} | train
    return parse_settings({"model": {"path": "tiny:llama", "precision": "float32"}, "train": tree})


@pytest.fixture(scope="module")
def folder() -> Path:
    return resolve_model("tiny:llama")


def score_rows(num_groups: int = 4, samples: int = 2, top_k: int = 4) -> list[dict[str, Any]]:
    """Plausible score rows with random numbers; every group has both outcomes."""
    rng = np.random.default_rng(0)
    rows = []
    for group in range(num_groups):
        prompt = rng.integers(3, 40, size=4 + group)
        for sample in range(samples):
            length = int(rng.integers(1, 6))
            teacher = np.log(rng.dirichlet(np.ones(top_k + 1), size=length)[:, :top_k]).astype(np.float32)
            rows.append(
                {
                    "prompt_id": f"p{group}",
                    "policy_version": 0,
                    "sample": sample,
                    "prompt_token_ids": prompt,
                    "token_ids": rng.integers(3, 40, size=length),
                    "temperature": 1.0,
                    "behavior_logprobs": np.full(length, -3.5, np.float32),
                    "support_ids": np.stack([rng.permutation(40)[:top_k] for _ in range(length)]).astype(np.int32),
                    "support_teacher_logprobs": teacher,
                    "advantage": float(1 - 2 * (sample % 2)),
                    "distill": True,
                }
            )
    return rows


def weights_after(folder: Path, out: Path, chosen: Settings, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    train_round(rows, chosen, policy_folder=folder, state_folder=None, out=out, round=0)
    return load_file(out / "model.safetensors")


def test_micro_batches_do_not_change_the_gradient(folder: Path) -> None:
    norms = {}
    for bound in (1, 30, 10_000):
        chosen = settings(max_tokens_per_pass=bound)
        state = open_state(folder, None, chosen.train, CPU)
        norms[bound] = take_step(state, score_rows(), chosen, CPU)
    for bound in (1, 30):
        for name in ("grad_norm", "loss", "distill_loss", "policy_loss", "importance_mean"):
            assert norms[bound][name] == pytest.approx(norms[10_000][name], rel=1e-4, abs=1e-6)


def test_same_inputs_same_weights(folder: Path, tmp_path: Path) -> None:
    first, second = (weights_after(folder, tmp_path / name, settings(), score_rows()) for name in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_blend_ends_leave_the_other_part_out(folder: Path) -> None:
    for blend, silent in ((0.0, "policy_loss"), (1.0, "distill_loss")):
        chosen = settings(objective={"policy_gradient_weight": blend})
        report = take_step(open_state(folder, None, chosen.train, CPU), score_rows(), chosen, CPU)
        assert report[silent] == 0.0
        assert report["grad_norm"] > 0


def test_a_cut_reply_carries_no_loss_where_it_is_masked(folder: Path) -> None:
    """The update is that of the other rollouts alone; advantages, which the cut one's reward is in, stay."""
    rows = [row | {"finish_reason": "length" if number == 1 else "stop"} for number, row in enumerate(score_rows())]
    whole = [row for row in rows if row["finish_reason"] != "length"]
    masked, left_out, kept = (
        take_step(open_state(folder, None, chosen.train, CPU), given, chosen, CPU)
        for chosen, given in (
            (settings(mask_truncated=True), rows),
            (settings(), whole),
            (settings(), rows),
        )
    )
    for name in ("loss", "distill_loss", "policy_loss", "grad_norm", "importance_mean", "tokens"):
        assert masked[name] == left_out[name] != kept[name]


def test_an_update_of_cut_replies_alone_has_no_signal(folder: Path) -> None:
    chosen = settings(mask_truncated=True)
    rows = [row | {"finish_reason": "length"} for row in score_rows()]
    report = take_step(open_state(folder, None, chosen.train, CPU), rows, chosen, CPU)
    assert (report["skipped"], report["loss"], report["tokens"]) == (NO_SIGNAL, None, 0)


def test_masking_reads_why_replies_ended() -> None:
    assert columns_read(settings(mask_truncated=True))["rollouts"] == ("policy_version", "finish_reason")
    assert columns_read(settings())["rollouts"] == ("policy_version",)


def test_a_rollout_without_sections_carries_no_distillation(folder: Path) -> None:
    rows = score_rows()
    rows[0]["distill"] = False
    objective = Distill(Update(rows, settings().train))
    first = len(rows[0]["token_ids"])
    assert not objective.distill_weight_T[:first].any()
    assert objective.distill_weight_T.sum().item() == pytest.approx(0.5)


def test_a_rollout_without_reward_carries_no_policy_gradient() -> None:
    rows = score_rows()
    rows[0]["advantage"] = None
    objective = Distill(Update(rows, settings().train))
    assert not objective.policy_weight_T[: len(rows[0]["token_ids"])].any()


def test_nothing_to_learn_changes_nothing(folder: Path, tmp_path: Path) -> None:
    rows = [row | {"advantage": 0.0, "distill": False} for row in score_rows()]
    updates = train_round(rows, settings(), policy_folder=folder, state_folder=None, out=tmp_path, round=0)
    assert [(update["loss"], update["skipped"]) for update in updates] == [(None, NO_SIGNAL)] * 2
    before, after = load_model(folder, "cpu").state_dict(), load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in after)


def test_a_gradient_that_is_rounding_takes_no_step(folder: Path) -> None:
    """Adam divides by the gradient's own length, so it would make as long a step of it as of any other."""
    chosen = settings(objective="grpo", importance="none")
    rows = score_rows()
    norm = take_step(open_state(folder, None, chosen.train, CPU), rows, chosen, CPU)["grad_norm"]
    precision = torch.finfo(torch.float32).eps
    for length, skipped in ((0.9 * precision, ROUNDING), (1.1 * precision, None)):
        small = [row | {"advantage": row["advantage"] * length / norm} for row in rows]
        state = open_state(folder, None, chosen.train, CPU)
        before = {name: value.clone() for name, value in state.student.state_dict().items()}
        report = take_step(state, small, chosen, CPU)
        assert report["grad_norm"] == pytest.approx(length, rel=1e-3)
        assert report["loss"] is not None
        same = all(torch.equal(value, before[name]) for name, value in state.student.state_dict().items())
        assert (report["skipped"], same, state.step) == (skipped, skipped is not None, int(skipped is None))
        assert all(parameter.grad is None for parameter in state.student.parameters())


def test_a_teacher_that_is_the_student_teaches_nothing(folder: Path) -> None:
    """Plain on-policy distillation from the live policy: both read the same tokens by the same weights."""
    rollouts, verdicts, contexts = shard()
    shown = [row | {"context_token_ids": PROMPT, "variant": "none", "has_sections": False} for row in contexts]
    for support in ("student", "union"):
        scorer = scorer_of({"score": {"support": support}, "train": {"teacher": "live", "warmup_steps": 0}})
        rows = scorer.score(rollouts, verdicts, shown, policy_version=0)
        state = open_state(folder, None, scorer.settings.train, CPU)
        report = take_step(state, rows, scorer.settings, CPU)
        assert (report["skipped"], state.step) == (ROUNDING, 0)
        assert 0 <= report["grad_norm"] < 1e-7


def test_updates_are_numbered_whether_or_not_they_had_something_to_learn(folder: Path, tmp_path: Path) -> None:
    rows = [row | {"advantage": 0.0, "distill": row["prompt_id"] == "p0"} for row in score_rows()]
    chosen = settings(updates_per_round=4)
    updates = train_round(rows, chosen, policy_folder=folder, state_folder=None, out=tmp_path / "0", round=0)
    more = train_round(
        rows, chosen, policy_folder=tmp_path / "0", state_folder=tmp_path / "0", out=tmp_path / "1", round=1
    )
    assert [update["step"] for update in [*updates, *more]] == list(range(8))
    assert sum(update["loss"] is not None for update in updates) == 1


def test_empty_responses_are_left_out(folder: Path) -> None:
    empty = {
        "token_ids": np.zeros(0, int),
        "support_ids": np.zeros((0, 0)),
        "support_teacher_logprobs": np.zeros((0, 0)),
    }
    rows = score_rows()
    reports = []
    for given in (rows, [*rows, rows[0] | empty | {"behavior_logprobs": np.zeros(0)}]):
        reports.append(take_step(open_state(folder, None, settings().train, CPU), given, settings(), CPU))
    assert reports[0]["loss"] == reports[1]["loss"]
    assert (
        take_step(open_state(folder, None, settings().train, CPU), [rows[0] | empty], settings(), CPU)["loss"] is None
    )


def test_a_loss_that_is_not_finite_stops_before_the_weights_are_touched(folder: Path) -> None:
    rows = score_rows()
    rows[0]["support_teacher_logprobs"][0, 0] = np.nan
    state = open_state(folder, None, settings().train, CPU)
    with pytest.raises(InputError, match=r"update 0: the loss \(nan\).*lower train.learning_rate"):
        take_step(state, rows, settings(), CPU)
    assert all(torch.isfinite(parameter).all() for parameter in state.student.parameters())


def test_a_step_of_policy_gradient_favours_what_was_rewarded(folder: Path) -> None:
    chosen, rows = settings(objective={"policy_gradient_weight": 1.0}, learning_rate=1e-3), score_rows()
    state = open_state(folder, None, chosen.train, CPU)
    before = sampled_logps(state.student, rows)
    take_step(state, rows, chosen, CPU)
    gains = sampled_logps(state.student, rows) - before
    rewarded = torch.tensor([row["advantage"] > 0 for row in rows])
    assert gains[rewarded].mean() > 0 > gains[~rewarded].mean()


def test_a_step_of_distillation_comes_closer_to_the_teacher(folder: Path) -> None:
    chosen, rows = settings(objective="distill", importance="none", learning_rate=1e-3), score_rows()
    state = open_state(folder, None, chosen.train, CPU)
    losses = [take_step(state, rows, chosen, CPU)["distill_loss"] for _ in range(3)]
    assert losses[0] > losses[1] > losses[2]


def token_logps_of(student: Any, row: dict[str, Any]) -> torch.Tensor:
    """By a plain forward pass."""
    prompt, response = list(map(int, row["prompt_token_ids"])), list(map(int, row["token_ids"]))
    with torch.no_grad():
        logits = student(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
    return torch.log_softmax(logits, dim=-1).gather(1, torch.tensor(response)[:, None]).squeeze(1)


def sampled_logps(student: Any, rows: list[dict[str, Any]]) -> torch.Tensor:
    return torch.stack([token_logps_of(student, row).mean() for row in rows])


def test_weight_decay_is_on_every_trained_weight(folder: Path) -> None:
    """Norms and embeddings too: docs/peers.md says why."""
    state = open_state(folder, None, settings(weight_decay=0.125).train, CPU)
    (group,) = state.optimizer.param_groups
    assert group["weight_decay"] == 0.125
    assert {id(weight) for weight in group["params"]} == {id(weight) for weight in state.student.parameters()}


def test_warm_up_is_linear(folder: Path) -> None:
    chosen = settings(warmup_steps=4, learning_rate=1e-3)
    state = open_state(folder, None, chosen.train, CPU)
    rates = [take_step(state, score_rows(), chosen, CPU)["learning_rate"] for _ in range(5)]
    assert rates == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 1e-3])


def test_updates_split_whole_groups_and_cover_the_round() -> None:
    parts = list(split_updates(score_rows(num_groups=5), settings(updates_per_round=2), round=0))
    assert sorted(len({row["prompt_id"] for row in part}) for part in parts) == [2, 3]
    assert len({(row["prompt_id"], row["sample"]) for part in parts for row in part}) == 10


def test_the_rows_of_one_update_are_read_at_a_time_and_let_go(folder: Path, tmp_path: Path) -> None:
    """Whoever reads them from files holds those of no other update."""
    whole, alive = score_rows(), []

    def read(part: list[dict[str, Any]]) -> list[dict[str, Any]]:
        assert not any(array() is not None for array in alive)
        assert all(row.keys() == {"prompt_id", "sample", "policy_version"} for row in part)
        rows = [
            {**row, "token_ids": np.array(row["token_ids"])}
            for given in part
            for row in whole
            if (row["prompt_id"], row["sample"]) == (given["prompt_id"], given["sample"])
        ]
        alive.extend(weakref.ref(row["token_ids"]) for row in rows)
        return rows

    light = [{name: row[name] for name in ("prompt_id", "sample", "policy_version")} for row in whole]
    folders = {"policy_folder": folder, "state_folder": None}
    read_later = train_round(light, settings(), **folders, out=tmp_path / "a", round=0, read=read)
    at_once = train_round(whole, settings(), **folders, out=tmp_path / "b", round=0)
    assert [update["loss"] for update in read_later] == [update["loss"] for update in at_once]
    assert len(alive) == len(whole)


def test_two_rounds_equal_one_stretch(folder: Path, tmp_path: Path) -> None:
    """Optimizer, teacher and step count come back from disk bit for bit."""
    chosen, rows = settings(updates_per_round=1), score_rows()
    train_round(rows, chosen, policy_folder=folder, state_folder=None, out=tmp_path / "0", round=0)
    first = tmp_path / "0"
    train_round(rows, chosen, policy_folder=first, state_folder=first, out=tmp_path / "1", round=1)
    state = open_state(folder, None, chosen.train, CPU)
    for round in range(2):
        (part,) = split_updates(rows, chosen, round=round)
        take_step(state, part, chosen, CPU)
    teacher: Any = state.teacher
    models: list[tuple[Any, Path]] = [(state.student, tmp_path / "1"), (teacher.model, tmp_path / "1" / "teacher")]
    for model, saved in models:
        on_disk = load_model(saved, "cpu").state_dict()
        assert all(torch.equal(value, on_disk[name]) for name, value in model.state_dict().items())


def test_each_file_of_weights_is_told_of_when_it_is_there_as_it_stays(folder: Path, tmp_path: Path) -> None:
    told: dict[Path, bytes] = {}
    out = tmp_path / "out"

    def note(path: Path) -> None:
        told[path.relative_to(out)] = path.read_bytes()

    place = {"policy_folder": folder, "state_folder": None, "out": out, "round": 0}
    train_round(score_rows(), settings(), **place, written=note)
    assert told == {path.relative_to(out): path.read_bytes() for path in out.rglob("*.safetensors")}
    assert list(told) == [Path("teacher/model.safetensors"), Path("model.safetensors"), Path("optimizer.safetensors")]


def test_a_full_disk_is_an_os_error_that_names_the_place(folder: Path, tmp_path: Path) -> None:
    state = open_state(folder, None, settings().train, CPU)
    with files_of_at_most(100_000):
        with pytest.raises(OSError, match=f"{REFUSED}: '{tmp_path}"):
            save_state(state, folder, tmp_path / "out")
        with pytest.raises(OSError, match=f"{REFUSED}: '{tmp_path}"):  # the next teacher is laid down where it goes
            open_state(folder, None, settings().train, CPU, out=tmp_path / "next")


def test_golden_trajectory_of_a_tiny_model(folder: Path, tmp_path: Path) -> None:
    """A refactoring proves identical numbers. Values from this code, 2026-11; they change only with the method."""
    updates = train_round(score_rows(), settings(), policy_folder=folder, state_folder=None, out=tmp_path, round=0)
    assert [round(update["loss"], 4) for update in updates] == GOLDEN_LOSSES


GOLDEN_LOSSES = [-0.027, 0.2234]
