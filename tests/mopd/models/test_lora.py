"""LoRA: what is trained, what is frozen, what a policy folder holds, and what comes back from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from flows.folder.policies import base_folder
from mopd.errors import InputError
from mopd.models.folders import ADAPTER, ADAPTER_CONFIG, load_model, resolve_model
from mopd.models.lora import check_targets, linear_layers, load_student, merged, save_model
from mopd.objectives import OBJECTIVES
from mopd.settings import Settings, parse_settings
from mopd.train import take_step, train_round
from mopd.trainer.state import TrainerState, open_state
from mopd.trainer.updates import split_updates
from storage.runs import RunFolder
from storage.shards import commit_folder

CPU = torch.device("cpu")
RANK_4 = {"rank": 4}
IDS = torch.arange(3, 43)[None]


def settings(lora: dict[str, Any] | None = RANK_4, precision: str = "float32", **train: Any) -> Settings:
    tree = {"learning_rate": 1e-2, "warmup_steps": 0, "updates_per_round": 1, "lora": lora}
    return parse_settings({"model": {"path": "tiny:llama", "precision": precision}, "train": tree | train})


@pytest.fixture(scope="module")
def folder() -> Path:
    return resolve_model("tiny:llama")


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A round of training on rows with random numbers."""
    out = tmp_path_factory.mktemp("policies") / "0"
    train_round(score_rows(), settings(), policy_folder=folder, state_folder=None, out=out, round=0)
    return out


def score_rows(num_groups: int = 3, top_k: int = 4) -> list[dict[str, Any]]:
    """Two rollouts a group, one of them right, with all that any objective reads."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(2 * num_groups):
        length, right = int(rng.integers(1, 6)), number % 2 == 0
        teacher = np.log(rng.dirichlet(np.ones(top_k + 1), size=length)[:, :top_k]).astype(np.float32)
        logps = dict.fromkeys(
            ("behavior_logprobs", "proximal_logprobs", "reference_logprobs"), np.full(length, -5.0, np.float32)
        )
        rows.append(
            {"prompt_id": f"p{number // 2}", "sample": number % 2, "policy_version": 0, "temperature": 1.0}
            | {
                "prompt_token_ids": np.arange(5, 9 + number // 2),
                "token_ids": rng.integers(3, 40, size=length),
                **logps,
            }
            | {"support_ids": np.stack([rng.permutation(40)[:top_k] for _ in range(length)]).astype(np.int32)}
            | {"support_teacher_logprobs": teacher, "advantage": 1.0 if right else -1.0, "distill": True}
            | {"reward": float(right), "success": right}
        )
    return rows


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(IDS).logits[0]  # type: ignore[no-any-return]


def values(model: Any) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_new_adapter_changes_nothing_and_depends_on_the_seed(folder: Path) -> None:
    lora = settings().train.lora
    first, again, other = (load_student(folder, folder, lora, device=CPU, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(logits(first), logits(load_model(folder)))
    assert same(values(first), values(again))
    assert not same(values(first), values(other))


@pytest.mark.parametrize("kind", sorted(OBJECTIVES))
def test_every_objective_trains_the_adapter_alone(folder: Path, kind: str) -> None:
    chosen = settings(objective=kind)
    state = open_state(folder, None, chosen.train, CPU)
    before = values(state.student)
    report = take_step(state, score_rows(), chosen, CPU)
    assert report["loss"] is not None and report["grad_norm"] > 0
    after = values(state.student)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed and all(".lora_" in name for name in changed)
    assert {id(parameter) for parameter in state.optimizer.state} <= {
        id(parameter) for name, parameter in state.student.named_parameters() if ".lora_" in name
    }


def test_micro_batches_and_chunks_do_not_change_the_gradient(folder: Path) -> None:
    norms = []
    for bound, chunk in ((1, 1), (10_000, 512)):
        chosen = settings(max_tokens_per_pass=bound)
        chosen = chosen.model_copy(update={"score": chosen.score.model_copy(update={"chunk_positions": chunk})})
        norms.append(take_step(open_state(folder, None, chosen.train, CPU), score_rows(), chosen, CPU)["grad_norm"])
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_in_bfloat16_the_adapter_stays_in_single_precision(folder: Path) -> None:
    chosen = settings(precision="bfloat16")
    state = open_state(folder, None, chosen.train, CPU)
    assert take_step(state, score_rows(), chosen, CPU)["grad_norm"] > 0
    assert {parameter.dtype for parameter in state.student.parameters()} == {torch.float32}


def test_the_teacher_averages_adapters_and_shares_the_base(folder: Path) -> None:
    chosen = settings(teacher={"kind": "ema", "rate": 0.25})
    state = open_state(folder, None, chosen.train, CPU)
    before = values(state.teacher.model)
    take_step(state, score_rows(), chosen, CPU)
    students = dict(state.student.named_parameters())
    for name, parameter in state.teacher.model.named_parameters():
        if ".lora_" in name:
            torch.testing.assert_close(parameter.detach(), 0.75 * before[name] + 0.25 * students[name].detach())
        else:
            assert parameter is students[name]


def test_a_policy_folder_holds_merged_weights_and_the_adapter(folder: Path, trained: Path) -> None:
    from peft import PeftModel

    student = load_student(trained, folder, settings().train.lora, device=CPU, seed=9)
    ours = logits(student)
    assert (ours - logits(load_model(folder))).abs().max() > 0.01
    assert torch.equal(ours, logits(PeftModel.from_pretrained(load_model(folder), trained / ADAPTER)))  # type: ignore
    torch.testing.assert_close(logits(load_model(trained)), ours, rtol=0, atol=1e-5)
    torch.testing.assert_close(logits(merged(student)), ours, rtol=0, atol=1e-5)
    assert load_file(trained / "model.safetensors").keys() == load_file(folder / "model.safetensors").keys()
    torch.testing.assert_close(logits(student), ours, rtol=0, atol=0)  # merging was done on a copy


def test_equal_adapters_are_equal_files(folder: Path, trained: Path, tmp_path: Path) -> None:
    """peft writes target modules in an order that changes from process to process; digests must not."""
    config = json.loads((trained / ADAPTER / ADAPTER_CONFIG).read_text())
    assert config["target_modules"] == sorted(config["target_modules"])
    save_model(load_student(trained, folder, settings().train.lora, device=CPU, seed=9), tmp_path)
    for path in sorted((trained / ADAPTER).iterdir()):
        assert path.read_bytes() == (tmp_path / ADAPTER / path.name).read_bytes()


def test_two_rounds_equal_one_stretch(folder: Path, trained: Path, tmp_path: Path) -> None:
    """Adapter, teacher and moments come back bit for bit; the base is read anew, never from merged weights."""
    chosen, rows = settings(), score_rows()
    second = {"policy_folder": trained, "state_folder": trained, "base_folder": folder}
    train_round(rows, chosen, out=tmp_path, round=1, **second)
    stretch = open_state(folder, None, chosen.train, CPU)
    for round in range(2):
        (part,) = split_updates(rows, chosen, round=round)
        take_step(stretch, part, chosen, CPU)
    back = open_state(tmp_path, tmp_path, chosen.train, CPU, base_folder=folder, seed=9)
    assert (back.step, back.updates) == (2, 2)
    assert same(values(back.student), values(stretch.student))
    assert same(values(back.teacher.model), values(stretch.teacher.model))
    assert same(moments(back), moments(stretch))


def moments(state: TrainerState) -> dict[str, torch.Tensor]:
    names = {id(parameter): name for name, parameter in state.student.named_parameters()}
    return {
        f"{moment} of {names[id(parameter)]}": value
        for parameter, entries in state.optimizer.state.items()
        for moment, value in entries.items()
    }


def test_dropout_is_the_same_whenever_an_update_is_computed(folder: Path) -> None:
    norms = []
    for dropout in (0.5, 0.5, 0.0):
        chosen = settings({"dropout": dropout})
        norms.append(take_step(open_state(folder, None, chosen.train, CPU), score_rows(), chosen, CPU)["grad_norm"])
    assert norms[0] == norms[1] != norms[2]


@pytest.mark.parametrize(
    ("given", "layers"), [("all-linear", 14), (["q_proj", "mlp.up_proj"], 4), (["layers.1.mlp.up_proj"], 1)]
)
def test_target_modules_are_linear_layers_by_the_end_of_their_names(folder: Path, given: Any, layers: int) -> None:
    student = load_student(folder, folder, settings({"target_modules": given}).train.lora, device=CPU, seed=0)
    trained = [name for name, parameter in student.named_parameters() if parameter.requires_grad]
    assert len(trained) == 2 * layers and all(".lora_" in name for name in trained)


@pytest.mark.parametrize("wanted", ["lm_head", "embed_tokens", "proj", "mlp"])
def test_target_modules_that_match_nothing_are_refused_with_what_there_is(folder: Path, wanted: str) -> None:
    lora = settings({"target_modules": ["q_proj", wanted]}).train.lora
    assert lora is not None
    said = rf"train.lora.target_modules: .* named '{wanted}'; it has down_proj, .*, v_proj$"
    with pytest.raises(InputError, match=said):
        check_targets(folder, lora)


def test_an_adapter_made_by_other_settings_is_refused(folder: Path, trained: Path) -> None:
    with pytest.raises(
        InputError, match=r"train.lora.rank: is 8, but .*adapter, made with 4; keep that, or begin a run"
    ):
        load_student(trained, folder, settings({"rank": 8}).train.lora, device=CPU, seed=0)


def test_an_adapter_may_begin_on_a_policy_that_was_trained_whole_and_end_again(folder: Path, tmp_path: Path) -> None:
    """As a fork does: null, then an adapter, then null; moments of other parameters are left behind."""
    places = [folder, *(tmp_path / str(round) for round in range(3))]
    for round, lora in enumerate((None, RANK_4, None)):
        train_round(
            [row | {"policy_version": round} for row in score_rows()],
            settings(lora),
            policy_folder=places[round],
            state_folder=places[round] if round else None,
            out=places[round + 1],
            round=round,
        )
    assert [(place / ADAPTER).is_dir() for place in places] == [False, False, True, False]
    assert (places[2] / "teacher" / ADAPTER).is_dir()


def test_the_base_of_a_policy_is_the_newest_one_without_an_adapter(folder: Path, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {"settings": {"model": {"path": "tiny:llama"}}})
    for round, write in enumerate((adapted, whole, adapted, adapted)):
        commit_folder(run, round=round, key=f"{round:064d}", parents=[], info={}, write=write)
    bases = [base_folder(run, version) for version in range(5)]
    assert bases == [None, folder, None, *[run.path / run.policy_place(1)] * 2]


def whole(out: Path) -> None:
    (out / "config.json").write_text("{}")


def adapted(out: Path) -> None:
    whole(out)
    (out / ADAPTER).mkdir()
    (out / ADAPTER / ADAPTER_CONFIG).write_text("{}")


def test_the_output_layer_gets_no_adapter(folder: Path) -> None:
    assert "lm_head" not in linear_layers(load_model(folder))
