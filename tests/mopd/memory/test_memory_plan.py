"""Memory by stage for models of real sizes, what is refused, and which settings make a stage fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mopd.errors import InputError
from mopd.memory import plan as memory_plan
from mopd.memory.advice import ORDER, halves
from mopd.memory.plan import check_memory, plan_memory, read_device
from mopd.memory.sizes import GIGABYTE, Device, Lengths, Pass
from mopd.settings import Settings, parse_settings
from mopd.settings.run import override_tree

QWEN3_4B = {
    "model_type": "qwen3",
    "head_dim": 128,
    "hidden_size": 2560,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 9728,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
}
QWEN2_HALF_B = {
    "model_type": "qwen2",
    "hidden_size": 896,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "intermediate_size": 4864,
    "vocab_size": 151936,
    "tie_word_embeddings": False,
}
GPU_80, GPU_24 = (Device("cuda", size * GIGABYTE, 2) for size in (80, 24))


def settings_for(folder: Path, config: dict[str, Any], *overrides: str) -> Settings:
    """Settings of a run of a model of which there is a config alone."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    tree = {"model": {"path": str(folder)}, "generate": {"max_tokens": 8192}}
    return parse_settings(override_tree(tree, list(overrides)))


def test_a_4b_model_is_trained_whole_on_80_gb(tmp_path: Path) -> None:
    plan = plan_memory(settings_for(tmp_path / "m", QWEN3_4B), GPU_80)
    assert not plan.changes
    params = plan.models.student.num_params
    assert plan.stages["train"]["weights"] == plan.stages["train"]["gradients"] == 4 * params
    assert plan.stages["train"]["optimizer"] == 8 * params
    narrow = plan_memory(settings_for(tmp_path / "m", QWEN3_4B, "train.master_weights=bfloat16"), GPU_80)
    assert narrow.stages["train"]["gradients"] == 4 * params and plan.total("train") > narrow.total("train")


def test_a_4b_model_is_trained_by_an_adapter_on_24_gb(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "m", QWEN3_4B, "train.lora.rank=16", "train.master_weights=bfloat16")
    assert not plan_memory(settings, GPU_24).changes


def test_what_does_not_fit_comes_with_settings_that_do(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "m", QWEN3_4B)
    changes = plan_memory(settings, GPU_24).changes["train"]
    assert changes is not None
    names = [change.setting for change in changes]
    order = [name for name, _ in ORDER["train"]]
    assert names == sorted(names, key=order.index) and "train.lora" in names and "generate.max_tokens" not in names
    mended = settings_for(tmp_path / "m", QWEN3_4B, *(change.override for change in changes))
    assert "train" not in plan_memory(mended, GPU_24).changes


def test_no_setting_makes_a_model_fit_that_is_too_large(tmp_path: Path) -> None:
    plan = plan_memory(settings_for(tmp_path / "m", QWEN3_4B), Device("cuda", GIGABYTE, 2))
    assert set(plan.changes) == {"generate", "score", "train"} and plan.changes["train"] is None


def capacity(monkeypatch: pytest.MonkeyPatch, size: float) -> None:
    device = Device("cpu", int(size * GIGABYTE), 4)
    monkeypatch.setattr(memory_plan, "find_device", lambda settings: device)


def test_a_run_that_cannot_fit_is_refused_with_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capacity(monkeypatch, 8)
    settings = settings_for(tmp_path / "m", QWEN2_HALF_B, "generate.engine=transformers", "generate.max_num_seqs=4")
    with pytest.raises(
        InputError, match=r"^train: needs [\d.]+ GB of memory \(.*\) and there are 8\.0 GB; "
    ) as refusal:
        check_memory(settings)
    assert "GB; set train.lora to {} (mopd plan" in str(refusal.value) and "\n" not in str(refusal.value)
    check_memory(settings_for(tmp_path / "m", QWEN2_HALF_B, "model.check_memory=false"))


def test_what_is_within_the_error_of_the_plan_is_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for(tmp_path / "m", QWEN2_HALF_B, "train.gradient_checkpointing=on", "generate.engine=fake")
    plan = plan_memory(settings, Device("cpu", 1, 4))
    largest = max(plan.total(stage) for stage in plan.stages) / GIGABYTE
    capacity(monkeypatch, largest / 1.14)
    check_memory(settings)
    capacity(monkeypatch, largest / 1.16)
    with pytest.raises(InputError):
        check_memory(settings)


@pytest.mark.parametrize(
    ("text", "kind", "size"), [("80GB", "cuda", 80), ("cpu:16gb", "cpu", 16), ("23.5 GB", "cuda", 23.5)]
)
def test_devices_by_their_memory(text: str, kind: str, size: float) -> None:
    device = read_device(text, Settings())
    assert (device.kind, device.capacity) == (kind, int(size * GIGABYTE))
    assert kind == "cpu" or device.compute == 2


@pytest.mark.parametrize("text", ["80", "0GB", "cpu:0.0GB", "-1GB"])
def test_a_device_that_means_nothing(text: str) -> None:
    with pytest.raises(InputError, match=f"^--device {text}: write the memory of a GPU as 80GB"):
        read_device(text, Settings())


def test_the_largest_pass() -> None:
    whole = {"num_samples": 8, "num_prompts": 4}
    assert Pass.of(100, 1000, max_tokens=512, **whole) == Pass(1099, 1099, 512)  # a rollout alone is longer
    assert Pass.of(100, 50, max_tokens=512, **whole) == Pass(512, 512, 492)
    assert Pass.of(100, 50, max_tokens=4096, **whole) == Pass(4 * 492, 4 * 8 * 50, 492)


def test_a_context_without_peers_is_the_prompt() -> None:
    alone = parse_settings({"condition": {"variant": "none"}})
    assert Lengths.of(alone).context == 2048 and Lengths.of(Settings()).context == 10240


def test_numbers_are_halved_to_powers_of_two() -> None:
    assert halves(4096, 256) == [2048, 1024, 512, 256] and halves(100, 64) == [64] and halves(1, 1) == []
