"""What `mopd plan` says of several devices."""

from __future__ import annotations

from pathlib import Path

from flows.report.memory import process_lines, verdicts
from mopd.memory.plan import plan_memory
from mopd.memory.sizes import Device
from tests.mopd.memory.test_memory_plan import settings_for
from tests.mopd.memory.test_plan_of_many import FULL_8, GPUS_8, QWEN3_8B


def test_how_many_work_at_once_and_what_the_host_gives(tmp_path: Path) -> None:
    size = "generate.engine_arguments.tensor_parallel_size=4"
    settings = settings_for(tmp_path / "m", QWEN3_8B, *FULL_8, size)
    at_once, host, resident = process_lines(settings, plan_memory(settings, GPUS_8))
    assert at_once == "At once: 2 engines of 4 devices, 4 scorers, 8 ranks, each with its share of the weights."
    assert host.startswith("Of the host's memory: generate 8.6 GB, score ")
    assert resident.endswith("engines and scorers end with their stage (place.keep_resident).")  # vLLM takes the GPUs


def test_one_process_a_stage_needs_no_words(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "m", QWEN3_8B, "place.keep_resident=never")
    assert process_lines(settings, plan_memory(settings, Device("cpu", 1, 4))) == []


def test_whether_engines_and_scorers_stay_is_said_with_what_that_takes(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "m", QWEN3_8B)
    plan = plan_memory(settings, Device("cpu", 1 << 40, 4))
    together = sum(plan.total(stage) for stage in ("generate", "score", "train")) / (1 << 30)
    assert process_lines(settings, plan) == [
        f"All stages beside each other take {together:.1f} GB: engines and scorers stay between stages "
        "(place.keep_resident)."
    ]
    (line,) = process_lines(settings, plan_memory(settings, Device("cpu", 200 << 30, 4)))
    assert line.endswith("engines and scorers end with their stage (place.keep_resident).")


def test_whose_memory_does_not_fit(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "m", QWEN3_8B, "train.ranks=8")
    (line,) = verdicts(settings, plan_memory(settings, GPUS_8))
    assert line.startswith("train does not fit (each of 8 ranks needs 148.3 GB): set train.shard to full: --set ")
