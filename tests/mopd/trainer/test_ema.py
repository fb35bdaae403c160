"""The teacher that follows the student has the same weights wherever it lies between updates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mopd.models.folders import load_model, resolve_model
from mopd.models.lora import has_adapter
from mopd.optimizers import piecewise
from mopd.settings import Settings, parse_settings
from mopd.train import take_step, train_round
from mopd.trainer.ema import FolderTeacher, ModelTeacher
from mopd.trainer.state import open_state, save_state, student_pieces
from mopd.trainer.tensor_file import TensorFile
from tests.mopd.models.test_lora import score_rows

CPU = torch.device("cpu")
RATE = 0.05


def settings(place: str, **train: Any) -> Settings:
    teacher = {"kind": "ema", "rate": RATE, "place": place}
    tree = {"learning_rate": 1e-2, "warmup_steps": 0, "updates_per_round": 2, "teacher": teacher} | train
    return parse_settings({"model": {"path": "tiny:llama", "precision": "float32"}, "train": tree})


@pytest.fixture(scope="module")
def folder() -> Path:
    return resolve_model("tiny:llama")


def rounds(folder: Path, out: Path, chosen: Settings) -> list[dict[str, torch.Tensor]]:
    """The teacher after each of two rounds of training."""
    teachers, policy, state = [], folder, None
    for number in range(2):
        place: dict[str, Any] = {"policy_folder": policy, "state_folder": state, "base_folder": folder}
        train_round(score_rows(), chosen, **place, out=out / str(number), round=number)
        policy = state = out / str(number)
        teachers.append(load_file(state / "teacher" / "model.safetensors"))
    return teachers


@pytest.mark.parametrize("lora", [None, {"rank": 4}], ids=["whole", "lora"])
def test_on_the_disk_as_in_memory(folder: Path, tmp_path: Path, lora: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piecewise, "PIECE", 1 << 10)
    host, disk = (rounds(folder, tmp_path / place, settings(place, lora=lora)) for place in ("host", "disk"))
    for first, second in zip(host, disk, strict=True):
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)
    files = [sorted(path.name for path in (tmp_path / place / "1" / "teacher").iterdir()) for place in ("host", "disk")]
    assert files[0] == files[1]
    assert load_model(tmp_path / "disk" / "1" / "teacher").config.model_type == "llama"


def test_it_is_the_average_that_it_is_said_to_be(folder: Path, tmp_path: Path) -> None:
    state = open_state(folder, None, settings("disk").train, CPU, out=tmp_path / "out")
    assert isinstance(state.teacher, FolderTeacher)
    before = {name: value.detach().clone() for name, value in state.student.named_parameters()}
    with torch.no_grad():
        for parameter in state.student.parameters():
            parameter += 1.0
    state.teacher.follow(((name, 0, value.detach().view(-1)) for name, value in state.student.named_parameters()), RATE)
    save_state(state, folder, tmp_path / "out")
    after = load_file(tmp_path / "out" / "teacher" / "model.safetensors")
    for name, value in before.items():
        torch.testing.assert_close(after[name], value + RATE, rtol=0, atol=1e-6)


def test_an_adapter_of_earlier_rounds_does_not_go_on_beside_a_whole_teacher(folder: Path, tmp_path: Path) -> None:
    chosen = settings("disk", lora={"rank": 4})
    state = open_state(folder, None, chosen.train, CPU, base_folder=folder, out=tmp_path / "lora")
    save_state(state, folder, tmp_path / "lora")
    assert has_adapter(tmp_path / "lora" / "teacher")
    whole = open_state(tmp_path / "lora", tmp_path / "lora", settings("disk").train, CPU, out=tmp_path / "whole")
    save_state(whole, folder, tmp_path / "whole")
    assert not has_adapter(tmp_path / "whole" / "teacher")


@pytest.mark.parametrize("place", ["host", "disk"])
def test_it_begins_at_the_weights_not_at_the_rounded_policy(folder: Path, tmp_path: Path, place: str) -> None:
    """A run of another teacher, its weights in bfloat16, goes on with an average of its own."""
    tree = {"master_weights": "bfloat16", "learning_rate": 1e-2, "warmup_steps": 0}
    frozen = parse_settings({"train": tree | {"teacher": "frozen"}})
    state = open_state(folder, None, frozen.train, CPU, precision="bfloat16")
    take_step(state, score_rows(), frozen, CPU)
    save_state(state, folder, tmp_path / "policy")
    ema = parse_settings({"train": tree | {"teacher": {"kind": "ema", "place": place}}})
    policy, out = tmp_path / "policy", tmp_path / "out"
    again = open_state(policy, policy, ema.train, CPU, precision="bfloat16", out=out)
    save_state(again, folder, out)
    teacher = load_file(out / "teacher" / "model.safetensors")
    for name, start, values in student_pieces(again):
        assert torch.equal(teacher[name].view(-1)[start : start + len(values)], values)


def test_files_with_other_names_than_the_model_leave_it_in_memory(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mopd.trainer.ema._holds", lambda *_: False)
    state = open_state(folder, None, settings("disk").train, CPU, out=tmp_path / "out")
    assert isinstance(state.teacher, ModelTeacher)
    save_state(state, folder, tmp_path / "out")
    assert (tmp_path / "out" / "teacher" / "model.safetensors").is_file()


def test_a_tensor_file_is_changed_where_it_lies(tmp_path: Path) -> None:
    path, tensors = tmp_path / "a.safetensors", {"x": torch.arange(12.0).view(3, 4), "y": torch.ones(5).bfloat16()}
    save_file(tensors, path, metadata={"format": "pt"})
    with TensorFile(path) as file:
        assert file.places["x"].shape == (3, 4)
        assert file.read("x", 3, 6).tolist() == [3.0, 4.0, 5.0]
        file.write("x", 3, torch.tensor([-1.0, -2.0]))
        file.write("y", 4, torch.tensor([2.0], dtype=torch.bfloat16))
    after = load_file(path)
    assert after["x"].view(-1).tolist() == [0.0, 1.0, 2.0, -1.0, -2.0, *range(5, 12)]
    assert after["y"].tolist() == [1.0] * 4 + [2.0]
