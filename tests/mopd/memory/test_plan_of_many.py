"""Memory where several devices work for a stage: engines of several GPUs, ranks, processes that share a CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from mopd.errors import InputError
from mopd.memory import plan as memory_plan
from mopd.memory.plan import MemoryPlan, check_memory, plan_memory, read_device
from mopd.memory.sizes import GIGABYTE, Device
from mopd.settings import Settings
from tests.mopd.memory.test_memory_plan import QWEN2_HALF_B, QWEN3_4B, settings_for

QWEN3_8B = {
    **QWEN3_4B,
    "hidden_size": 4096,
    "intermediate_size": 12_288,
    "tie_word_embeddings": False,
}
MATRIX = 4 * 151_936 * 4096
"""Bytes of the embedding of the 8B model, and of its output layer."""
LAYER = 4 * 4096 * (2 * 4096 + 2 * 1024 + 3 * 12_288)
FULL_8 = ("train.ranks=8", "train.shard=full")
GPUS_8 = Device("cuda", 80 * GIGABYTE, 2, 8)


def plan_8b(folder: Path, device: Device, *overrides: str) -> MemoryPlan:
    return plan_memory(settings_for(folder / "m", QWEN3_8B, *overrides), device)


def changed(plan: MemoryPlan, stage: str) -> list[str]:
    return [change.override for change in plan.changes[stage] or ()]


def test_a_copy_a_rank_takes_what_one_process_takes(tmp_path: Path) -> None:
    one, eight = plan_8b(tmp_path, GPUS_8), plan_8b(tmp_path, GPUS_8, "train.ranks=8")
    assert eight.stages == one.stages and eight.processes["train"] == 8


def test_a_rank_has_its_share_and_what_a_pass_gathers(tmp_path: Path) -> None:
    plan = plan_8b(tmp_path, GPUS_8, *FULL_8)
    train, params = plan.stages["train"], plan.models.student.num_params
    assert train["weights"] == train["gradients"] == 4 * params // 8 and train["optimizer"] == 8 * params // 8
    assert train["gathered weights"] == 2 * (2 * LAYER + MATRIX) + MATRIX
    assert "train" not in plan.changes


def test_ranks_are_advised_where_there_are_gpus_for_them(tmp_path: Path) -> None:
    assert changed(plan_8b(tmp_path, GPUS_8), "train") == list(FULL_8)
    assert changed(plan_8b(tmp_path, GPUS_8, "train.ranks=8"), "train") == ["train.shard=full"]
    assert "train.shard=full" not in changed(plan_8b(tmp_path, GPUS_8._replace(number=1)), "train")


def test_an_adapter_is_advised_where_shares_are_too_large(tmp_path: Path) -> None:
    two = Device("cuda", 24 * GIGABYTE, 2, 2)
    settings = settings_for(tmp_path / "m", QWEN3_4B)
    assert "train.lora={}" in changed(plan_memory(settings, two), "train")


def test_an_engine_is_divided_among_its_gpus(tmp_path: Path) -> None:
    size = "generate.engine_arguments.tensor_parallel_size"
    one, four = (plan_8b(tmp_path, GPUS_8, f"{size}={number}") for number in (1, 4))
    assert four.stages["generate"]["weights"] == one.stages["generate"]["weights"] // 4
    assert four.stages["generate"]["keys and values"] == one.stages["generate"]["keys and values"] // 4
    assert (one.processes["generate"], four.processes["generate"]) == (4, 2)  # 32 prompts are 4 shards
    small = Device("cuda", 12 * GIGABYTE, 2, 8)
    assert changed(plan_8b(tmp_path, small), "generate") == [f"{size}=2"]
    sixteen = plan_8b(tmp_path, GPUS_8._replace(number=16), f"{size}=16")  # 8 heads have keys and values
    assert sixteen.stages["generate"]["keys and values"] == one.stages["generate"]["keys and values"] // 8


def test_processes_share_the_memory_of_a_cpu(tmp_path: Path) -> None:
    machine, teacher = Device("cpu", 64 * GIGABYTE, 4, 2), "train.teacher.place=host"
    engine = "generate.engine=transformers"
    shared = plan_memory(settings_for(tmp_path / "m", QWEN2_HALF_B, engine, teacher, "train.ranks=2"), machine)
    alone = plan_memory(settings_for(tmp_path / "m", QWEN2_HALF_B, engine, teacher), machine._replace(number=1))
    for stage in ("generate", "score"):
        assert shared.total(stage) == 2 * alone.total(stage)
    following = alone.stages["train"]["following teacher"]
    assert following > 0 and shared.total("train") == 2 * alone.total("train") - following
    assert shared.host == {}


def test_the_first_rank_has_all_moments_whole_when_it_saves_them(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "m", QWEN2_HALF_B, "train.ranks=2", "train.shard=full")
    plan = plan_memory(settings, Device("cpu", 64 * GIGABYTE, 4, 2))
    params = plan.models.student.num_params
    assert plan.stages["train"]["optimizer"] == plan.stages["train"]["whole moments"] == 8 * params


def test_fewer_processes_are_advised_on_a_cpu(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "m", QWEN2_HALF_B, "generate.engine=fake", "place.devices=4", "train.ranks=4")
    alone = plan_memory(settings_for(tmp_path / "m", QWEN2_HALF_B), Device("cpu", 1, 4))
    plan = plan_memory(settings, Device("cpu", round(1.1 * alone.total("train")), 4, 4))
    assert changed(plan, "train") == ["train.ranks=1"] and changed(plan, "score") == ["place.devices=2"]


def test_ranks_that_no_gpu_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_plan, "find_device", lambda settings: GPUS_8)
    monkeypatch.setattr(memory_plan, "total_memory", lambda: 1000 * GIGABYTE)
    refusal = (
        r"^train: each of 8 ranks needs [\d.]+ GB of memory \(.*\) and there are 80\.0 GB; set train.shard to full"
    )
    with pytest.raises(InputError, match=refusal):
        check_memory(settings_for(tmp_path / "m", QWEN3_8B, "train.ranks=8"))
    check_memory(settings_for(tmp_path / "m", QWEN3_8B, *FULL_8))


def test_a_host_without_memory_for_what_lies_beside_its_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_plan, "find_device", lambda settings: GPUS_8)
    monkeypatch.setattr(memory_plan, "total_memory", lambda: 72 * GIGABYTE)
    settings = settings_for(tmp_path / "m", QWEN3_8B, *FULL_8)
    with pytest.raises(InputError, match=r"^train: needs 108\.9 GB of the host's memory beside its GPUs \(8 at once\)"):
        check_memory(settings)
    check_memory(settings_for(tmp_path / "m", QWEN3_8B, *FULL_8, "train.teacher.place=disk"))


def test_more_ranks_than_devices(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^train.ranks: takes 8 devices, and there are 2; lower it, or raise"):
        plan_8b(tmp_path, GPUS_8._replace(number=2), "train.ranks=8")
    cluster = plan_8b(tmp_path, GPUS_8._replace(number=2), *FULL_8, "place=ray")  # other hosts have the other six
    assert cluster.processes["train"] == 2
    assert cluster.stages["train"] == plan_8b(tmp_path, GPUS_8, *FULL_8).stages["train"]


@pytest.mark.parametrize(("text", "number"), [("80GB", 1), ("8x80GB", 8)])
def test_several_devices_by_their_memory(text: str, number: int) -> None:
    assert read_device(text, Settings()) == Device("cuda", 80 * GIGABYTE, 2, number)
